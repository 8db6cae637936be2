"""Figures and findings in words, the same on the page and in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]  # the contents of results.json

VERDICTS = {
    "positive": "{} helped",
    "none": "no clear effect of {}",
    "negative": "{} hurt",
}
NO_VALUE = "-"
NAMED = 10  # classes named in a sentence


def percent(fraction: float) -> str:
    """Returns a fraction in [0, 1] as ``"71.0 %"``."""
    return f"{100 * fraction:.1f} %"


def metric(name: str, value: float | None) -> str:
    """Returns an accuracy in percent, any other metric with four digits, ``"-"`` for none."""
    if value is None:
        return NO_VALUE
    return percent(value) if is_fraction(name) else f"{value:.4g}"


def is_fraction(name: str) -> bool:
    """Whether a metric is shown in percent."""
    last = name.rpartition("/")[2]
    return "accuracy" in last or last == "hos"


def spread(name: str, mean: float | None, sd: float | None, difference: bool = False) -> str:
    """Returns mean and standard deviation of a metric, or of differences of it.

    Returns:
        ``"83.7 ± 2.1 %"``, ``"+21.6 ± 2.1 points"`` or ``"0.25 ± 0.01"``; the mean alone where
        there is no deviation.
    """
    if mean is None:
        return NO_VALUE
    scale, digits = (100, ".1f") if is_fraction(name) else (1, ".4g")
    sign, unit = ("+", " points") if difference else ("", " %")
    words = f"{scale * mean:{sign}{digits}}"
    if sd is not None:
        words += f" ± {scale * sd:{digits}}"
    return words + (unit if is_fraction(name) else "")


def gain(name: str, value: float) -> str:
    """Returns a difference of two values of a metric: ``"+21.6 points"``, or ``"+0.123"``."""
    return f"{100 * value:+.1f} points" if is_fraction(name) else f"{value:+.3f}"


def metric_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Returns each metric with its values in words: of the run, then of each control."""
    columns = [results.get("metrics", {}), *results.get("controls", {}).values()]
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [metric(name, column.get(name)) for column in columns]) for name in names]


def verdict_sentence(strategy: str, verdict: Mapping[str, Any]) -> str:
    """Says whether a strategy helped, by how much and how sure that is.

    Args:
        strategy: Its name.
        verdict: ``verdict`` (``positive``, ``none`` or ``negative``), ``metric``, ``control``,
            ``gain`` and ``interval`` (low, high) of that metric. What else it holds are further
            figures by name, fractions.
    """
    known = ("control", "metric", "gain", "interval", "verdict")
    further = "".join(
        f", {name} {100 * value:+.1f} %" for name, value in verdict.items() if name not in known
    )
    return (
        f"{VERDICTS[verdict['verdict']].format(strategy)}: "
        f"{gain(verdict['metric'], verdict['gain'])} on"
        f" {verdict['metric']} against {verdict['control']}, {interval(verdict)}{further}"
    )


def verdicts(results: Results) -> list[tuple[str, str]]:
    """Returns, for each control, ``positive``, ``none`` or ``negative``, and the sentence."""
    first = [results["verdict"]] if results.get("verdict") else []
    strategy = results.get("strategy", "the strategy")
    found = results.get("verdicts", first)
    return [(one["verdict"], verdict_sentence(strategy, one)) for one in found]


def grid_rows(grid: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Returns each row's name and its values in words; see `tltool.evaluation.base.Grid`."""

    def word(value: float | None) -> str:
        if value is None:
            return NO_VALUE
        return percent(value) if grid["percent"] else f"{value:.4g}"

    rows = zip(grid["rows"], grid["values"], strict=True)
    return [(name, [word(value) for value in values]) for name, values in rows]


def interval(verdict: Mapping[str, Any]) -> str:
    """Returns ``"95 % interval +25.0 to +34.1"`` for the ``interval`` of a ``metric``."""
    low, high = (gain(verdict["metric"], end) for end in verdict["interval"])
    return f"95 % interval {low.removesuffix(' points')} to {high.removesuffix(' points')}"


def selection_sentence(results: Results) -> str:
    """Says which epoch the figures belong to and what chose it.

    Args:
        results: With ``selection`` {``rule``, ``epoch`` counted from 1 or None, ``epochs``
            trained in all}, and ``target_labels`` {``per_class``, ``examples``} where labels of
            the target were learned from.
    """
    selection = results.get("selection") or {}
    rule = selection.get("rule")
    if rule is None:
        return "not recorded"
    words = f"chosen by rule `{rule}`"
    if selection.get("epoch") is not None:
        of = f" of {selection['epochs']}" if selection.get("epochs") else ""
        words = f"epoch {selection['epoch']}{of}, {words}"
    if not any(name.startswith("target_") for name in results.get("metrics", {})):
        return words
    words += "; target labels were"
    if used := results.get("target_labels"):
        words = f"{words} used: {_amount(used)}"
        if rule == "oracle":
            words += ", and to choose the epoch: the target figures are an upper bound"
        return words
    if rule == "oracle":
        return f"{words} used, so the target figures are an upper bound"
    return f"{words} not used"


def _amount(used: Mapping[str, Any]) -> str:
    amount, examples = used["per_class"], f"({used['examples']:,})"
    if amount == "100%":
        return f"all of them {examples}"
    return f"{amount} {'per' if isinstance(amount, int) else 'of each'} class {examples}"


def label_sets(results: Results) -> list[str]:
    """Says how the classes of source and target differ, and what is made for that.

    Args:
        results: With ``label_sets`` {``classes`` of the source, ``missing_in_target`` and
            ``only_in_target`` by name, ``unlabelled`` target examples, and whether the strategy
            ``rejects``}, where the target has labels.

    Returns:
        No line, one, or one for either difference.
    """
    sets, lines = results.get("label_sets"), []
    if not sets:
        return []
    # What an example without a label is of is not known: there may be more, or all of them.
    target = "the labelled part of the target" if sets["unlabelled"] else "the target"
    if missing := sets["missing_in_target"]:
        of = f"{len(missing)} of {sets['classes']} classes: {_some(missing)}"
        lines.append(f"{target} lacks {of}{_made_for('pada', results)}")
    if strangers := sets["only_in_target"]:
        number = "a class" if len(strangers) == 1 else f"{len(strangers)} classes"
        line = f"{target} adds {number}: {_some(strangers)}{_made_for('osbp', results)}"
        if not sets["rejects"]:
            line += f"; {results['strategy']} rejects nothing, and gets those examples wrong"
        lines.append(line)
    return lines


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _made_for(name: str, results: Results) -> str:
    return "" if results.get("strategy") == name else f"; strategy={name} is made for this"


def duration(seconds: float) -> str:
    """Returns ``"8.4 s"``, ``"1 min 32 s"`` or ``"2 h 05 min"``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counts(results: Results) -> dict[str, str]:
    """Returns ``{"source train": "2,250", ...}`` in the order of the record."""
    recorded = results.get("counts", {})
    return {name.replace("_", " "): f"{number:,}" for name, number in recorded.items()}


def timing(results: Results) -> dict[str, str]:
    """Returns ``{"training time": "1 min 32 s", "throughput": "1,630 examples/s"}``."""
    recorded = results.get("timing", {})
    words = {}
    if (seconds := recorded.get("fit_s")) is not None:
        words["training time"] = duration(seconds)
    if (rate := recorded.get("examples_per_s")) is not None:
        words["throughput"] = f"{rate:,.0f} examples/s"
    return words
