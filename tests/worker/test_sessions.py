from __future__ import annotations

import numpy as np
import pytest

from core.errors import InvalidInput
from worker.sessions import CPU, OPENVINO, Network, choose_engine


def test_the_networks_run_where_they_were_asked_to(model_set, engine):
    member = model_set.manifest.members[0]
    network = Network(model_set.folder / member.file, engine, batch=1)
    output = network.run(np.zeros((1, 1, 96, 96, 96), dtype=np.float32))
    assert output.shape == (1, 1, 96, 96, 96)
    assert output.min() >= 0
    assert output.max() <= 1


def test_the_fastest_provider_is_chosen_unless_one_is_asked_for():
    assert choose_engine(threads=1, provider=CPU).provider == CPU
    assert choose_engine(threads=1).windows_per_batch >= 1


def test_a_provider_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(
        InvalidInput, match=r"'TPU' is not available, expected one of \[.*CPUExecutionProvider"
    ):
        choose_engine(threads=1, provider="TPU")


def test_compiled_networks_are_kept_when_there_is_a_place_for_them(model_set, tmp_path):
    engine = choose_engine(threads=1, cache_dir=tmp_path)
    if engine.provider != OPENVINO:
        pytest.skip("only OpenVINO keeps compiled networks")
    Network(model_set.folder / model_set.manifest.brain_extraction.file, engine, batch=1)
    assert list(tmp_path.iterdir())
