"""Accuracy on each domain's splits, for the feeds whose strategies classify."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Predictions:
    """What was predicted on one split.

    Args:
        labels: True classes ``(N,)``.
        predicted: Predicted classes ``(N,)``.
        scores: Probability of the predicted class ``(N,)``, in [0, 1].
        confusion: Counts ``(C, C)``; rows are true classes.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float32]
    confusion: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which predictions are right ``(N,)``."""
        correct: NDArray[np.bool_] = self.labels == self.predicted
        return correct

    def metrics(self) -> dict[str, float]:
        """Returns ``accuracy`` and ``class_accuracy`` (mean over the classes that occur)."""
        count = self.confusion.sum(axis=1)
        recall = self.confusion.diagonal()[count > 0] / count[count > 0]
        return {"accuracy": float(self.correct.mean()), "class_accuracy": float(recall.mean())}


@torch.inference_mode()
def evaluate(
    predict: Predict, batches: Iterable[tuple[Tensor, Tensor]], num_classes: int
) -> Predictions:
    """Predicts labelled batches; nothing leaves the device before the end.

    Args:
        predict: Maps inputs to logits ``(B, C)``.
        batches: Inputs and labels.
        num_classes: C.
    """
    labels, predicted, scores = [], [], []
    for x, y in batches:
        score, prediction = predict(x).softmax(dim=1).max(dim=1)
        labels.append(y)
        predicted.append(prediction)
        scores.append(score)
    y, prediction = torch.cat(labels), torch.cat(predicted)
    confusion = multiclass_confusion_matrix(prediction, y, num_classes)
    return Predictions(
        y.cpu().numpy(),
        prediction.cpu().numpy(),
        torch.cat(scores).cpu().numpy(),
        confusion.cpu().numpy(),
    )
