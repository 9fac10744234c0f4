from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from core.errors import InvalidInput  # noqa: E402
from tests.training.test_network import random_network  # noqa: E402
from training.onnx_graph import export_member, load_member  # noqa: E402

RELEASED = Path(__file__).parents[2] / "models" / "t1_post-focal.onnx"
RELEASED_WIDTHS = (8, 24, 48, 96, 192)


def responsive_network():
    """A network whose output is not the same everywhere."""
    network = random_network((4, 12, 20))
    network.out.weight.data.mul_(20)
    with torch.no_grad():
        network.out.bias.sub_(network(torch.randn(4, 1, 8, 8, 8)).mean())
    return network


def probabilities(path: Path, image: np.ndarray) -> np.ndarray:
    """Run a file with onnxruntime, or with the reference implementation where that is missing."""
    try:
        from onnxruntime import InferenceSession
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(str(path)).run(None, {"image": image})[0]
    return InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]


def expected_probabilities(network, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.sigmoid(network(torch.from_numpy(image))).numpy()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 1, 8, 8, 8)).astype(np.float32)


def test_the_file_says_what_the_network_says(tmp_path: Path, image: np.ndarray):
    network = responsive_network()
    export_member(network, tmp_path / "member.onnx", window_voxels=8)
    found = probabilities(tmp_path / "member.onnx", image)
    assert found.std() > 0.02
    np.testing.assert_allclose(found, expected_probabilities(network, image), atol=1e-3)


def test_a_file_is_read_back_as_the_same_function(tmp_path: Path, image: np.ndarray):
    network = responsive_network()
    export_member(network, tmp_path / "member.onnx", window_voxels=8)
    loaded = load_member(tmp_path / "member.onnx", (4, 12, 20))
    found = probabilities(tmp_path / "member.onnx", image)
    np.testing.assert_allclose(expected_probabilities(loaded, image), found, atol=1e-5)
    export_member(loaded, tmp_path / "again.onnx", window_voxels=8)
    np.testing.assert_allclose(probabilities(tmp_path / "again.onnx", image), found, atol=1e-5)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path):
    for name in ("one", "other"):
        export_member(random_network(), tmp_path / name, {"loss": "focal", "input": "t1_post"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_interface_is_the_released_one(tmp_path: Path):
    export_member(random_network(RELEASED_WIDTHS), tmp_path / "member.onnx", {"input": "t1_post"})
    model, released = onnx.load(tmp_path / "member.onnx"), onnx.load(RELEASED)
    onnx.checker.check_model(model, full_check=True)
    assert list(model.graph.input) == list(released.graph.input)
    assert list(model.graph.output) == list(released.graph.output)
    assert [one.version for one in model.opset_import] == [one.version for one in released.opset_import]
    assert {one.key: one.value for one in model.metadata_props} == {"input": "t1_post"}
    assert (tmp_path / "member.onnx").stat().st_size < 12_000_000


def test_a_released_member_is_read_as_it_runs():
    image = np.random.default_rng(0).standard_normal((1, 1, 96, 96, 96)).astype(np.float32)
    pytest.importorskip("onnxruntime", reason="the reference implementation takes minutes for a window")
    loaded = load_member(RELEASED, RELEASED_WIDTHS)
    np.testing.assert_allclose(
        expected_probabilities(loaded, image), probabilities(RELEASED, image), atol=1e-5
    )


def test_every_weight_of_a_released_member_is_found():
    loaded = load_member(RELEASED, RELEASED_WIDTHS)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(RELEASED).graph.initializer}
    weight = values["d.2.p.weight_fp16"].astype(np.float32)
    np.testing.assert_array_equal(loaded.d[2].p.weight.detach(), weight)
    np.testing.assert_array_equal(loaded.e[0].b1.bias.detach(), values["e.0.c1.bias"])
    np.testing.assert_array_equal(loaded.up[3].bias.detach(), values["up.3.bias"].astype(np.float32))


def test_other_widths_are_refused():
    with pytest.raises(InvalidInput, match=r"no U-Net of widths \(16, 32\)"):
        load_member(RELEASED, (16, 32))


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path):
    network = random_network((4, 12, 20))
    network.e[2].c2.weight.data.fill_(1e6)
    with pytest.raises(InvalidInput, match=r"e\.2\.c2\.weight_fp16 has values that are not finite"):
        export_member(network, tmp_path / "member.onnx")
