import pytest

from phantom.anatomy import template_head
from phantom.head import Head
from phantom.study import PhantomSpec, PhantomStudy, generate_study, random_streams

SEED = 3


@pytest.fixture(scope="session")
def head() -> Head:
    return template_head(random_streams(SEED)[0])


@pytest.fixture(scope="session")
def small_study(head: Head) -> PhantomStudy:
    return generate_study(PhantomSpec.small(SEED), head)
