"""onnxruntime sessions on the best device this machine's build of onnxruntime offers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import InvalidInput

CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
CPU = "CPUExecutionProvider"

Precision = Literal["f32", "bf16"]
"""Of the arithmetic inside a network; what goes in and comes out is f32."""

PREFERRED_PROVIDERS = (CUDA, OPENVINO, CPU)
"""On a CPU, OpenVINO took 0.35 s for a window where onnxruntime's own provider took 0.68 to 0.90."""

BATCH_DIMENSION = "batch"
"""Name of the models' free dimension; fixing it lets the engines plan once."""

WINDOWS_PER_BATCH = {CUDA: 8, OPENVINO: 1, CPU: 1}
"""On a CPU larger batches are slower per window; on a GPU eight are 1.3 times faster than one."""

SILENT_BELOW_ERROR = 3
"""onnxruntime's log level: errors only; its warnings are about nodes it places itself."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How sessions are made.

    Parameters
    ----------
    provider
        onnxruntime's name of the execution provider.
    threads
        CPU threads of one session.
    cache_dir
        Where OpenVINO keeps compiled models between starts; None keeps none.
    precision
        Other than f32 with OpenVINO only: on processors with AMX, bf16 took 0.063 s for a window
        where f32 took 0.223, and moved no probability by more than 3e-5 on noise. The service runs f32.
    """

    provider: str
    threads: int
    cache_dir: Path | None = None
    precision: Precision = "f32"

    @property
    def windows_per_batch(self) -> int:
        """How many windows go through a network at once."""
        return WINDOWS_PER_BATCH[self.provider]


def choose_engine(
    threads: int,
    cache_dir: Path | None = None,
    provider: str | None = None,
    precision: Precision = "f32",
) -> Engine:
    """Choose the fastest provider this build of onnxruntime has, or check the one asked for.

    Raises
    ------
    InvalidInput
        The provider asked for is not there, or cannot compute in the precision asked for.
    """
    available = [name for name in PREFERRED_PROVIDERS if name in onnxruntime.get_available_providers()]
    if CUDA in available:
        onnxruntime.preload_dlls()  # CUDA and cuDNN come as wheels: no system library path leads to them
    if provider is not None and provider not in available:
        raise InvalidInput(f"execution provider {provider!r} is not available, expected one of {available}")
    engine = Engine(provider or available[0], threads, cache_dir, precision)
    if precision != "f32" and engine.provider != OPENVINO:
        raise InvalidInput(f"{engine.provider} does not compute in {precision}, expected f32 or {OPENVINO}")
    return engine


class Network:
    """One ONNX network with the input ``image`` and the output ``probability`` (batch, 1, x, y, z)."""

    def __init__(self, path: Path, engine: Engine, batch: int) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = SILENT_BELOW_ERROR
        options.intra_op_num_threads = engine.threads
        options.add_free_dimension_override_by_name(BATCH_DIMENSION, batch)
        self._session = onnxruntime.InferenceSession(path, options, providers=_providers(engine))
        if self._session.get_providers()[0] != engine.provider:
            # onnxruntime falls back to the CPU in silence; twenty minutes a study are not a fallback.
            raise InvalidInput(
                f"{path} runs on {self._session.get_providers()[0]}, expected {engine.provider}"
            )

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (batch, 1, x, y, z) to probabilities of the same shape."""
        (probability,) = self._session.run(["probability"], {"image": images})
        return np.asarray(probability, dtype=np.float32)


def _providers(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    options: dict[str, dict[str, Any]] = {
        CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
        OPENVINO: {"device_type": "CPU", "load_config": json.dumps({"CPU": _openvino_config(engine)})},
        CPU: {},
    }
    return [(engine.provider, options[engine.provider])]


def _openvino_config(engine: Engine) -> dict[str, str]:
    config = {
        "INFERENCE_NUM_THREADS": str(engine.threads),
        "NUM_STREAMS": "1",
        # Otherwise every process with one thread binds itself to the first core, all of them to the same.
        "ENABLE_CPU_PINNING": "NO",
        # Without the hint, processors with bfloat16 units would use them unasked.
        "INFERENCE_PRECISION_HINT": engine.precision,
    }
    if engine.cache_dir is not None:
        config["CACHE_DIR"] = str(engine.cache_dir)
    return config
