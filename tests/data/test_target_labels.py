"""Semi-supervised adaptation: a few labels of the target are learned from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tltool.data.datamodule import DataModule
from tltool.data.feeds.pair import Pair
from tltool.data.feeds.plain import Plain
from tltool.data.options import DataOptions
from tltool.data.preprocessing import Preprocessing
from tltool.data.table import Table
from tltool.data.transforms import Prepare

TARGET = np.arange(12, 20)


def table(known=(13, 16), source=12) -> Table:
    """The source's rows and 8 of the target; the input is the row number."""
    rows = {("source", "train"): np.arange(source), ("target", "train"): TARGET}
    x, y = torch.arange(20.0).view(20, 1), torch.arange(20) % 2
    return Table(x, y, rows, ("even", "odd"), known=np.array(known, dtype=np.int64))


def test_half_of_the_labels_that_are_learned_from_are_the_targets():
    rows = table().lessons("source")
    assert np.bincount(rows, minlength=20).tolist() == [1] * 12 + [0, 6, 0, 0, 6, 0, 0, 0]
    # More target labels than the source's: then those are repeated.
    fewer = table(known=range(12, 20), source=2).lessons("source")
    assert np.bincount(fewer, minlength=20).tolist() == [4, 4] + [0] * 10 + [1] * 8
    assert table(known=()).lessons("source").tolist() == list(range(12))
    assert table().lessons("target").tolist() == TARGET.tolist()


@pytest.mark.parametrize("kind", [Plain, Pair])
def test_known_examples_are_learned_from_and_still_adapted_to(kind):
    feed = kind(table(), batch_size=4, seed=0)
    learned, adapted = [], set()
    for step in range(len(feed)):
        batch = feed[step]
        source = batch["source"] if kind is Pair else batch
        assert (source["y"] == source["x"].squeeze(1).long() % 2).all()
        learned += source["index"].tolist()
        if kind is Pair:
            assert batch["target"].keys() == {"x", "index"}
            adapted |= set(batch["target"]["index"].tolist())
    assert len(learned) == 24 and sum(i >= 12 for i in learned) == 12
    assert {i for i in learned if i >= 12} == {13, 16}
    if kind is Pair:
        assert adapted == set(TARGET.tolist())


def test_other_target_labels_change_nothing():
    poisoned = table()
    y = poisoned.y.clone()
    y[[12, 14, 15, 17, 18, 19]] += 5
    feed, other = Pair(table(), 3, seed=0), Pair(replace(poisoned, y=y), 3, seed=0)
    for step in range(9):
        for role in ("source", "target"):
            for key, value in feed[step][role].items():
                assert torch.equal(value, other[step][role][key])


def test_each_is_shown_once_between_two_stages():
    prepare = Prepare(Preprocessing())
    datamodule = DataModule(table(), prepare, 4, 8, seed=0)
    datamodule.prepare = lambda x, training: x  # no images here
    batches = datamodule.examples("pair", {}, "cpu")
    seen = [i for batch in batches for i in batch["index"].tolist()]
    assert seen == [*range(12), 13, 16]


@pytest.mark.parametrize("amount", [0, "0%", "few"])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(ValueError, match=f"^target_labels={amount}: a number from 1 on"):
        DataOptions(target_labels=amount)
