"""The diagonal of the Fisher information of a classifier."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tltool.backbones.base import Input, Net
from tltool.losses.continual import possible_only
from tltool.strategies.base import Batch

Sums = dict[Tensor, Tensor]  # of squares, by parameter
Calls = dict[nn.Linear, list[tuple[Tensor, Tensor]]]  # inputs and outputs of a forward pass


def exact_fisher(net: Net, batches: Iterable[Batch]) -> Tensor:
    """Returns ``F = mean_x E_{c ~ p(c|x)} (d log p(c|x) / d theta)^2`` of all parameters ``(P,)``.

    The expectation is over the network's own distribution of the classes that are possible for x,
    all of them, and the square is taken example by example: neither the labels nor the gradient
    of a batch's mean loss gives F.

    A linear layer ``o = W a + b`` needs no gradient of its own for each example, since with
    ``d = d log p / d o`` its squares are ``d_i^2 a_j^2``: a product of matrices sums them over a
    batch. All other parameters take a backward pass for each example and class.

    Args:
        net: In eval mode, so that examples do not mix.
        batches: ``x``, and ``classes`` (B, C) that are possible.
    """
    parameters = list(net.parameters())
    total: Sums = {p: torch.zeros_like(p) for p in parameters}
    examples = 0
    with torch.enable_grad(), _recorded(net) as calls:
        for batch in batches:
            x, classes = batch["x"], batch["classes"]
            calls.clear()
            log_p = possible_only(net(x), classes).log_softmax(dim=1)
            linear = _used_once(net, calls, len(classes))
            _add_linear(total, linear, log_p, classes)
            done = {id(p) for layer in linear for p in layer.parameters()}
            if rest := [p for p in parameters if id(p) not in done]:
                _add_one_by_one(total, rest, net, x, classes)
            examples += len(classes)
    return torch.cat([total[p].reshape(-1) for p in parameters]) / examples


def _add_linear(
    total: Sums,
    linear: dict[nn.Linear, tuple[Tensor, Tensor]],
    log_p: Tensor,
    classes: Tensor,
) -> None:
    outputs = [output for _, output in linear.values()]
    occurring = classes.any(dim=0).nonzero().flatten().tolist() if outputs else []
    for c in occurring:
        possible = classes[:, c]
        # Examples do not mix, so that the gradient of the sum holds that of each of them.
        of_outputs = torch.autograd.grad(log_p[possible, c].sum(), outputs, retain_graph=True)
        p = log_p.detach()[:, c : c + 1].exp()
        for (layer, (inputs, _)), d in zip(linear.items(), of_outputs, strict=True):
            weighted = p * d.square()
            total[layer.weight] += weighted.T @ inputs.detach().square()
            if layer.bias is not None:
                total[layer.bias] += weighted.sum(dim=0)


def _add_one_by_one(
    total: Sums,
    parameters: list[nn.Parameter],
    net: Net,
    x: Input,
    classes: Tensor,
) -> None:
    for i in range(len(classes)):
        one = {k: v[i : i + 1] for k, v in x.items()} if isinstance(x, dict) else x[i : i + 1]
        log_p = possible_only(net(one), classes[i : i + 1]).log_softmax(dim=1)[0]
        for c in classes[i].nonzero().flatten().tolist():
            grads = torch.autograd.grad(log_p[c], parameters, retain_graph=True)
            p = log_p[c].detach().exp()
            for parameter, grad in zip(parameters, grads, strict=True):
                total[parameter] += p * grad.square()


@contextmanager
def _recorded(net: Net) -> Iterator[Calls]:
    """Within it, linear layers leave what goes in and what comes out."""
    calls: Calls = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear)
        calls.setdefault(layer, []).append((inputs[0], output))
        return output.clone()  # what follows may change its input in place

    hooks = [m.register_forward_hook(keep) for m in net.modules() if type(m) is nn.Linear]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _used_once(net: Net, calls: Calls, size: int) -> dict[nn.Linear, tuple[Tensor, Tensor]]:
    """Returns the layers that saw each example once, ``(B, D)``, and share nothing with others."""
    owners: dict[int, int] = {}
    for _, parameter in net.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        layer: seen[0]
        for layer, seen in calls.items()
        if len(seen) == 1
        and seen[0][0].shape[:-1] == (size,)
        and all(owners[id(parameter)] == 1 for parameter in layer.parameters())
    }
