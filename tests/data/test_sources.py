"""Several named sources, from the stream of rows to the figures of each."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tltool.data.feeds.pair import Pair
from tltool.data.feeds.plain import Plain
from tltool.data.feeds.sources import Sources
from tltool.data.feeds.unlabelled import Unlabelled
from tltool.data.feeds.views import Views
from tltool.data.splits import assign_splits, hold_out_validation
from tltool.data.streams import MixedStream, Stream
from tltool.data.table import DOMAIN, Column, Table
from tltool.errors import UserError
from tltool.evaluation.base import Subject
from tltool.evaluation.domains import Domains
from tltool.run.build import absent_classes
from tltool.strategies.base import DataSpec, Strategy

LARGE, SMALL, TARGET = np.arange(0, 12), np.arange(12, 15), np.arange(15, 20)


def table(**change) -> Table:
    """Source a of 12 examples, b of 3, a target of 5; the input of each is its row number."""
    domain = torch.tensor([0] * 12 + [1] * 3 + [-1] * 5)
    fields = {
        "x": torch.arange(20.0).view(20, 1),
        "y": torch.arange(20) % 2,
        "rows": {("source", "train"): np.arange(15), ("target", "train"): TARGET},
        "class_names": ("no", "yes"),
        "columns": {DOMAIN: Column(domain, ("a", "b"))},
    }
    return Table(**{**fields, **change})


def drawn(stream, steps):
    return [stream.batch(step).tolist() for step in steps]


def test_each_pool_gives_equally_many_whatever_its_size():
    stream = MixedStream({"a": LARGE, "b": SMALL}, 5, seed=0, role="source")
    for step in range(8):
        rows = stream.batch(step)
        of_a = rows < 12
        assert of_a.sum() == (3 if step % 2 == 0 else 2)
        assert (np.diff(of_a.astype(int)) <= 0).all()  # one pool after the other
    rows = np.concatenate(drawn(stream, range(24)))
    assert (np.bincount(rows) == [5] * 12 + [20] * 3).all()  # 60 rows of each


def test_a_pool_is_drawn_as_if_it_were_alone():
    pools = {"a": LARGE, "b": SMALL, "c": TARGET}
    stream = MixedStream(pools, 3, seed=0, role="source")
    mixed = np.array(drawn(stream, range(30)))
    for column, (name, pool) in enumerate(pools.items()):
        alone = Stream(pool, 1, seed=0, role=f"source/{name}")
        assert mixed[:, column].tolist() == [row for [row] in drawn(alone, range(30))]
    wide = MixedStream(pools, 6, seed=0, role="source")  # batches of another size, the same rows
    assert sorted(wide.batch(0)) == sorted(mixed[:2].ravel())


def test_a_mixed_batch_is_a_function_of_its_step():
    stream = MixedStream({"a": LARGE, "b": SMALL}, 5, seed=0, role="source")
    in_order = drawn(stream, range(20))
    again = MixedStream({"a": LARGE, "b": SMALL}, 5, seed=0, role="source")
    assert drawn(again, reversed(range(20))) == in_order[::-1]
    assert drawn(MixedStream({"a": LARGE, "b": SMALL}, 5, 1, "source"), range(20)) != in_order


def test_an_epoch_is_over_when_the_largest_pool_has_been_seen():
    assert len(MixedStream({"a": LARGE, "b": SMALL}, 5, 0, "source")) == 5  # 24 rows of both
    assert len(Sources(table(), 5, seed=0)) == 3  # 12 rows of a


def test_plain_and_pair_draw_the_same_and_say_which_source():
    plain, pair = Plain(table(), 6, seed=0), Pair(table(), 6, seed=0)
    for step in range(6):
        alone, both = plain[step], pair[step]
        assert alone.keys() == {"x", "y", "index", "domain"}
        assert both["target"].keys() == {"x", "index"}
        assert alone["domain"].tolist() == [0, 0, 0, 1, 1, 1]
        assert ((alone["index"] >= 12).long() == alone["domain"]).all()
        for key, value in alone.items():
            assert torch.equal(both["source"][key], value)
    assert Plain(table(), 6, seed=0, domain="target")[0].keys() == {"x", "y", "index"}


def test_what_is_not_of_the_sources_alone_is_drawn_as_before():
    single = table(columns={})
    for kind, options in ((Views, {"domain": "both"}), (Unlabelled, {"domain": "target"})):
        ours, plain = kind(table(), 4, seed=0, **options), kind(single, 4, seed=0, **options)
        for step in range(5):
            a, b = ours[step], plain[step]
            x, y = (a["views"][0], b["views"][0]) if kind is Views else (a["x"], b["x"])
            assert torch.equal(x, y)


def test_sources_hold_a_batch_of_each_and_are_a_larger_plain():
    feed, plain = Sources(table(), 4, seed=0), Plain(table(), 8, seed=0)
    assert feed.examples == 8
    for step in range(5):
        batch = feed[step]
        assert batch["domain"].tolist() == [0] * 4 + [1] * 4
        assert all(torch.equal(batch[key], plain[step][key]) for key in batch)


def test_ranks_share_every_source():
    single, ranks = Sources(table(), 4, seed=0), [Sources(table(), 4, 0, r, 2) for r in range(2)]
    for step in range(4):
        parts = [rank[step] for rank in ranks]
        assert all(part["domain"].tolist() == [0, 0, 1, 1] for part in parts)
        rows = torch.cat([part["index"] for part in parts])
        assert sorted(rows.tolist()) == sorted(single[step]["index"].tolist())


def test_sources_without_several_of_them_say_what_to_type():
    with pytest.raises(UserError, match=r"type dataset.source=\[A,B\]") as error:
        Sources(table(columns={}), 4, seed=0)
    assert len(error.value.problems) == 1
    y = table().y.clone()
    y[SMALL] = -1
    with pytest.raises(UserError, match="no training example of b has a label"):
        Sources(table(y=y), 4, seed=0)


def test_every_source_is_split_as_if_it_were_the_only_one():
    labels = np.concatenate([np.arange(40) % 4, np.arange(100) % 4, np.arange(20) % 4])
    domains = np.repeat(["source", "target"], [140, 20])
    sources = np.repeat([0, 1, -1], [40, 100, 20])
    empty = np.full(160, "", dtype="<U5")
    splits = assign_splits(labels, domains, empty, 0.2, 0, sources=sources)
    for source in (0, 1, -1):
        here = sources == source
        alone = assign_splits(labels[here], domains[here], empty[here], 0.2, 0)
        assert (splits[here] == alone).all()
        counts = np.bincount(labels[here & (splits == "test")])
        assert counts.tolist() == [here.sum() // 20] * 4
    given = empty.copy()
    given[:40] = "train"
    given[0] = "test"
    kept = assign_splits(labels, domains, given, 0.2, 0, sources=sources)
    assert (kept[:40] == given[:40]).all() and (kept[40:] == splits[40:]).all()


def test_validation_is_a_part_of_every_source_and_classes_are_held_out_of_all():
    labels = np.arange(150) % 5
    sources = np.repeat([0, 1], [50, 100])
    _, val = hold_out_validation(labels, np.arange(150), 0.2, 0, sources=sources)
    assert np.bincount(sources[val]).tolist() == [10, 20]
    assert np.bincount(labels[val]).tolist() == [6] * 5
    train, val = hold_out_validation(labels, np.arange(150), 0.2, 0, True, sources)
    assert not set(labels[val]) & set(labels[train])
    domains, empty = np.full(150, "source"), np.full(150, "", dtype="<U5")
    splits = assign_splits(labels, domains, empty, 0.2, 0, True, sources)
    assert not set(labels[splits == "test"]) & set(labels[splits == "train"])


def test_a_class_that_a_source_lacks_is_said():
    y = table().y.clone()
    assert absent_classes(table()) == [] == absent_classes(table(columns={}))
    y[SMALL] = 0
    said = "not every source has training examples of every class: b has none of yes"
    assert absent_classes(table(y=y)) == [said]


def test_each_source_is_scored():
    """Inputs are the class that is predicted: right are 2 of 3 of a, 1 of 2 of b, the target's."""
    x, y = torch.tensor([0, 0, 1, 0, 1, 1]), torch.tensor([0, 0, 0, 0, 0, 1])
    columns = {DOMAIN: Column(torch.tensor([0, 0, 0, 1, 1, -1]), ("a", "b"))}
    rows = {("source", "test"): np.arange(5), ("target", "test"): np.array([5])}

    class ByTheInput(Strategy):
        def predict(self, net, x):
            return torch.nn.functional.one_hot(x, 2).float()

    def scores(columns):
        scored = Table(x, y, rows, ("no", "yes"), columns)
        spec = DataSpec(2, ("no", "yes"), {})
        batches = lambda rows: [scored.take(rows)]  # noqa: E731
        subject = Subject(None, ByTheInput(), scored, spec, 0, batches, nullcontext)
        return Domains(subject).final()

    several, one = scores(columns), scores({})
    assert one.grids == () and several.metrics == {
        **one.metrics,
        "source_test/accuracy/a": pytest.approx(2 / 3),
        "source_test/accuracy/b": 0.5,
        "source_test/worst_source_accuracy": 0.5,
    }
    [grid] = several.grids
    assert grid.rows == ("a (3)", "b (2)") and grid.columns == ("accuracy",)
    assert grid.values == ((pytest.approx(2 / 3),), (0.5,))
