"""Measures tltool against hand-written code, side by side: `make bench`.

Prints a table and writes bench.json. Where both sides run in this process they take turns in
short rounds, and the figure is the median of the rounds' ratios. It is of CPU time where one
thread works, since another load on the machine hardly changes that.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Result, Settings

MODULES = ("step", "dann", "pairs", "features", "second_run", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for; returns 1 where a target is missed (--quick only tries it out)."""
    options = parse(arguments)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:4.0f} s  {text}", file=sys.stderr, flush=True)

    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="tltool-bench-") as folder,
        patch.dict(os.environ, TLTOOL_CACHE=f"{folder}/cache"),
    ):
        say("importing")
        import torch

        torch.set_num_threads(options.threads)
        settings = Settings(options.quick, Path(folder), say)
        for name in options.only or MODULES:
            results += import_module(f"benchmarks.{name}").run(settings)
    text = json.dumps({**machine(), "benchmarks": [asdict(one) for one in results]}, indent=2)
    options.out.write_text(text + "\n")
    print(table(results))
    print(
        f"{options.threads} thread(s) of {cpu_model()}; {time.monotonic() - started:.0f} s; "
        f"every round is in {options.out}"
    )
    return 0 if options.quick or all(result.passed for result in results) else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(description="Measures tltool against hand-written code.")
    parser.add_argument(
        "--only",
        choices=MODULES,
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(MODULES)}; may be given several times",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--threads", type=int, default=1, help="of torch, 1 by default")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="JSON file to write")
    return parser.parse_args(arguments)


def table(results: Sequence[Result]) -> str:
    """Returns the results for a reader."""
    lines = []
    for one in results:
        verdict = "pass" if one.passed else "MISS"
        low, high = one.spread
        lines.append(
            f"\n{one.name:<36}{one.value:8.3f}  ({low:.3f} to {high:.3f})"
            f"   target {one.target:<28}{verdict}"
        )
        lines.append(f"    figure  {one.judged} (smallest and largest round)")
        lines += [f"    {side}       {what}" for side, what in (("A", one.a), ("B", one.b)) if what]
        lines += [f"            {note}" for note in one.notes]
    return "\n".join([*lines, ""])


def machine() -> dict[str, object]:
    """Returns what the figures depend on."""
    import torch

    from tltool.run.record import versions

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def cpu_model() -> str:
    """Returns the processor's name, as Linux gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
