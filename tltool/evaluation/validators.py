"""How good a network is on the target, as far as one can tell without the target's labels.

None is right on every data set: a network that puts all of the target into one class has the lowest
entropy there is. So all can be recorded side by side, and `tltool.evaluation.collapse` looks at
which classes are predicted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tltool.evaluation.logistic import logistic_regression

TEMPERATURE = 0.05  # Saito et al., Tune it the right way, ICCV 2021, section 3


@dataclass(frozen=True)
class Outputs:
    """What a network makes of some examples, on the CPU.

    Args:
        target: Features ``(T, D)`` of target training examples.
        target_logits: Theirs ``(T, C)``.
        source: Features ``(S, D)`` of source training examples.
        held_out: Features ``(V, D)`` of source examples that were not trained on.
        held_out_logits: Theirs ``(V, C)``.
        held_out_y: Their labels ``(V,)``.
    """

    target: Tensor
    target_logits: Tensor
    source: Tensor
    held_out: Tensor
    held_out_logits: Tensor
    held_out_y: Tensor


def entropy(outputs: Outputs) -> float:
    """Returns ``-mean_i H(p_i)`` over the target, in [-log C, 0]: sure predictions."""
    return -float(_entropies(outputs.target_logits).mean())


def information_maximisation(outputs: Outputs) -> float:
    """Returns ``H(mean_i p_i) - mean_i H(p_i)`` over the target, in [0, log C].

    Predictions that are sure one by one, and that differ from one another.

    References:
        [0] Musgrave et al., Three new validators and a large-scale benchmark ranking for
            unsupervised domain adaptation, 2022; the score is from Krause et al., Discriminative
            clustering by regularized information maximization, NIPS 2010.
    """
    p = outputs.target_logits.softmax(dim=1).mean(dim=0)
    return float(torch.special.entr(p).sum()) + entropy(outputs)


def bnm(outputs: Outputs) -> float:
    """Returns the nuclear norm of the target's predictions ``(T, C)`` over its upper bound.

    ``|P|_* / sqrt(T min(T, C))``, in (0, 1]: sure and varied.

    References:
        [0] Cui et al., Towards discriminability and diversity: batch nuclear-norm maximization
            under label insufficient situations, CVPR 2020. There it is not divided.
    """
    p = outputs.target_logits.softmax(dim=1)
    norm = torch.linalg.matrix_norm(p, "nuc")
    return float(norm / (len(p) * min(p.shape)) ** 0.5)


def snd(outputs: Outputs) -> float:
    """Returns the soft neighbourhood density, in [0, log(T - 1)]: points have many neighbours.

    ``mean_i H(softmax_j(cos(p_i, p_j) / 0.05))`` over j other than i, of the predictions p.

    References:
        [0] Saito et al., Tune it the right way: unsupervised validation of domain adaptation via
            soft neighborhood density, ICCV 2021.
    """
    p = torch.nn.functional.normalize(outputs.target_logits.softmax(dim=1), dim=1)
    similar = p @ p.T / TEMPERATURE
    similar.fill_diagonal_(-torch.inf)
    return float(_entropies(similar).mean())


def source_val(outputs: Outputs) -> float:
    """Returns the accuracy on held-out source examples, in [0, 1]."""
    return float((~_wrong(outputs)).double().mean())


def importance_weighted(outputs: Outputs) -> float:
    """Returns ``1 - mean_i w_i e_i`` over held-out source examples: accuracy as on the target.

    e is 1 where the prediction is wrong, w the density of the target over that of the source, of
    the features, from a logistic regression that tells the two apart.

    References:
        [0] Sugiyama et al., Covariate shift adaptation by importance weighted cross validation,
            JMLR 2007; there on inputs.
    """
    weighted, _ = _weighted_errors(outputs)
    return 1.0 - float(weighted.mean())


def dev(outputs: Outputs) -> float:
    """Returns `importance_weighted` with a control variate, which lowers its variance.

    ``1 - (mean(w e) + eta mean(w) - eta)``, ``eta = -Cov(w e, w) / Var(w)``.

    References:
        [0] You et al., Towards accurate model selection in deep unsupervised domain adaptation,
            ICML 2019. There e is any loss; here the error, so that the score is an accuracy.
    """
    weighted, w = _weighted_errors(outputs)
    variance = w.var(unbiased=False)
    covariance = ((weighted - weighted.mean()) * (w - w.mean())).mean()
    eta = -covariance / variance if variance > 0 else variance
    return 1.0 - float(weighted.mean() + eta * w.mean() - eta)


def reverse_validation(outputs: Outputs) -> float:
    """Returns how well the held-out source is told by what was predicted for the target, in [0, 1].

    A logistic regression learns the target's features with the predicted classes as labels, and is
    scored on those of the source.

    References:
        [0] Zhong et al., Cross validation framework to choose amongst models and datasets for
            transfer learning, ECML 2010; Ganin et al., JMLR 2016, section 5.1.2. There the whole
            method is trained once more, the other way round; here its features stay.
    """
    predicted = outputs.target_logits.argmax(dim=1).numpy()
    classes = np.unique(predicted)
    if len(classes) == 1:
        return float((outputs.held_out_y.numpy() == classes[0]).mean())
    model = logistic_regression(outputs.target.numpy(), predicted)
    found = model.predict(outputs.held_out.numpy())
    return float((found == outputs.held_out_y.numpy()).mean())


VALIDATORS: Mapping[str, Callable[[Outputs], float]] = {
    one.__name__: one
    for one in (
        *(entropy, information_maximisation, bnm, snd),
        *(dev, importance_weighted, reverse_validation, source_val),
    )
}
# Those that look at source examples which were not trained on.
HOLD_OUT = frozenset(("dev", "importance_weighted", "reverse_validation", "source_val"))


def _entropies(logits: Tensor) -> Tensor:
    """Returns the entropy of each row's softmax; a logit of -inf has no part in it."""
    entropies: Tensor = torch.special.entr(logits.double().softmax(dim=1)).sum(dim=1)
    return entropies


def _wrong(outputs: Outputs) -> Tensor:
    predicted: Tensor = outputs.held_out_logits.argmax(dim=1)
    return predicted != outputs.held_out_y


def _weighted_errors(outputs: Outputs) -> tuple[Tensor, Tensor]:
    """Returns ``w_i e_i`` and ``w_i`` of the held-out examples."""
    source, target = outputs.source.numpy(), outputs.target.numpy()
    of_target = np.repeat([0, 1], [len(source), len(target)])
    model = logistic_regression(np.concatenate([source, target]), of_target)
    odds = np.exp(model.decision_function(outputs.held_out.numpy()))
    w = torch.from_numpy(odds * len(source) / len(target)).double()
    return w * _wrong(outputs), w
