"""Published against measured, worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from tltool.config.compose import Resolved
from tltool.config.protocol import Figure, Protocol, Run
from tltool.errors import UserError
from tltool.run.batch import Finished, Job
from tltool.run.reproduce import changes, compare, plan_protocol

NAME = "source_test/accuracy"
RUNS = {"ours": (0.9, 0.8, 0.7), "theirs": (0.5, 0.6, 0.55)}


def finished(failed: tuple[str, int] | None = None) -> dict[tuple[str, int], Finished]:
    found = {}
    for name, values in RUNS.items():
        for seed, value in enumerate(values):
            job = Job(name, Resolved({}, {}), Path(name))
            status = "failed" if (name, seed) == failed else "done"
            results = {"status": status, "metrics": {NAME: value}}
            found[name, seed] = Finished(job, results, 10.0)
    return found


def test_mean_spread_and_deviation_over_seeds() -> None:
    compared = compare(Figure("ours", NAME, published=0.75, tolerance=0.06), finished())
    assert compared.values == (0.9, 0.8, 0.7)
    assert (compared.mean, compared.sd) == pytest.approx((0.8, 0.1))
    assert compared.deviation == pytest.approx(0.05)
    assert (compared.verdict, compared.seconds) == ("reached", 30.0)


def test_a_difference_is_taken_seed_by_seed() -> None:
    compared = compare(Figure("ours", NAME, minus="theirs", at_least=0.25), finished())
    assert compared.values == pytest.approx((0.4, 0.2, 0.15))
    assert (compared.mean, compared.sd) == pytest.approx((0.25, 0.0175**0.5))
    assert compared.deviation == pytest.approx(0.0)
    assert (compared.verdict, compared.seconds) == ("reached", 60.0)


@pytest.mark.parametrize(
    ("wanted", "verdict", "deviation"),
    [
        ({"at_least": 0.8}, "reached", 0.0),
        ({"at_least": 0.81}, "below", -0.01),
        ({"at_least": 0.7, "published": 0.9}, "reached", -0.1),
        ({"published": 0.85, "tolerance": 0.05}, "reached", -0.05),
        ({"published": 0.86, "tolerance": 0.05}, "below", -0.06),
        ({"published": 0.74, "tolerance": 0.05}, "above", 0.06),
    ],
)
def test_what_counts_as_reached(wanted: dict[str, float], verdict: str, deviation: float) -> None:
    compared = compare(Figure("ours", NAME, **wanted), finished())  # type: ignore[arg-type]
    assert compared.verdict == verdict
    assert compared.deviation == pytest.approx(deviation)


def test_a_run_that_failed_leaves_no_figure() -> None:
    compared = compare(
        Figure("ours", NAME, minus="theirs", at_least=0.0), finished(failed=("theirs", 1))
    )
    assert (compared.verdict, compared.mean, compared.values) == ("failed", None, ())
    assert compare(Figure("ours", NAME, at_least=0.0), finished(("theirs", 1))).mean is not None


def test_a_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="ours has no metric source_test/acuracy; did you mean"):
        compare(Figure("ours", "source_test/acuracy", at_least=0.0), finished())


PROTOCOL = Protocol(
    title="t",
    source="s",
    runs=(Run("a", "strategy=finetune"), Run("b/../c", "strategy=from_scratch")),
    figures=(),
    overrides="dataset=image_folder steps=6",
    needs={"dataset.source": "FOLDER of photographs"},
    name="p",
)


def test_every_run_has_a_folder_for_every_seed_and_what_is_typed_wins() -> None:
    args = ["dataset.source=x", "steps=9"]
    jobs = plan_protocol(PROTOCOL, args, (0, 4), Path("out"))
    assert [str(job.path) for job in jobs.values()] == [
        "out/a-seed0", "out/b-..-c-seed0", "out/a-seed4", "out/b-..-c-seed4"
    ]  # fmt: skip
    job = jobs["b/../c", 4].resolved
    assert (job.choices["strategy"], job.config["seed"], job.config["steps"]) == (
        "from_scratch", 4, 9
    )  # fmt: skip
    assert changes(PROTOCOL, [*args, "hardware.threads=1", "logger=both"]) == ["steps=9"]


def test_needs_and_mistakes_are_told_together_and_once() -> None:
    with pytest.raises(UserError) as error:
        plan_protocol(PROTOCOL, ["stepz=9"], (0, 1), Path("out"))
    found: Any = error.value.problems
    assert found == (
        "p needs dataset.source: type dataset.source=FOLDER of photographs",
        "stepz=9: no such key; did you mean 'steps'?",
    )
