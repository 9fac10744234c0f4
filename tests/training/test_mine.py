"""Mining finds what a network takes for a lesion and is none, where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from core.errors import InvalidInput  # noqa: E402
from tests.training.toy_studies import TUBE, fill_toy_pool, make_toy_study  # noqa: E402
from training.mine import choose_studies, main, mine_study, open_networks  # noqa: E402
from training.pool import list_pool  # noqa: E402
from training.prepared import MINED_FILE, PreparedStudy  # noqa: E402


def write_bright_detector(path: Path) -> None:
    """Probability rises with brightness alone: it cannot tell a ball from a tube."""
    helper = onnx.helper
    shape = ["batch", 1, 96, 96, 96]
    weights = [
        helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 1, 1, 1, 1], [4.0]),
        helper.make_tensor("b", onnx.TensorProto.FLOAT, [1], [-8.0]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w", "b"], ["logit"], kernel_shape=[1, 1, 1]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ],
        "bright",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("t1_post", "subtraction"):
        write_bright_detector(folder / f"trunk-{kind}.onnx")
    return folder


def test_the_tube_is_mined_and_the_lesion_is_not(models: Path) -> None:
    study = make_toy_study("toy", 3)

    mistakes = mine_study(study, open_networks(models, threads=1), threshold=0.5, least_conspicuity=1.0)

    mined = mistakes.centres_ras
    assert study.structures_ras is not None
    assert mined
    assert mistakes.missed == ()
    assert all(study.structures_ras[place] == TUBE for place in mined)
    assert all(study.labels_ras[place] == 0 for place in mined)


def test_places_are_written_beside_the_study_for_the_sampler(models: Path, tmp_path: Path) -> None:
    fill_toy_pool(tmp_path, studies=2)

    assert main(["--pool", str(tmp_path), "--models", str(models), "--studies", "1", "--threads", "1"]) == 0

    (name,) = choose_studies(tmp_path, 1, seed=0)
    mined = json.loads((tmp_path / name / MINED_FILE).read_text())["centres_ras"]
    study = PreparedStudy.open(tmp_path / name)
    assert mined
    assert np.all(np.array(mined) < study.labels_ras.shape)
    assert len(list(tmp_path.glob(f"*/{MINED_FILE}"))) == 1
    (listed,) = (one for one in list_pool(tmp_path) if one.name == name)
    assert listed.mined_ras == tuple(map(tuple, mined))


def test_a_faint_lesion_is_missed_and_one_that_cannot_be_seen_is_not(models: Path) -> None:
    networks = open_networks(models, threads=1)
    study = make_toy_study("toy", 3)
    t1_post, lesion = np.array(study.t1_post_ras), study.labels_ras > 0
    t1_post[lesion] = 0.5
    faint = replace(study, t1_post_ras=t1_post, subtraction_ras=t1_post)

    assert mine_study(faint, networks, 0.5, least_conspicuity=1.0).missed == (1,)
    assert mine_study(faint, networks, 0.5, least_conspicuity=1000.0).missed == ()


def test_a_seed_chooses_studies_and_half_written_ones_never(tmp_path: Path) -> None:
    fill_toy_pool(tmp_path, studies=6)
    (tmp_path / "toy-00").rename(tmp_path / ".toy-00.4711")

    choices = [choose_studies(tmp_path, 3, seed) for seed in (0, 0, 1)]

    assert choices[0] == choices[1] != choices[2]
    assert set(choose_studies(tmp_path, 99, 0)) == {f"toy-{n:02d}" for n in range(1, 6)}


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no networks"):
        open_networks(tmp_path, threads=1)
