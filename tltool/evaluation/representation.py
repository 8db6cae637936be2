"""What features are worth: accuracy of the probe on them, and of their nearest neighbours."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.evaluation.base import Scores
from tltool.evaluation.domains import Domains
from tltool.evaluation.neighbours import knn_votes

PART = 1024  # test examples whose neighbours are searched at once


class Representation(Domains):
    """Adds ``<split>/knn_accuracy`` to the accuracies of `Domains`.

    A test example is classified by the labelled source training examples whose features are the
    nearest; none of them is augmented.
    """

    def final(self) -> Scores:
        """Returns ``<split>/accuracy``, ``/class_accuracy`` and ``/knn_accuracy``."""
        scores = super().final()
        bank, labels = self._features(self.subject.table.labelled("source", "train"))
        for split in scores.predictions:
            domain, _, part = split.partition("_")
            features, y = self._features(self.subject.table.labelled(domain, part))
            # In parts: similarities to a large bank need room.
            votes = [
                knn_votes(features[i : i + PART], bank, labels, self.subject.spec.num_classes)
                for i in range(0, len(features), PART)
            ]
            correct = torch.cat(votes).argmax(dim=1) == y
            scores.metrics[f"{split}/knn_accuracy"] = correct.double().mean().item()
        return scores

    def _features(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns features ``(N, D)`` and labels of some rows."""
        subject = self.subject
        with subject.scoring():
            found = [(subject.net.features(x).float(), y) for x, y in subject.batches(rows)]
        return torch.cat([f for f, _ in found]), torch.cat([y for _, y in found])
