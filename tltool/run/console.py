"""What a person sees while a run works: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def tracked(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yields ``update(done, total, note)``: a bar on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _lines(console, what)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=None, note="")

        def update(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield update


def _lines(console: Console, what: str) -> Callable[[int, int, str], None]:
    start = last = time.monotonic()

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and done < total:
            return
        if done >= total and now - start < 1.0:
            return
        last = now
        left = (now - start) / max(done, 1) * (total - done)
        console.print(f"{what} {done}/{total} {note} {left:.0f} s left".replace("  ", " "))

    return update
