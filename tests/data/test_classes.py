"""Classes that a target lacks or adds, and classes that a study leaves out."""

import numpy as np
import pytest
import torch

from tltool.data.cache import Arrays
from tltool.data.classes import classes_of
from tltool.data.feeds.pair import Pair
from tltool.data.feeds.plain import Plain
from tltool.data.feeds.unlabelled import Unlabelled
from tltool.data.table import Table
from tltool.errors import UserError

SOURCE, TARGET = [0, 1, 2, 2], [1, 2, -1, -1, -1]
STRANGERS = [-1, -1, -1, -1, -1, -1, -1, 0, 1]  # of the last two: fox and emu


def arrays(strangers=True, target=TARGET) -> Arrays:
    labels = [*SOURCE, *target]
    column = (np.array(STRANGERS), ("fox", "emu"))
    return Arrays(
        stored=None,
        labels=np.array(labels),
        domains=np.array(["source"] * 4 + ["target"] * 5),
        splits=np.array([""] * 9),
        paths=[str(i) for i in range(9)],
        class_names=["cat", "dog", "3"],
        columns={"only_in_target": column} if strangers else {},
        skipped=[],
        fingerprint="",
        from_cache=False,
    )


def test_a_class_that_the_source_lacks_is_number_c():
    found = classes_of(arrays())
    assert found.names == ("cat", "dog", "3")
    assert found.labels.tolist() == [0, 1, 2, 2, 1, 2, -1, 3, 3]
    assert found.kept.all()
    assert found.sets is not None
    assert found.sets.missing_in_target == ["cat"]
    assert found.sets.only_in_target == ["fox", "emu"]
    assert (found.sets.classes, found.sets.unlabelled) == (3, 1)


def test_without_target_labels_nothing_is_known_of_its_classes():
    assert classes_of(arrays(strangers=False, target=[-1] * 5)).sets is None


def test_source_classes_are_renumbered_and_the_targets_others_are_unknown():
    found = classes_of(arrays(), source_classes=(3, "cat"))
    assert found.names == ("cat", "3")  # in the order of the data
    # What is left out has no label: the source's dog. The target's dog is unknown.
    assert found.labels.tolist() == [0, -1, 1, 1, 2, 1, -1, 2, 2]
    assert np.flatnonzero(~found.kept).tolist() == [1]
    assert found.sets is not None
    assert found.sets.missing_in_target == ["cat"]
    assert found.sets.only_in_target == ["dog", "fox", "emu"]


def test_target_classes_may_be_those_that_the_source_lacks_and_unlabelled_ones_leave():
    found = classes_of(arrays(), target_classes=("dog", "emu"))
    assert np.flatnonzero(~found.kept).tolist() == [5, 6, 7]
    assert found.labels.tolist() == [0, 1, 2, 2, 1, -1, -1, -1, 3]
    assert found.sets is not None
    assert found.sets.missing_in_target == ["cat", "3"]
    assert (found.sets.only_in_target, found.sets.unlabelled) == (["emu"], 0)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (("cat", "dig"), None, r"source_classes=\[cat,dig\]: no class dig; did you mean 'dog'"),
        (("cat", "fox"), None, "no class fox; .*there are cat, dog, 3$"),
        (("cat",), None, "two classes or more wanted"),
        (None, (), "target_classes=.*: a class wanted"),
        (None, ("owl",), "no class owl; there are cat, dog, 3, fox, emu$"),
        (None, ("fox",), "dataset.target_classes: the target has classes fox, and none"),
        (("cat", "dog"), (3,), "dataset.source_classes dataset.target_classes: the target has"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(source, target, said):
    with pytest.raises(UserError, match=said) as caught:
        classes_of(arrays(), source, target)
    assert len(caught.value.problems) == 1


def opened() -> Table:
    """Of the target, rows 4 to 8, the last two are of a class that the source lacks."""
    rows = {("source", "train"): np.arange(4), ("target", "train"): np.arange(4, 9)}
    y = torch.from_numpy(classes_of(arrays()).labels)
    return Table(torch.arange(9.0).view(9, 1), y, rows, ("cat", "dog", "3"))


def test_unknown_examples_are_adapted_to_and_never_learned_as_a_class():
    table = opened()
    assert table.labelled("target", "train").tolist() == [4, 5, 7, 8]
    assert table.lessons("target").tolist() == [4, 5]
    assert Plain(table, 4, seed=0, domain="target").pools()["target"].tolist() == [4, 5]
    pools = Pair(table, 4, seed=0).pools()
    assert pools["source"].tolist() == [0, 1, 2, 3]
    assert pools["target"].tolist() == [4, 5, 6, 7, 8]
    assert Unlabelled(table, 4, seed=0).pools()["target"].tolist() == [4, 5, 6, 7, 8]
