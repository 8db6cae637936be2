"""(e) How long `tltool --help` takes."""

import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Result, Settings, timed

NAME = "help"
MOST = 0.3  # seconds
RUNS = 7
# Runs `tltool --help` and says which of the heavy modules it has imported.
HEAVY = """
import sys
from contextlib import suppress
from tltool.cli import main
sys.argv = ["tltool", "--help"]
with suppress(SystemExit):
    main()
print(*sorted({"torch", "timm", "pytorch_lightning"} & set(sys.modules)), file=sys.stderr)
"""


def run(settings: Settings) -> list[Result]:
    """Measures the installed command in processes of its own."""
    settings.say(NAME)
    command = [str(Path(sys.executable).with_name("tltool")), "--help"]
    runs = 2 if settings.quick else RUNS
    seconds = [timed(lambda: captured(command)).wall for _ in range(1 + runs)][1:]
    heavy = captured([sys.executable, "-c", HEAVY]).stderr.split()
    best, median = min(seconds), statistics.median(seconds)
    return [
        Result(
            name=NAME,
            a="tltool --help, in a process of its own",
            b="",
            judged="wall time, median, in seconds",
            value=median,
            target=f"< {MOST} s, no torch",
            passed=median < MOST and not heavy,
            spread=(best, max(seconds)),
            notes=[
                f"best {best:.2f} s of {runs}; "
                + (f"imports {', '.join(heavy)}" if heavy else "torch is not imported")
            ],
            figures={"seconds": seconds, "heavy_imports": heavy},
        )
    ]


def captured(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True)
