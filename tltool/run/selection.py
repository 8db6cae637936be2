"""Which epoch's weights are kept and reported."""

from dataclasses import asdict, dataclass
from typing import Any

# Rule -> the (domain, split) whose accuracy is the score; None keeps the last epoch.
RULES: dict[str, tuple[str, str] | None] = {
    "last": None,
    "source_val": ("source", "val"),
    "oracle": ("target", "test"),
}


@dataclass
class Selection:
    """The best epoch so far.

    Args:
        rule: One of `RULES`.
        epoch: Counted from 1.
        score: Accuracy in [0, 1]; ``None`` under ``last``.
    """

    rule: str
    epoch: int = 0
    score: float | None = None

    @property
    def scored_on(self) -> tuple[str, str] | None:
        """The (domain, split) to score on, if any."""
        return RULES[self.rule]

    def better(self, epoch: int, score: float | None) -> bool:
        """Takes an epoch in; returns whether it is the best. Of equals the first one stays."""
        if score is not None and self.score is not None and score <= self.score:
            return False
        self.epoch, self.score = epoch, score
        return True

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps."""
        return asdict(self)
