import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from tltool.data.table import Table
from tltool.evaluation.base import Subject
from tltool.evaluation.neighbours import knn_votes
from tltool.evaluation.representation import Representation
from tltool.strategies.base import DataSpec

BANK = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0], [-1.0, 0.0]])
LABELS = torch.tensor([0, 1, 1, 2])


def test_votes_by_hand() -> None:
    query = torch.tensor([[5.0, 0.0]])  # cosines 1, 0, sqrt(1/2), -1
    votes = knn_votes(query, BANK, LABELS, num_classes=3, k=3, temperature=0.5)
    assert votes.tolist() == [
        pytest.approx([math.exp(2), math.exp(0) + math.exp(math.sqrt(0.5) / 0.5), 0.0])
    ]
    one = knn_votes(query, BANK, LABELS, num_classes=3, k=1, temperature=0.5)
    assert one.tolist() == [pytest.approx([math.exp(2), 0.0, 0.0])]


def test_a_small_bank_votes_as_a_whole() -> None:
    votes = knn_votes(torch.tensor([[0.0, 1.0]]), BANK, LABELS, num_classes=3)
    assert votes.argmax(dim=1).tolist() == [1]
    assert (votes > 0).all()


def test_knn_accuracy_of_every_split_from_labelled_source_training_rows() -> None:
    """The head is of no use; of the bank, row 4 has no label and row 5 is the target's."""
    x = torch.cat([BANK, torch.tensor([[0.0, -1.0], [0.0, -1.0], [0.1, -1.0], [3.0, 0.1]])])
    table = Table(
        x,
        torch.tensor([0, 1, 1, 2, -1, 1, 2, 0]),
        {
            ("source", "train"): np.arange(5),
            ("target", "train"): np.array([5]),
            ("source", "test"): np.array([6, 7]),
            ("target", "test"): np.array([7]),
        },
        ("a", "b", "c"),
    )
    net: Any = nn.Identity()
    net.features = nn.Identity()
    subject = Subject(
        net,
        cast(Any, SimpleNamespace(rejects=False, predict=lambda net, x: torch.zeros(len(x), 3))),
        table,
        DataSpec(3, table.class_names, {}),
        0,
        lambda rows: iter([(x[torch.from_numpy(rows)], table.y[torch.from_numpy(rows)])]),
        nullcontext,
    )
    scores = Representation(subject).final()
    # Row 6 is nearest to row 0, whose label is another than its own; row 7 is too, and has it.
    assert scores.metrics["source_test/knn_accuracy"] == 0.5
    assert scores.metrics["target_test/knn_accuracy"] == 1.0
    assert scores.metrics["source_test/accuracy"] == 0.5
    assert list(scores.units) == ["target_test/accuracy", "source_test/accuracy"]
