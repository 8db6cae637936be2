"""A run in several processes: rank 0 decides, writes and speaks; the others follow."""

import ctypes
import os
import signal
import sys

CAUGHT = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def is_main_process() -> bool:
    """Whether this process is rank 0, or the only one."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def follow_main_process() -> None:
    """Leaves signals to rank 0, and ends this process together with the one that started it.

    A rank that ended by itself would leave the others waiting for its gradients.
    """
    for number in CAUGHT:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
