"""The page and the plot of a learning curve."""

import re
from pathlib import Path
from typing import Any

from tltool.report.curve import curve_plot, write_curve

HOSTILE = "<script>alert('x')</script>"


def point(strategy: str, labels: str, number: float | None, *values: float) -> dict[str, Any]:
    mean = sum(values) / len(values) if values else None
    sd = 0.02 if len(values) > 1 else None
    return {
        "strategy": strategy, "labels": labels, "labels_per_class": number, "mean": mean, "sd": sd,
        "values": list(values), "seeds": [], "seconds": 1.0,
    }  # fmt: skip


POINTS = [
    point("a", "100%", 120.0, 0.9, 0.94),
    point("a", "5", 5.0, 0.6, 0.64),
    point(HOSTILE, "5", 5.0, 0.5),
    point(HOSTILE, "100%", None),
]


def test_a_line_a_strategy_in_the_order_of_the_labels() -> None:
    plot = curve_plot(POINTS, "source_test/accuracy")
    assert [key.label for key in plot.legend] == ["a", HOSTILE]
    assert "a 62 at 5, 92 at 120" in plot.svg
    assert {"5", "120"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", plot.svg))
    assert "source_test/accuracy (%)" in plot.svg


def test_the_page_shows_every_point_and_needs_nothing_from_outside(tmp_path: Path) -> None:
    runs = [{"status": "failed", "path": "p", "reason": HOSTILE}]
    report = {"metric": "source_test/accuracy", "points": POINTS, "runs": runs}
    write_curve(tmp_path / "c.html", report, HOSTILE, {"dataset": HOSTILE})
    page = (tmp_path / "c.html").read_text()
    assert "62.0 ± 2.0 %" in page and "60.0 %, 64.0 %" in page and ">50.0 %<" in page
    assert "prefers-color-scheme: dark" in page and "currentColor" in page
    assert "<script" not in page and page.count("&lt;script&gt;") >= 6
    assert not re.search(r"https?://|@import|url\((?!#)", page)
