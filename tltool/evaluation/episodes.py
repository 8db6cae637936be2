"""Few-shot learning: accuracy on episodes of classes that were not trained on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.data.feeds.episodes import draw_episode, episode_labels, rows_of_classes
from tltool.errors import UserError
from tltool.evaluation.base import Evaluation, Grid, Scores, Subject

# The usual settings, queries a class and episodes: Snell et al. 2017, sections 3.1 and 3.2.
WAYS, SHOTS = (5, 20), (1, 5)
QUERIES = 15
EPISODES = 600
SEED = 0  # of the episodes, whatever the run's: two runs are compared episode by episode
NORMAL_95 = 1.96  # 95 % of a normal distribution are within so many standard deviations

Rows = NDArray[np.int64]
Setting = tuple[int, int]  # ways and shots


class Episodes(Evaluation):
    """Mean accuracy over seeded episodes of the source's test classes, and its 95 % interval.

    In an episode of W ways and K shots a strategy is shown K examples of each of W classes and
    tells up to 15 others of each apart (`tltool.strategies.base.Strategy.classify`). The features
    of all examples are computed once, unless the strategy adapts the network.

    References:
        [0] Snell, Swersky & Zemel, Prototypical networks for few-shot learning, NeurIPS 2017.
    """

    selects: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self.unseen = self._unseen()

    def _unseen(self) -> Rows:
        """Returns the test examples of classes that have no training examples."""
        table = self.subject.table
        rows, trained = table.labelled("source", "test"), table.labelled("source", "train")
        labels = table.y.numpy()
        rows = rows[~np.isin(labels[rows], labels[trained])]
        if not self._settings(rows):
            raise UserError(
                "evaluation=episodes scores on classes that were not trained on, and the test "
                "split has no two of them with two examples each: type dataset.split_by=class, "
                "and a larger dataset.test_fraction where that does not do"
            )
        return rows

    def score(self, domain: str, split: str) -> float:
        """Returns the accuracy in five ways and one shot on a split.

        Its classes are trained on too, unless `dataset.split_by` is ``class``.

        Raises:
            UserError: It has too few examples.
        """
        rows = self.subject.table.labelled(domain, split)
        settings = self._settings(rows)
        if not settings:
            raise UserError(
                f"the {domain}'s {split} split, on which `selection` scores, has no two classes "
                "with two examples each: type dataset.split_by=class, or selection=last"
            )
        (accuracies,) = self._accuracies(rows, settings[:1]).values()
        return float(accuracies.mean())

    def final(self) -> Scores:
        """Returns ``source_test/<W>way_<K>shot_accuracy``, the interval ``..._ci95``, a grid."""
        found = self._accuracies(self.unseen, self._settings(self.unseen))
        metrics, units = {}, {}
        for (way, shot), accuracies in found.items():
            name = f"source_test/{way}way_{shot}shot_accuracy"
            units[name] = accuracies
            metrics[name], metrics[f"{name}_ci95"] = float(accuracies.mean()), interval(accuracies)
        return Scores(metrics, units, {}, (_grid(found),))

    def _settings(self, rows: Rows) -> list[Setting]:
        """Returns the settings that the rows allow: with fewer classes than 5, all of them."""
        settings = []
        for way, shot in product(WAYS, SHOTS):
            classes = len(rows_of_classes(self.subject.table, rows, shot + 1))
            if classes >= way or (way == WAYS[0] and classes >= 2):
                settings.append((min(way, classes), shot))
        return settings

    def _accuracies(
        self, rows: Rows, settings: Sequence[Setting]
    ) -> dict[Setting, NDArray[np.float64]]:
        """Returns the accuracy in each episode of each setting."""
        with self.subject.scoring(), self._inputs(np.sort(rows)) as inputs:
            return {(way, shot): self._play(rows, way, shot, inputs) for way, shot in settings}

    def _play(
        self, rows: Rows, way: int, shot: int, inputs: Callable[[Rows], Tensor]
    ) -> NDArray[np.float64]:
        subject = self.subject
        classes = rows_of_classes(subject.table, rows, shot + 1)
        device = next(subject.net.parameters()).device
        rng = np.random.default_rng([SEED, way, shot])
        accuracies = []
        for _ in range(EPISODES):
            support, query = draw_episode(classes, way, shot, QUERIES, rng)
            shown = {
                "x": inputs(np.concatenate(support)),
                "y": episode_labels(support).to(device),
            }
            logits = subject.strategy.classify(subject.net, shown, inputs(np.concatenate(query)))
            right = logits.argmax(dim=1) == episode_labels(query).to(device)
            accuracies.append(right.double().mean())
        return torch.stack(accuracies).cpu().numpy()

    @contextmanager
    def _inputs(self, rows: Rows) -> Iterator[Callable[[Rows], Tensor]]:
        """Gives, within it, what the network takes of some of these rows, which are sorted."""
        net, batches = self.subject.net, self.subject.batches
        if self.subject.strategy.adapts_in_episode:
            # Of tensors that are made in inference mode there is no gradient.
            with torch.inference_mode(False):
                yield lambda some: torch.cat([x for x, _ in batches(some)])
            return
        features = torch.cat([net.features(x).float() for x, _ in batches(rows)])
        with net.on_features():
            yield lambda some: features[torch.from_numpy(np.searchsorted(rows, some))]


def interval(accuracies: NDArray[np.float64]) -> float:
    """Returns half the 95 % interval of the mean, ``1.96 s / sqrt(N)``.

    Args:
        accuracies: Of N episodes; s is their standard deviation, N - 1 in its denominator.
    """
    return float(NORMAL_95 * accuracies.std(ddof=1) / np.sqrt(len(accuracies)))


def _grid(found: dict[Setting, NDArray[np.float64]]) -> Grid:
    ways, shots = (tuple(dict.fromkeys(numbers)) for numbers in zip(*found, strict=True))
    columns = [name for k in shots for name in (f"{k}-shot", f"{k}-shot ± 95 %")]
    values = []
    for way in ways:
        row: list[float | None] = []
        for shot in shots:
            accuracies = found.get((way, shot))
            if accuracies is None:
                row += [None, None]
            else:
                row += [float(accuracies.mean()), interval(accuracies)]
        values.append(tuple(row))
    title = f"accuracy on classes that were not trained on, {EPISODES} episodes each"
    return Grid(title, tuple(f"{way}-way" for way in ways), tuple(columns), tuple(values))
