"""Episodes are a function of seed and number; their classes, labels and parts are what they say."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tltool.data.feeds.episodes import Episodes, draw_episode, episode_labels, rows_of_classes
from tltool.data.table import Table
from tltool.errors import UserError

TRAINED, TEST, PER_CLASS = 6, 4, 5  # classes of each split, examples of each class


def table(**change: Any) -> Table:
    """Inputs are row numbers; the rows of a class are scattered, and one more has no label."""
    y = torch.arange((TRAINED + TEST) * PER_CLASS) % (TRAINED + TEST)
    y = torch.cat([y, torch.tensor([-1])])
    rows = np.arange(len(y))
    in_training = y.numpy() < TRAINED
    fields = {
        "x": torch.arange(float(len(y))).view(-1, 1),
        "y": y,
        "rows": {("source", "train"): rows[in_training], ("source", "test"): rows[~in_training]},
        "class_names": tuple("abcdefghij"),
    }
    return Table(**{**fields, **change})


def feed(**options: Any) -> Episodes:
    given = {"seed": 0, "way": 4, "shot": 2, "query": 3, **options}
    return Episodes(table(), batch_size=7, **given)


def rows_of(part: Any) -> list[int]:
    found: list[int] = part["x"].squeeze(1).int().tolist()
    return found


def test_an_episode_is_what_it_says() -> None:
    episodes, y = feed(), table().y
    drawn = set()
    for step in range(20):
        batch = episodes[step]
        assert batch.keys() == {"support", "query"}
        support, query = rows_of(batch["support"]), rows_of(batch["query"])
        assert (len(support), len(query)) == (4 * 2, 4 * 3)
        assert len({*support, *query}) == 4 * 5  # none twice, none in both
        of_label: dict[int, set[int]] = {}
        for part, rows in (("support", support), ("query", query)):
            for row, label in zip(rows, batch[part]["y"].tolist(), strict=True):
                of_label.setdefault(label, set()).add(int(y[row]))
        assert sorted(of_label) == [0, 1, 2, 3]
        assert all(len(classes) == 1 for classes in of_label.values())
        classes = set.union(*of_label.values())
        assert len(classes) == 4
        drawn |= classes
    assert drawn == set(range(TRAINED))  # all that are trained on, none of the test's


def test_an_episode_depends_on_seed_and_number_alone() -> None:
    forward = [rows_of(feed()[step]["query"]) for step in range(6)]
    episodes = feed()
    backward = [rows_of(episodes[step]["query"]) for step in reversed(range(6))]
    assert forward == backward[::-1]
    assert len({tuple(rows) for rows in forward}) == 6
    assert rows_of(feed(seed=1)[0]["query"]) != forward[0]


def test_episodes_are_equal_for_every_worker_count() -> None:
    def served(workers: int) -> list[list[int]]:
        loader = DataLoader(
            feed(),
            batch_size=None,
            sampler=range(5),
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
        )
        return [rows_of(batch["support"]) for batch in loader]

    assert served(0) == served(2)


def test_devices_share_the_episodes_of_one_device() -> None:
    single = [rows_of(feed()[step]["query"]) for step in range(6)]
    ranks = [feed(rank=rank, world=2) for rank in range(2)]
    together = [rows_of(rank[step]["query"]) for step in range(3) for rank in ranks]
    assert together == single
    assert {len(rank) for rank in ranks} == {1}  # 30 examples, 20 on each device


def test_an_epoch_shows_as_many_examples_as_there_are() -> None:
    assert feed().examples == 20 and len(feed()) == 2  # 30 examples
    assert feed(way=2, query=1).examples == 6 and len(feed(way=2, query=1)) == 5


def test_training_examples_are_those_that_episodes_are_made_of() -> None:
    (rows,) = feed().pools().values()
    part = feed().part("episode", rows)
    assert sorted(rows) == sorted(table().labelled("source", "train"))
    assert part["y"].tolist() == table().y[torch.from_numpy(rows)].tolist()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"way": 7}, "strategy.way=7: 6 training classes have .* type strategy.way=6"),
        ({"query": 4}, "0 training classes have the 6 examples .* type a smaller strategy.query"),
    ],
)
def test_too_few_classes_are_refused_with_what_to_type(options: dict[str, int], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        feed(**options)
    assert len(error.value.problems) == 1


def test_classes_with_too_few_examples_are_left_out() -> None:
    y = table().y.clone()
    y[0] = -1  # class 0 has 4 left
    episodes = Episodes(table(y=y), 7, seed=0, way=5, shot=2, query=3)
    drawn = {int(y[row]) for step in range(9) for row in rows_of(episodes[step]["query"])}
    assert drawn == {1, 2, 3, 4, 5}


def test_a_class_with_fewer_queries_gives_what_it_has() -> None:
    classes = rows_of_classes(table(), np.array([0, 10, 20, 1, 11, 21, 31, 41]), at_least=3)
    assert [of.tolist() for of in classes] == [[0, 10, 20], [1, 11, 21, 31, 41]]
    support, query = draw_episode(classes, 2, 1, 15, np.random.default_rng(0))
    assert sorted(map(len, query)) == [2, 4] and list(map(len, support)) == [1, 1]
    assert sorted(np.concatenate([*support, *query])) == [0, 1, 10, 11, 20, 21, 31, 41]
    counts = torch.bincount(episode_labels(query)).tolist()
    assert counts == [len(of) for of in query]
