"""Further figures of a run, the same in the terminal and on the page."""

import io
from dataclasses import asdict

from rich.console import Console

from tltool.evaluation.base import Grid
from tltool.report import wording
from tltool.report.matrices import grid_plot
from tltool.report.page import ReportContent, write_report
from tltool.report.tables import results_table, show

MATRIX = Grid("after each", ("one", "two"), ("a", "b"), ((0.98, None), (0.5, 0.125)), heat=True)
COUNTS = Grid("by <group>", ("f",), ("n", "mean"), ((12.0, 0.25),), percent=False)
RESULTS = {"status": "done", "strategy": "naive", "grids": [asdict(MATRIX), asdict(COUNTS)]}


def test_values_are_percent_or_as_they_are_and_gaps_are_dashes():
    assert wording.grid_rows(asdict(MATRIX)) == [
        ("one", ["98.0 %", "-"]),
        ("two", ["50.0 %", "12.5 %"]),
    ]
    assert wording.grid_rows(asdict(COUNTS)) == [("f", ["12", "0.25"])]


def test_the_terminal_shows_every_grid_under_its_title(tmp_path):
    out = io.StringIO()
    show(Console(file=out, width=80), results_table(RESULTS, tmp_path))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["after", "each"] in lines and ["by", "<group>"] in lines
    assert ["two", "50.0", "%", "12.5", "%"] in lines
    assert ["f", "12", "0.25"] in lines


def test_the_page_draws_a_matrix_and_writes_the_others_as_tables(tmp_path):
    write_report(tmp_path / "report.html", ReportContent(title="x", results=RESULTS))
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 1 and "98.0" in page
    assert "by &lt;group&gt;" in page and "<td" in page
    assert ">0.25<" in page


def test_a_picture_says_what_it_shows():
    svg = str(grid_plot(asdict(MATRIX)).svg)
    assert "after each, in percent. one: 98.0, nan; two: 50.0, 12.5" in svg
    assert svg.count("98.0") == 2  # in the words and in its cell


def test_every_control_has_a_sentence():
    one = {"control": "a", "metric": "m/accuracy", "gain": 0.1, "interval": [0.05, 0.15]}
    verdicts = [{**one, "verdict": "positive"}, {**one, "control": "b", "verdict": "none"}]
    found = wording.verdicts({"strategy": "s", "verdict": verdicts[0], "verdicts": verdicts})
    assert [word for word, _ in found] == ["positive", "none"]
    assert found[0][1].startswith("s helped: +10.0 points on m/accuracy against a")
    assert "against b" in found[1][1]
    assert len(wording.verdicts({"strategy": "s", "verdict": verdicts[0]})) == 1
    assert wording.verdicts({"strategy": "s"}) == []
