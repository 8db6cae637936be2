"""Ctrl-C and SIGTERM end a run so that it can be resumed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from tltool.run.ranks import CAUGHT, is_main_process


class Interrupted(BaseException):
    """A signal asked the run to end; the exit code is 128 + its number (130, 143)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


class Signals:
    """Catches both signals: at once, or at the end of the step where that is `deferred`.

    A second signal never waits.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Takes both signals over."""
        self._before = {number: signal.getsignal(number) for number in CAUGHT}
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Sets the handlers; again inside `Trainer.fit`, which sets its own for SIGTERM.

        Other ranks than 0 hear no signals: `Monitor` tells them.
        """
        for number in CAUGHT:
            signal.signal(number, self._handle if is_main_process() else signal.SIG_IGN)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a signal only sets `received`, to be looked at between two steps."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.received = self.received is not None, number
        if again or not self._deferred:
            raise Interrupted(number)
