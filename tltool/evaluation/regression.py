"""Errors on each domain's splits, where labels are numbers."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.errors import UserError
from tltool.evaluation.base import Estimates, Evaluation, Scores
from tltool.evaluation.domains import FIRST


class Regression(Evaluation):
    """Predicts the numbers of every labelled split that was not trained on.

    With the error ``e_i`` of example i, in the unit of the labels:

    - ``mae``: ``mean |e_i|``, and ``rmse``: ``sqrt(mean e_i^2)``, in that unit;
    - ``r2``: ``1 - mean e_i^2 / var(y)``, with the variance of the split's own labels: 1 is exact,
      0 is what their mean would get, and there is none where they are all the same.

    An example scores ``1 - e_i^2 / var(y)``, whose mean is R^2 exactly; where two runs are
    compared by resampling examples, the variance stays that of all of them.
    """

    selects: ClassVar[bool] = True
    regression: ClassVar[bool] = True
    chooses_by: ClassVar[str] = "r2"

    def score(self, domain: str, split: str) -> float:
        """Returns the R^2 of a split.

        Raises:
            UserError: All of its labels are the same.
        """
        found = self.estimates(domain, split)
        units = None if found is None else r2_units(found)
        if units is None:
            raise UserError(
                f"the labels of {domain}/{split} are all the same, and an epoch cannot be chosen "
                "by them: type selection=last"
            )
        return float(units.mean())

    def estimates(self, domain: str, split: str) -> Estimates | None:
        """Returns what is predicted on the labelled examples of a split; None without any."""
        subject = self.subject
        rows, scale = subject.table.labelled(domain, split), subject.table.scale
        if len(rows) == 0:
            return None
        assert scale is not None  # labels that are numbers have one
        labels, predicted = [], []
        with subject.scoring(), torch.inference_mode():
            for x, y in subject.batches(rows):
                labels.append(y)
                predicted.append(subject.strategy.predict(subject.net, x).float().squeeze(1))
        return Estimates(scale.restore(torch.cat(labels)), scale.restore(torch.cat(predicted)))

    def final(self) -> Scores:
        """Returns ``<split>/mae``, ``<split>/rmse`` and ``<split>/r2``."""
        metrics: dict[str, float] = {}
        units: dict[str, NDArray[np.float64]] = {}
        estimates: dict[str, Estimates] = {}
        for domain, part in sorted(self.subject.table.rows):
            if part == "train" or (found := self.estimates(domain, part)) is None:
                continue
            split, errors = f"{domain}_{part}", found.predicted - found.labels
            estimates[split] = found
            metrics[f"{split}/mae"] = float(np.abs(errors).mean())
            metrics[f"{split}/rmse"] = float(np.sqrt((errors**2).mean()))
            if (of_each := r2_units(found)) is not None:
                metrics[f"{split}/r2"] = float(of_each.mean())
                units[f"{split}/r2"] = of_each
        first = [f"{split}/r2" for split in FIRST if f"{split}/r2" in units]
        return Scores(metrics, {name: units[name] for name in first}, estimates=estimates)


def r2_units(found: Estimates) -> NDArray[np.float64] | None:
    """Returns ``1 - e_i^2 / var(y)`` of each example ``(N,)``, None where all labels are equal."""
    if np.ptp(found.labels) == 0:
        return None
    squares = (found.predicted - found.labels) ** 2
    units: NDArray[np.float64] = 1 - squares / found.labels.var()
    return units
