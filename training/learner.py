"""One network, its running average and its optimiser: what a step changes and a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import Defect, InvalidInput
from training.losses import Loss
from training.network import UNet, follow, set_momentum, set_training_mode
from training.patches import PatchBatch
from training.settings import TrainingSettings
from training.state_arrays import restore_average, restore_state, state_to_arrays

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """On what training runs; the results differ by rounding only.

    Parameters
    ----------
    device
        As PyTorch names it: cpu, cuda, ...
    precision
        Of convolutions; ``auto`` is bfloat16 where the device multiplies it natively.
    compile
        Fuse the network's operations, after a minute or two of compiling: meant for CUDA. On a processor with
        AMX it took 15 % longer.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    compile: bool = False

    @property
    def uses_bfloat16(self) -> bool:
        """Whether convolutions run in bfloat16."""
        if self.precision != "auto":
            return self.precision == "bfloat16"
        return self.device != "cpu" or bool(torch.cpu._is_amx_tile_supported())


class Learner:
    """Trains one member at a time; the members take turns in the same (compiled) network.

    Parameters
    ----------
    settings
        Of the first member; the others may differ in all but the widths.
    hardware
        On what it runs.
    """

    def __init__(self, settings: TrainingSettings, hardware: Hardware) -> None:
        self._settings = settings
        self._skips_in_a_row = 0
        self._device = torch.device(hardware.device)
        self._bfloat16 = hardware.uses_bfloat16
        self.network = self._make()
        self.average = self._make().eval()
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self._forward: Any = torch.compile(self.network) if hardware.compile else self.network

    def change_over(self, settings: TrainingSettings) -> None:
        """Take the settings of the member that comes next: ``begin`` or ``restore`` follows.

        Raises
        ------
        InvalidInput
            Its network has other widths.
        """
        if settings.widths != self._settings.widths:
            raise InvalidInput(
                f"widths {settings.widths} beside {self._settings.widths}, expected members of one size"
            )
        self._settings = settings
        self._skips_in_a_row = 0
        for network in (self.network, self.average):
            set_momentum(network, settings.statistics_momentum)

    def begin(self, network: UNet) -> None:
        """Start from the weights of a network, without moments."""
        self.network.load_state_dict(network.state_dict())
        self.average.load_state_dict(network.state_dict())
        self._optimiser.state.clear()

    def learn(self, batch: PatchBatch, step: int, loss: Loss) -> float | None:
        """Take a step; return the loss.

        Returns
        -------
        float | None
            None when the loss or its gradient was not finite: nothing was changed.

        Raises
        ------
        Defect
            That was so too often in a row.
        """
        frozen = self._settings.statistics_are_frozen_at(step)
        set_training_mode(self.network, frozen_statistics=frozen)
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        told, norm = self._find_gradient(batch, loss)
        if not (math.isfinite(told) and math.isfinite(norm)):
            self._skip(statistics, step)
            return None
        self._skips_in_a_row = 0
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.learning_rate_at(step)
        self._optimiser.step()
        follow(self.average, self.network, self._settings.average_decay, step)
        return told

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything the next step depends on, by name."""
        return state_to_arrays(self.network, self.average, self._optimiser)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what ``arrays`` described.

        Raises
        ------
        InvalidInput
            The arrays belong to a network of other widths.
        """
        restore_state(arrays, self.network, self.average, self._optimiser, self._settings.widths)

    def _find_gradient(self, batch: PatchBatch, loss: Loss) -> tuple[float, float]:
        """Return the loss and the length of its gradient, which is limited then."""
        images = self._upload(batch.images).contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self._forward(images)
        value = loss(logits, self._upload(batch.targets), self._upload(batch.weights))
        self._optimiser.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.gradient_norm_limit)
        told, length = torch.stack([value.detach(), norm]).tolist()
        return told, length

    def _skip(self, statistics: list[Tensor], step: int) -> None:
        """Undo what the forward pass did to the running statistics."""
        with torch.no_grad():
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)
        self._skips_in_a_row += 1
        if self._skips_in_a_row >= self._settings.skips_limit:
            raise Defect(
                f"{self._skips_in_a_row} batches in a row up to step {step} had a loss or gradient that is "
                "not finite, expected that of hardly any"
            )

    def _make(self) -> UNet:
        network = UNet(self._settings.widths, self._settings.statistics_momentum)
        network.to(self._device, memory_format=torch.channels_last_3d)
        return network

    def _upload(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def average_network(arrays: Mapping[str, NDArray[Any]], settings: TrainingSettings) -> UNet:
    """Return the averaged network of a checkpoint, in evaluation mode: what is exported.

    Raises
    ------
    InvalidInput
        The arrays belong to a network of other widths.
    """
    network = UNet(settings.widths, settings.statistics_momentum)
    restore_average(arrays, network, settings.widths)
    network.eval()
    return network
