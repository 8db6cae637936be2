"""A protocol's runs as a Markdown table, and where it goes."""

import pytest

from tltool.errors import UserError
from tltool.report.markdown import put_into, runs_table


def run(name, seed, target, status="done", cpu=90.0):
    return {
        "name": name,
        "seed": seed,
        "status": status,
        "metrics": {
            "target_test/accuracy": target,
            "source_test/accuracy": 0.9,
            "target_test/predicted_classes": 9.5,
        },
        "selection": {"rule": "last"},
        "timing": {"fit_cpu_s": cpu, "steps": 900},
    }


def test_means_over_seeds_and_gains_seed_by_seed():
    runs = [run("base", 0, 0.5), run("base", 1, 0.7), run("dann", 0, 0.9, cpu=180.0)]
    runs.append(run("dann", 1, 0.8, cpu=90.0))
    lines = runs_table({"runs": runs}).splitlines()
    assert lines[0].startswith("| run | target accuracy | over `base` |")
    assert lines[2] == "| `base` | 60.0 ± 14.1 % | - | 90.0 ± 0.0 % | 9.5 | `last` | 0.100 |"
    # Gains of 0.4 and 0.1: mean 0.25, deviation 0.3 / sqrt 2.
    assert lines[3].startswith("| `dann` | 85.0 ± 7.1 % | +25.0 ± 21.2 points |")
    assert lines[3].endswith("| 0.150 |")


def test_a_run_that_failed_has_no_figures():
    lines = runs_table({"runs": [run("base", 0, 0.5), run("x", 0, 0.1, "failed")]}).splitlines()
    assert lines[3].startswith("| `x` | 1 of 1 failed | - |")


def test_the_table_replaces_what_stands_between_the_marks(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- digits -->\nold\n<!-- /digits -->\nafter\n")
    for _ in range(2):
        put_into(path, "digits", "| new |\n")
        whole = "before\n<!-- digits -->\n\n| new |\n\n<!-- /digits -->\nafter\n"
        assert path.read_text() == whole
    with pytest.raises(UserError, match="no place for it: two lines <!-- other -->"):
        put_into(path, "other", "")
