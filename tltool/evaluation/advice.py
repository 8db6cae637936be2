"""The usual advice on transfer: which strategy for how much data, how similar to the old data.

Both are measured. Similar means that the pretrained features, as they are, already
part the new classes: their nearest neighbours are right far more often than those of the same
network with random weights, and than always naming the largest class.
"""

from dataclasses import dataclass

LARGE_PER_CLASS = 1000
"""Training examples a class from which there are many: ImageNet has about 1 280 a class, and that
is what networks learn from when they start from random."""

SIMILAR = 0.7
"""Part of the errors that pretrained features must take away to count as similar. A judgement, set
between what ImageNet features (EfficientNet-Lite0, 96 pixels) take away on photographs of ants and
bees, 0.76 (0.91 at 224 pixels), and on drawings: 0.67 of USPS digits, 0.42 of Korean letters (400
examples each)."""


@dataclass(frozen=True)
class Evidence:
    """What the advice rests on.

    Args:
        per_class: Training examples of the median class.
        pretrained: Whether there are pretrained weights at all.
        unlabelled_target: Whether there are target examples to adapt to.
        knn: Leave-one-out accuracy of nearest neighbours on the pretrained features, in [0, 1].
        scratch: The same on the features of random weights.
        majority: Part of the examples that are of the largest class.
        interval: 95 % interval of ``knn - scratch``.
    """

    per_class: float
    pretrained: bool
    unlabelled_target: bool
    knn: float
    scratch: float
    majority: float
    interval: tuple[float, float]

    @property
    def errors_removed(self) -> float:
        """Part of the errors of the better baseline that the pretrained features take away.

        ``(knn - b) / (1 - b)`` with ``b = max(scratch, majority)``; at most 1, below 0 where they
        are worse. 0 where the baseline makes no errors.
        """
        baseline = max(self.scratch, self.majority)
        return (self.knn - baseline) / (1.0 - baseline) if baseline < 1.0 else 0.0

    @property
    def helps(self) -> bool:
        """Whether pretrained features are better than random ones beyond chance."""
        return self.interval[0] > 0 and self.errors_removed > 0

    @property
    def similar(self) -> bool:
        """Whether the new data are like the old ones."""
        return self.helps and self.errors_removed >= SIMILAR

    @property
    def large(self) -> bool:
        """Whether there are many examples of each class."""
        return self.per_class >= LARGE_PER_CLASS


@dataclass(frozen=True)
class Advice:
    """A strategy and why.

    Args:
        rule: The name of the rule that fired.
        strategy: The one to start with.
        alternatives: To compare it with, the best bet first.
        reason: One sentence.
        options: To type with it.
    """

    rule: str
    strategy: str
    alternatives: tuple[str, ...]
    reason: str
    options: tuple[str, ...] = ()


def advise(evidence: Evidence) -> Advice:
    """Returns the advice of the first rule that fits.

    References:
        [0] Yosinski et al., How transferable are features in deep neural networks?, 2014: later
            layers are the more specific ones, the less so the nearer the two data sets are.
        [1] Kumar et al., Fine-tuning can distort pretrained features, 2022: `lp_ft`.
        [2] Howard & Ruder, Universal language model fine-tuning, 2018: `discriminative` rates and
            `gradual_unfreezing`, where there is little data.
        [3] He et al., Rethinking ImageNet pre-training, 2019: with enough data, random weights
            reach the same accuracy.
    """
    if evidence.unlabelled_target:
        return Advice(
            "unlabelled target",
            "dann",
            ("source_only",),
            "there are target examples to learn from without their labels: align them with the "
            "source, and compare with training on the source alone",
            ("controls=true",),
        )
    if not evidence.pretrained:
        return Advice(
            "no pretrained weights",
            "from_scratch",
            (),
            "this backbone has no pretrained weights at hand, so there is nothing to transfer",
        )
    if evidence.similar and not evidence.large:
        return Advice(
            "small and similar",
            "linear_probe",
            ("lp_ft",),
            "the features part the classes as they are, and few examples would rather spoil than "
            "improve them",
        )
    if evidence.similar:
        return Advice(
            "large and similar",
            "lp_ft",
            ("finetune", "linear_probe"),
            "the features part the classes, and there are enough examples to improve them from a "
            "head that fits",
        )
    if not evidence.large:
        return Advice(
            "small and distant",
            "discriminative",
            ("partial", "gradual_unfreezing"),
            "the features must change, the later layers most, and few examples must not wipe out "
            "what the early layers know",
        )
    if evidence.helps:
        return Advice(
            "large and distant",
            "discriminative",
            ("finetune", "from_scratch"),
            "the features must change, the later layers most, and there are enough examples for it",
        )
    return Advice(
        "large and unrelated",
        "from_scratch",
        ("discriminative",),
        "the pretrained features are no better than random ones, and there are enough examples to "
        "learn without them",
    )
