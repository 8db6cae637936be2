import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tltool.report.page import Embedding, ReportContent, write_report

HOSTILE = "<script>alert('x')</script>"


def content() -> ReportContent:
    domains = np.array(["source", "target"] * 30)
    rng = np.random.default_rng(0)
    history = [
        {"step": float(step), "epoch": float(step // 10), "train/classification": 2.0 / (step + 1),
         "train/domain": 0.69, "train/domain_accuracy": 0.6, "train/lr": 0.01}
        for step in range(30)
    ]  # fmt: skip
    return ReportContent(
        title="dann, seed 0",
        results={
            "status": "done", "strategy": "dann", "dataset": "mnist_m", "backbone": "lenet",
            "seed": 0, "selection": {"rule": "last", "epoch": 3, "epochs": 3},
            "metrics": {"source_test/accuracy": 0.974, "target_test/accuracy": 0.712},
            "counts": {"source_train": 2500, "trainable_parameters": 1234567},
            "timing": {"fit_s": 92.3, "examples_per_s": 1630.2},
            "controls": {"source_only": {"target_test/accuracy": 0.414}},
            "verdict": {"control": "source_only", "metric": "target_test/accuracy", "gain": 0.298,
                        "interval": [0.25, 0.341], "verdict": "positive"},
            "warnings": ["the discriminator is constant"],
        },
        history=history + [{"step": 29.0, "epoch": 2.0, "source_val/accuracy": 0.9}],
        confusion={"target_test": np.array([[7, 3], [0, 0]])},
        class_names=["cat", "dog"],
        embedding=Embedding(rng.normal(size=(60, 2)), np.arange(60) % 2, domains),
        changes=[("optimizer.lr", 0.01, 0.001), ("dataset.source", None, "photos")],
        record={"command": "tltool train strategy=dann", "versions": {"torch": "2.15.0"}},
    )  # fmt: skip


def written(tmp_path: Path, shown: ReportContent) -> str:
    path = tmp_path / "report.html"
    write_report(path, shown)
    return path.read_text("utf-8")


class Reader(HTMLParser):
    """Collects the elements, the addresses they refer to and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.sections: dict[str, str] = {}
        self.section = "top"
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "section":
            self.section = found["id"] or ""
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "xlink:href") and value
        ]

    def handle_data(self, data: str) -> None:
        self.sections[self.section] = self.sections.get(self.section, "") + f"{data.strip()} "

    def says(self, section: str) -> str:
        return re.sub(r"\s+", " ", self.sections[section])


def test_every_section_shows_its_data(tmp_path: Path) -> None:
    read = Reader(written(tmp_path, content()))
    top = read.says("results")
    assert top.index("71.2 %") < top.index("97.4 %") < top.index("+29.8")
    assert (
        "dann helped: +29.8 points on target_test/accuracy against source_only,"
        " 95 % interval +25.0 to +34.1" in top
    )
    assert "epoch 3 of 3, chosen by rule `last`; target labels were not used" in top
    assert "Warning: the discriminator is constant" in top
    learning = read.says("learning")
    for title in ("Loss terms", "Accuracy", "Discriminator accuracy", "Learning rate"):
        assert title in learning
    for words in ("training step (batches)", "loss (no unit)", "accuracy (%)", "chance, 50 %"):
        assert words in learning
    assert "70.0 % of 10" in read.says("confusion")
    assert "7 of 10 images on the diagonal" in read.says("confusion")
    assert "Coloured by domain" in read.says("embedding")
    assert "Coloured by class" in read.says("embedding")
    assert "optimizer.lr 0.01 0.001 dataset.source null photos" in read.says("changes")
    assert "2,500" in read.says("counts") and "1 min 32 s" in read.says("counts")
    assert "versions.torch 2.15.0" in read.says("record")


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    html = written(tmp_path, content())
    read = Reader(html)
    assert read.addresses, "the scatter plots are embedded images"
    assert all(address.startswith(("data:image/png", "#")) for address in read.addresses)
    assert not {"script", "link", "iframe", "img"} & set(read.tags)
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert len(html) < 1_000_000


def test_words_from_data_are_escaped_everywhere(tmp_path: Path) -> None:
    plain = content()
    results = {
        **plain.results,
        "strategy": HOSTILE,
        "warnings": [HOSTILE],
        "metrics": {f"target_test/{HOSTILE}": 1.0},
        "controls": {HOSTILE: {}},
        "selection": {"rule": HOSTILE, "epoch": 1},
        "verdict": {**plain.results["verdict"], "control": f"{HOSTILE}"},
    }
    hostile = ReportContent(
        title=HOSTILE,
        results=results,
        history=[{"step": 1.0, f"train/{HOSTILE}": 1.0}],
        confusion={HOSTILE: np.eye(2, dtype=int)},
        class_names=[HOSTILE, '"><img src=x onerror=alert(1)>'],
        embedding=plain.embedding,
        changes=[(HOSTILE, HOSTILE, [HOSTILE])],
        record={HOSTILE: {HOSTILE: HOSTILE}},
    )
    html = written(tmp_path, hostile)
    assert not {"script", "img"} & set(Reader(html).tags)
    assert html.count("&lt;script&gt;") >= 15


@pytest.mark.parametrize(
    ("change", "section", "words"),
    [
        ({"history": []}, "learning", "No history was recorded"),
        ({"history": [{"step": 1.0, "train/loss": float("nan")}]}, "learning", "No history"),
        ({"confusion": {}}, "confusion", "No confusion matrix was recorded"),
        ({"embedding": None}, "embedding", "No embedding was recorded"),
        ({"changes": []}, "changes", "Every setting is at its default"),
        ({"results": {}}, "results", "Selection: not recorded"),
    ],
)
def test_a_missing_part_is_said_and_the_rest_stays(
    tmp_path: Path, change: dict[str, object], section: str, words: str
) -> None:
    read = Reader(written(tmp_path, replace(content(), **change)))
    assert words in read.says(section)
    assert "versions.torch 2.15.0" in read.says("record")


def test_without_target_nothing_is_said_about_it(tmp_path: Path) -> None:
    results = {"metrics": {"source_test/accuracy": 0.9}, "selection": {"rule": "last", "epoch": 1}}
    shown = replace(content(), results=results, embedding=None, confusion={})
    top = Reader(written(tmp_path, shown)).says("results")
    assert "90.0 %" in top and "target" not in top


def test_oracle_selection_is_called_what_it_is(tmp_path: Path) -> None:
    results = {**content().results, "selection": {"rule": "oracle", "epoch": 2}}
    top = Reader(written(tmp_path, replace(content(), results=results))).says("results")
    assert "target labels were used, so the target figures are an upper bound" in top


def test_many_classes_with_odd_names_still_draw(tmp_path: Path) -> None:
    names = [f"$_{i} 猫" for i in range(25)]
    shown = replace(content(), class_names=names, confusion={"test": np.eye(25, dtype=int)})
    read = Reader(written(tmp_path, shown))
    assert "true class (index)" in read.says("confusion")
    assert "$_24 猫" in read.says("confusion")
    assert "25 classes: colours follow their order" in read.says("embedding")


def test_few_classes_are_named_beside_their_counts(tmp_path: Path) -> None:
    shown = replace(content(), class_names=["_猫", "$a$ and a name that is too long"])
    svg = re.search(r"<svg[^>]*Confusion.*?</svg>", written(tmp_path, shown), re.DOTALL)
    assert svg is not None
    words = re.findall(r"<text[^>]*>([^<]+)</text>", svg[0])
    assert {"_猫", "$a$ and a nam…", "7", "3"} <= set(words)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path, content()) == written(tmp_path, content())


def test_a_failed_write_leaves_the_old_page_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_report(path, ReportContent("new", {}))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'test' is \(3, 3\), but there are 2 class names"):
        ReportContent("t", {}, confusion={"test": np.eye(3, dtype=int)}, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"\(N, 2\), \(N,\) and \(N,\)"):
        Embedding(np.zeros((4, 2)), np.zeros(3, int), np.array(["source"] * 4))


def test_numbers_are_drawn_in_place_of_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(20, 5, 60)
    plain = content()
    metrics = {"target_test/r2": 0.8125, "target_test/mae": 1.25}
    verdict = {**plain.results["verdict"], "metric": "target_test/r2"}
    controls = {"source_only": {"target_test/r2": 0.5145}}
    assert plain.embedding is not None
    shown = replace(
        plain,
        results={**plain.results, "metrics": metrics, "verdict": verdict, "controls": controls},
        history=[{"step": 1.0, "source_val/r2": -0.5, "train/error": 0.7, "train/label": 1.0}] * 2,
        confusion={},
        estimates={"target_test": (labels, labels + 1)},
        class_names=[],
        embedding=replace(plain.embedding, labels=np.where(labels > 25, np.nan, labels)),
    )
    read = Reader(written(tmp_path, shown))
    top = read.says("results")
    assert "target test R² 0.8125 source_only 0.5145" in top
    assert "R² over source_only +0.298 95 % interval +0.250 to +0.341" in top
    assert "+0.298 on target_test/r2 against source_only" in top and "points" not in top
    assert "True and predicted numbers" in read.says("confusion")
    assert "60 examples" in read.says("confusion")
    assert "Coloured by label" in read.says("embedding")
    assert "grey where unknown" in read.says("embedding")
    assert "R² (1 is exact)" in read.says("learning")


def test_points_of_no_class_are_grey_and_say_so(tmp_path: Path) -> None:
    plain = content()
    assert plain.embedding is not None
    assert "no label" not in Reader(written(tmp_path, plain)).says("embedding")
    labels = np.array([0, 1, 2, -1] * 15)  # of two classes
    shown = replace(plain, embedding=replace(plain.embedding, labels=labels))
    assert "no label" in Reader(written(tmp_path, shown)).says("embedding")
