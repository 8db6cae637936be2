"""Is the adaptation working? What was measured, and what it says."""

from collections.abc import Iterator
from dataclasses import dataclass

from tltool.report.wording import NO_VALUE, Results, metric, percent

BASELINE = "source_only"
VALIDATOR_COLUMNS = ("epoch", "score", "target accuracy", "below the oracle")
WORDS = {"positive": "it adapts", "none": "no clear effect", "negative": "it hurts"}
NEAR = 0.01  # accuracies that differ by less than a point are called the same


@dataclass(frozen=True)
class Sign:
    """One thing to look at.

    Args:
        name: What it is.
        figure: What was measured.
        says: What that means.
    """

    name: str
    figure: str
    says: str


def signs(results: Results) -> list[Sign]:
    """Returns what tells whether a strategy that adapts does so; empty for one that does not."""
    if "signs" not in results or not results["signs"]:
        return []
    return [*_accuracies(results), *_classes(results), *_domains(results), *_predicted(results)]


def _accuracies(results: Results) -> Iterator[Sign]:
    control = results.get("controls", {}).get(BASELINE, {})
    verdicts = {one["control"]: one["verdict"] for one in results.get("verdicts", [])}
    for domain in ("target", "source"):
        name = f"{domain}_test/accuracy"
        ours, theirs = results.get("metrics", {}).get(name), control.get(name)
        if ours is None:
            continue
        if theirs is None:
            yield Sign(f"{domain} accuracy", percent(ours), "controls=true says against what")
            continue
        gain = ours - theirs
        says = "kept" if abs(gain) < NEAR else f"{100 * gain:+.1f} points"
        if domain == "target":
            says = f"{100 * gain:+.1f} points: {WORDS[verdicts.get(BASELINE, 'none')]}"
        yield Sign(f"{domain} accuracy", f"{BASELINE} {percent(theirs)}, now {percent(ours)}", says)


def _classes(results: Results) -> Iterator[Sign]:
    for grid in results.get("grids", []):
        if BASELINE not in grid["columns"] or "class" not in grid["title"]:
            continue
        at = grid["columns"].index(BASELINE)
        rows = [
            (name, values[0], values[at])
            for name, values in zip(grid["rows"], grid["values"], strict=True)
            if values[0] is not None and values[at] is not None
        ]
        if rows:
            better = sum(ours >= theirs - NEAR for _, ours, theirs in rows)
            name, low, before = min(rows, key=lambda row: row[1])
            says = f"lowest: {name} {percent(low)}, before {percent(before)}"
            yield Sign("classes of the target", f"{better} of {len(rows)} no worse", says)


def _domains(results: Results) -> Iterator[Sign]:
    if discriminator := results["signs"].get("domain_accuracy"):
        first, last = discriminator
        says = "it still tells them apart" if last > 0.9 else "it is held near chance (50 %)"
        if 0.6 < last <= 0.9:
            says = "it tells some apart"
        yield Sign("discriminator is right", f"{percent(first)}, then {percent(last)}", says)
    metrics = results.get("metrics", {})
    after = metrics.get("a_distance/after")
    if after is not None:
        before = metrics.get("a_distance/before")
        says = "0: domains cannot be told apart by their features, 2: always"
        figure = f"{before:.2f} before, {after:.2f} after" if before is not None else f"{after:.2f}"
        control = results.get("controls", {}).get(BASELINE, {}).get("a_distance/after")
        if control is not None:
            figure += f", {BASELINE} {control:.2f}"
        yield Sign("proxy A-distance", figure, says)


def _predicted(results: Results) -> Iterator[Sign]:
    if predicted := results["signs"].get("predicted_classes"):
        says = "classes predicted on the target, if all were equally frequent"
        yield Sign("predicted classes", f"{predicted[1]:.1f}", says)


def validator_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Returns what each recorded validator would have chosen, the oracle left out.

    Returns:
        Its name; epoch, score, target accuracy there, and what that is below the oracle's.
    """
    found = results.get("validators", {})
    best = found.get("oracle", {}).get("score")
    rows = []
    for name, one in found.items():
        if name == "oracle":
            continue
        accuracy = one.get("target_accuracy")
        cost = None if accuracy is None or best is None else best - accuracy
        rows.append(
            (
                name,
                [
                    str(int(one["epoch"])),
                    f"{one['score']:.4g}",
                    metric("accuracy", accuracy),
                    NO_VALUE if cost is None else f"{100 * cost:.1f} points",
                ],
            )
        )
    return rows


def oracle_sentence(results: Results) -> str | None:
    """Says what the target's test labels would have chosen, where that was recorded."""
    one = results.get("validators", {}).get("oracle")
    if one is None or results.get("selection", {}).get("rule") == "oracle":
        return None
    return (
        f"oracle: epoch {int(one['epoch'])} has {percent(one['score'])} on the target's test "
        "labels, which nobody has; for study only, and not used to choose"
    )
