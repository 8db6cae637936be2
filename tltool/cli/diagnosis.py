"""What `tltool doctor` looks at."""

import os
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Args:
        name: What was looked at.
        ok: Whether it can be used.
        found: What was found.
        required: Whether training needs it.
    """

    name: str
    ok: bool
    found: str
    required: bool = True


def diagnose() -> list[Check]:
    """Returns all checks."""
    return [_python(), *_torch(), _packages(), _cache(), _hub()]


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), sys.version.split()[0])


def _torch() -> list[Check]:
    import torch

    checks = [Check("torch", True, torch.__version__)]
    try:
        import torchvision

        checks.append(Check("torchvision", True, torchvision.__version__))
    except (ImportError, RuntimeError) as error:
        hint = "it does not fit this torch; install the pair of requirements.lock"
        checks.append(Check("torchvision", False, f"{hint} ({error!s:.80})"))
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    checks.append(Check("gpu", bool(gpus), ", ".join(gpus) or "none, the CPU is used", False))
    cores = len(os.sched_getaffinity(0))
    checks.append(
        Check("cpu", True, f"{cores} cores, torch uses {torch.get_num_threads()} threads")
    )
    return checks


def _packages() -> Check:
    names = ("pytorch-lightning", "timm", "hydra-core", "datasets", "torchmetrics")
    return Check("packages", True, ", ".join(f"{name} {version(name)}" for name in names))


def _cache() -> Check:
    from tltool.data.cache import cache_root

    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable = os.access(root, os.W_OK)
        free = shutil.disk_usage(root).free / 2**30
    except OSError as error:
        return Check("cache", False, f"{root}: {error.strerror}; set TLTOOL_CACHE=FOLDER")
    found = f"{root}, {free:.0f} GiB free"
    return Check("cache", writable, found if writable else f"{root} cannot be written")


def _hub() -> Check:
    """Asks the hub for an answer; without one, local weights and data still work."""
    from huggingface_hub import constants

    from tltool.hub import silence

    if constants.HF_HUB_OFFLINE:
        return Check("hub", False, "switched off by HF_HUB_OFFLINE", False)
    start = time.monotonic()
    if reason := silence():
        found = f"{constants.ENDPOINT} does not answer ({reason}); local files work"
        return Check("hub", False, found, False)
    found = f"{constants.ENDPOINT} answers in {time.monotonic() - start:.2f} s"
    return Check("hub", True, found, False)
