"""The Hugging Face hub, which may not be there."""

from collections.abc import Iterator
from contextlib import contextmanager

TIMEOUT = 3.0  # seconds


def silence() -> str | None:
    """Returns why the hub does not answer, in a few words; ``None`` where it does."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT)
    except Exception as error:  # every release of the client has a transport of its own
        return str(error) or type(error).__name__
    return None


@contextmanager
def offline_if_silent() -> Iterator[None]:
    """Within it, a hub that does not answer is not waited for: local copies count at once.

    The hub's client asks it six times in 23 s before it gives up.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or silence() is not None
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def offline() -> Iterator[None]:
    """Within it, only what is on this machine already can be had."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
