from __future__ import annotations

import contextlib
import os
import threading

import numpy as np
import onnxruntime
import pytest

from core.errors import InvalidInput
from worker.sessions import CPU, CUDA, OPENVINO, Network, choose_engine


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


def test_workers_of_one_thread_do_not_crowd_onto_one_core(model_set):
    network = Network(model_set.folder / model_set.manifest.members[0].file, choose_engine(threads=1), 1)
    window = np.zeros((1, 1, 96, 96, 96), dtype=np.float32)
    running = threading.Thread(target=network.run, args=(window,))
    running.start()
    seen = []
    while running.is_alive():
        with contextlib.suppress(ProcessLookupError):  # it ended between the two lines
            seen.append(os.sched_getaffinity(running.native_id))
    assert seen
    assert all(cores == os.sched_getaffinity(0) for cores in seen)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(model_set):
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime has no CUDA provider")
    path = model_set.folder / model_set.manifest.members[0].file
    images = np.random.default_rng(0).normal(size=(2, 1, 96, 96, 96)).astype(np.float32)
    on_gpu = Network(path, choose_engine(threads=1, provider=CUDA), batch=2).run(images)
    on_cpu = Network(path, choose_engine(threads=2, provider=CPU), batch=2).run(images)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)  # TF32 rounds products to ten bits


def test_openvino_gives_what_onnxruntime_itself_gives(model_set):
    if OPENVINO not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime has no OpenVINO provider")
    path = model_set.folder / model_set.manifest.members[0].file
    images = np.random.default_rng(0).normal(size=(1, 1, 96, 96, 96)).astype(np.float32)
    fast = Network(path, choose_engine(threads=2, provider=OPENVINO), batch=1).run(images)
    plain = Network(path, choose_engine(threads=2, provider=CPU), batch=1).run(images)
    np.testing.assert_allclose(fast, plain, atol=1e-5)


def test_bfloat16_is_near_enough_to_measure_with(model_set):
    if OPENVINO not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime has no OpenVINO provider")
    spec = model_set.manifest.brain_extraction
    path = model_set.folder / spec.file
    images = np.random.default_rng(0).random((1, 1) + (spec.cube_voxels,) * 3).astype(np.float32)
    exact = Network(path, choose_engine(threads=2, provider=OPENVINO), batch=1).run(images)
    coarse = Network(path, choose_engine(2, provider=OPENVINO, precision="bf16"), batch=1).run(images)
    np.testing.assert_allclose(coarse, exact, atol=0.05)  # eight bits of mantissa, where the CPU has them


def test_the_service_computes_in_single_precision():
    assert choose_engine(threads=1).precision == "f32"


def test_a_provider_without_bfloat16_says_so():
    with pytest.raises(InvalidInput, match=r"CPUExecutionProvider does not compute in bf16, expected f32 or"):
        choose_engine(threads=1, provider=CPU, precision="bf16")
