import numpy as np
import pytest
import torch

from tltool.data.feeds import feed_class
from tltool.data.feeds.heads import Heads
from tltool.data.feeds.pair import Pair
from tltool.data.feeds.plain import Plain
from tltool.data.feeds.views import Views
from tltool.data.table import Column, Table
from tltool.errors import UserError

SOURCE, TARGET, TEST = np.arange(0, 7), np.arange(7, 12), np.arange(12, 15)


def table(**change) -> Table:
    """15 examples whose input and label are both their row number; source row 3 has no label."""
    y = torch.arange(15)
    y[3] = -1
    fields = {
        "x": torch.arange(15.0).view(15, 1),
        "y": y,
        "rows": {
            ("source", "train"): SOURCE,
            ("target", "train"): TARGET,
            ("source", "test"): TEST,
        },
        "class_names": tuple(str(label) for label in range(15)),
    }
    return Table(**{**fields, **change})


def leaves(batch, path=()):
    for key, value in batch.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def test_plain_serves_labelled_source_training_rows():
    feed = Plain(table(), batch_size=3, seed=0)
    assert len(feed) == 2
    seen = set()
    for step in range(len(feed)):
        batch = feed[step]
        assert batch.keys() == {"x", "y", "index"}
        assert batch["index"].tolist() == batch["y"].tolist()
        assert batch["x"].shape == (3, 1)
        assert batch["x"].squeeze(1).tolist() == batch["y"].tolist()
        seen |= set(batch["y"].tolist())
    assert seen == {0, 1, 2, 4, 5, 6}  # row 3 has no label


def test_pair_serves_both_domains_and_no_target_label():
    feed = Pair(table(), batch_size=3, seed=0)
    sources, targets = set(), set()
    for step in range(4):
        batch = feed[step]
        assert {path for path, _ in leaves(batch)} == {
            ("source", "x"),
            ("source", "y"),
            ("source", "index"),
            ("target", "x"),
            ("target", "index"),
        }
        assert batch["source"]["x"].squeeze(1).tolist() == batch["source"]["y"].tolist()
        sources |= set(batch["source"]["y"].tolist())
        targets |= set(batch["target"]["x"].squeeze(1).int().tolist())
    assert sources == {0, 1, 2, 4, 5, 6} and targets == set(TARGET.tolist())


def test_target_labels_change_nothing_in_a_pair():
    poisoned = table().y.clone()
    poisoned[TARGET] = -7
    feed, other = Pair(table(), 3, seed=0), Pair(table(y=poisoned), 3, seed=0)
    for step in range(5):
        pairs = zip(leaves(feed[step]), leaves(other[step]), strict=True)
        assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


def test_an_epoch_is_a_pass_over_the_longest_stream():
    assert len(Pair(table(), batch_size=2, seed=0)) == 3  # 6 labelled source, 5 target
    rows = {("source", "train"): SOURCE, ("target", "train"): np.arange(7, 15)}
    assert len(Pair(table(rows=rows), batch_size=2, seed=0)) == 4


def test_pair_without_a_target_says_what_to_type():
    with pytest.raises(UserError, match="type dataset.target=FOLDER") as error:
        Pair(table(rows={("source", "train"): SOURCE}), 3, seed=0)
    assert len(error.value.problems) == 1


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_together_hold_the_batch_of_a_single_process(world):
    single = Pair(table(), batch_size=4, seed=0)
    ranks = [Pair(table(), 4, seed=0, rank=rank, world=world) for rank in range(world)]
    for step in range(4):
        assert {len(rank) for rank in ranks} == {len(single)}
        whole = dict(leaves(single[step]))
        parts = [dict(leaves(rank[step])) for rank in ranks]
        for path, tensor in whole.items():
            together = torch.empty_like(tensor)
            for rank, part in enumerate(parts):
                together[rank::world] = part[path]
            assert torch.equal(together, tensor)


def test_a_feed_is_found_by_the_name_of_its_module(tmp_path, monkeypatch):
    assert feed_class("plain") is Plain and feed_class("pair") is Pair
    (tmp_path / "two_views.py").write_text("class TwoViews: ...\n")
    monkeypatch.setattr("tltool.data.feeds.__path__", [str(tmp_path)])
    assert feed_class("two_views").__name__ == "TwoViews"
    with pytest.raises(ModuleNotFoundError):
        feed_class("missing")


def test_heads_serves_each_tasks_label_of_rows_that_have_one():
    left, right = torch.arange(15), 100 + torch.arange(15)
    left[[1, 2]] = -1
    right[2] = -1  # row 2 has no label of a task; row 3, of source, only lacks the plain one
    columns = {"task:left": Column(left, ()), "task:right": Column(right, ())}
    feed, seen = Heads(table(columns=columns), batch_size=3, seed=0), set()
    for step in range(2 * len(feed)):
        batch = feed[step]
        assert batch.keys() == {"x", "y"} and batch["y"].keys() == {"left", "right"}
        rows = batch["x"].squeeze(1).long()
        assert torch.equal(batch["y"]["left"], left[rows])
        assert torch.equal(batch["y"]["right"], right[rows])
        seen |= set(rows.tolist())
    assert seen == {0, 1, 3, 4, 5, 6}


def test_heads_without_tasks_says_what_to_type():
    with pytest.raises(UserError, match="type dataset=multi_mnist") as error:
        Heads(table(), 3, seed=0)
    assert len(error.value.problems) == 1
    unknown = {"task:left": Column(torch.full((15,), -1), ())}
    with pytest.raises(UserError, match="no training example of the source has a label"):
        Heads(table(columns=unknown), 3, seed=0)


def test_views_serve_all_training_images_twice_and_no_label():
    seen = {"source": set(), "target": set(), "both": set()}
    for domain, rows in seen.items():
        feed = Views(table(), batch_size=4, seed=0, domain=domain)
        for step in range(len(feed)):
            batch = feed[step]
            assert batch.keys() == {"views"}
            first, second = batch["views"]
            assert torch.equal(first, second)
            rows |= set(first.squeeze(1).int().tolist())
    assert seen["source"] == set(SOURCE.tolist())  # row 3 too, which has no label
    assert seen["target"] == set(TARGET.tolist())
    assert seen["both"] == seen["source"] | seen["target"]
    alone = table(rows={("source", "train"): SOURCE})
    assert len(Views(alone, batch_size=7, seed=0)) == 1
    with pytest.raises(UserError, match="no training images of the target"):
        Views(alone, batch_size=7, seed=0, domain="target")
