"""What a run computes on."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from tltool.backbones.base import Backbone
from tltool.errors import UserError


class Hardware:
    """Device, precision and memory layout.

    Args:
        accelerator: ``auto``: a CUDA device where there is one, else the CPU.
        devices: How many; more than one trains data-parallel (DDP), one process each.
        precision: ``32``, ``bf16`` (mixed), or ``auto``: bf16 on a CUDA device that has it.
        channels_last: Memory layout of images; ``null``: on CUDA, and on a CPU
            where the backbone says that it is faster.
        compile: torch.compile the backbone.
        threads: CPU threads; ``null``: as torch chooses.
    """

    def __init__(
        self,
        accelerator: Literal["auto", "cpu", "gpu"] = "auto",
        devices: int = 1,
        precision: Literal["auto", 32, "bf16"] = "auto",
        channels_last: bool | None = None,
        compile: bool = False,
        threads: int | None = None,
    ) -> None:
        available = torch.cuda.device_count()
        if accelerator == "gpu" and available == 0:
            raise UserError("hardware=gpu: no CUDA device here; type hardware=cpu or hardware=auto")
        self.gpu = accelerator != "cpu" and available > 0
        if devices < 1 or (self.gpu and devices > available):
            most = f"1 to {available}" if self.gpu else "1 or more"
            raise UserError(f"hardware.devices={devices}: {most} can be used here")
        self.devices, self.compile = devices, compile
        self.bf16 = precision == "bf16" or (
            precision == "auto" and self.gpu and torch.cuda.is_bf16_supported()
        )
        self._channels_last = channels_last
        if threads is not None:
            torch.set_num_threads(threads)
            if devices > 1:  # where it is not set, Lightning chooses a number of its own
                os.environ["OMP_NUM_THREADS"] = str(threads)

    @property
    def device(self) -> torch.device:
        """The device that evaluation runs on."""
        return torch.device("cuda" if self.gpu else "cpu")

    @property
    def precision(self) -> str:
        """Lightning's name of the precision."""
        return "bf16-mixed" if self.bf16 else "32-true"

    def channels_last(self, backbone: Backbone) -> bool:
        """Whether images for a backbone are laid out channels-last."""
        if self._channels_last is not None:
            return self._channels_last
        return self.gpu or backbone.channels_last_on_cpu

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision, outside of the trainer."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def arrange(self, backbone: Backbone) -> None:
        """Lays the backbone's weights out, and compiles it where that is asked for."""
        if self.channels_last(backbone):
            backbone.to(memory_format=torch.channels_last)
        if self.compile:
            backbone.compile()

    def trainer_options(self) -> dict[str, Any]:
        """Arguments of Lightning's Trainer."""
        return {
            "accelerator": "gpu" if self.gpu else "cpu",
            "devices": self.devices,
            "strategy": "ddp_find_unused_parameters_true" if self.devices > 1 else "auto",
            "precision": self.precision,
        }

    def describe(self) -> dict[str, Any]:
        """What the record says of it."""
        name = torch.cuda.get_device_name() if self.gpu else "cpu"
        return {
            "device": name,
            "devices": self.devices,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
        }
