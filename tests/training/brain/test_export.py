from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")
onnx = pytest.importorskip("onnx", reason="training needs its own environment")

from core.errors import InvalidInput  # noqa: E402
from training.brain.export import export_brain  # noqa: E402
from training.brain.network import BrainNetwork, BrainNetworkSettings  # noqa: E402
from worker.sessions import CPU, Engine, Network  # noqa: E402


@pytest.fixture(scope="module")
def network() -> BrainNetwork:
    """A network whose batch statistics are not those of its birth."""
    torch.manual_seed(1)
    network = BrainNetwork(BrainNetworkSettings(widths=(16, 32))).train()
    for _ in range(3):
        network(1 + torch.randn(2, 1, 16, 16, 16))
    return network.eval()


def test_the_worker_gets_the_networks_probabilities_from_the_file(network, tmp_path):
    export_brain(network, tmp_path / "brain.onnx", cube_voxels=32)
    image = np.random.default_rng(1).random((1, 1, 32, 32, 32), dtype=np.float32)
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(image))).numpy()
    found = Network(tmp_path / "brain.onnx", Engine(CPU, threads=1), batch=1).run(image)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the kernels are stored in half precision


def test_the_same_weights_give_the_same_bytes_and_their_digest(network, tmp_path):
    digests = [export_brain(network, tmp_path / name, cube_voxels=32) for name in ("a.onnx", "b.onnx")]
    contents = [(tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx")]
    assert contents[0] == contents[1]
    assert digests == [hashlib.sha256(content).hexdigest() for content in contents]


def test_large_kernels_are_stored_in_half_precision(network, tmp_path):
    export_brain(network, tmp_path / "brain.onnx", cube_voxels=32)
    model = onnx.load(tmp_path / "brain.onnx")
    stored = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1000}
    assert stored == {onnx.TensorProto.FLOAT16}
    assert [entry.version for entry in model.opset_import] == [17]


def test_a_cube_the_levels_cannot_halve_is_refused(network, tmp_path):
    with pytest.raises(InvalidInput, match="30 voxels, expected a multiple of 4"):
        export_brain(network, tmp_path / "brain.onnx", cube_voxels=30)


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path):
    network = BrainNetwork(BrainNetworkSettings(widths=(16, 32)))
    with torch.no_grad():
        network.decoders[0][0].weight[0, 0, 0, 0, 0] = 1e6
    with pytest.raises(InvalidInput, match="not finite"):
        export_brain(network, tmp_path / "brain.onnx", cube_voxels=32)
