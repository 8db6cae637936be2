import math

import pytest
import torch
from torch import nn

from tltool.optim import SGD, AdamW, rate_factor


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 1.0, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 1 / 3, 0.75),  # (1 + cos 60°) / 2
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("inverse", 0.0, 1.0),
        ("inverse", 1.5, 0.125),  # 16^(-3/4); progress ends at 1, the formula does not
        ("inverse", 1.0, 0.165560),  # 11^(-3/4) = 1 / (3.316625 * 1.821160)
        ("slanted", 0.0, 0.03125),  # 1 / 32
        ("slanted", 0.05, 0.515625),  # half way up: (1 + 31 / 2) / 32
        ("slanted", 0.1, 1.0),
        ("slanted", 0.55, 0.515625),  # half way down
        ("slanted", 1.0, 0.03125),
    ],
)
def test_schedules_by_hand(schedule, progress, factor):
    assert rate_factor(schedule, 0.0, progress) == pytest.approx(factor, abs=1e-5)


def test_warm_up_rises_from_0_and_hands_over_to_the_schedule():
    assert [rate_factor("constant", 0.2, p) for p in (0.0, 0.05, 0.1)] == [0.0, 0.25, 0.5]
    assert rate_factor("cosine", 0.2, 0.2) == pytest.approx((1 + math.cos(0.2 * math.pi)) / 2)


def test_the_slanted_triangle_has_no_other_warm_up():
    given = [rate_factor("slanted", warmup, 0.04) for warmup in (0.0, 0.05, 0.5)]
    assert given == pytest.approx([0.41875] * 3)  # (1 + 0.4 * 31) / 32


def test_lr_scale_multiplies_a_groups_rate_at_every_step():
    head, body = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    config = SGD(lr=0.4, schedule="cosine")
    optimizer = config.create([{"params": [head]}, {"params": [body], "lr_scale": 0.1}])
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.04])
    rate = config.set_rate(optimizer, 0.5)  # the cosine is half way down
    assert rate == pytest.approx(0.2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.02])


def test_lr_scale_reaches_the_weights():
    head, body = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    config = SGD(lr=0.5, momentum=0.0, weight_decay=0.0)
    optimizer = config.create([{"params": [head]}, {"params": [body], "lr_scale": 0.5}])
    (head + body).sum().backward()
    optimizer.step()
    assert (head.item(), body.item()) == (0.5, 0.75)  # 1 - lr * lr_scale * gradient 1


def test_options_reach_the_optimiser_and_a_group_may_have_its_own():
    parameters = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "weight_decay": 0.0}]
    sgd = SGD(momentum=0.8, nesterov=True, weight_decay=0.1).create(groups)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    assert [group["weight_decay"] for group in sgd.param_groups] == [0.1, 0.0]
    adamw = AdamW(beta1=0.8, beta2=0.95).create(groups)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.defaults["betas"] == (0.8, 0.95)


@pytest.mark.parametrize("kind", [SGD, AdamW])
@pytest.mark.parametrize(
    ("option", "wrong", "said"),
    [
        ("lr", 0.0, "optimizer.lr must be above 0, got 0.0"),
        ("lr", -1.0, "optimizer.lr must be above 0, got -1.0"),
        ("warmup", 1.0, r"optimizer.warmup must be in \[0, 1\), got 1.0"),
        ("warmup", -0.1, r"optimizer.warmup must be in \[0, 1\), got -0.1"),
        ("clip", 0.0, "optimizer.clip must be above 0 or null, got 0.0"),
    ],
)
def test_wrong_values_are_refused(kind, option, wrong, said):
    with pytest.raises(ValueError, match=said):
        kind(**{option: wrong})


def test_what_is_pretrained_learns_at_its_own_rate_in_whichever_group():
    old, new, alone = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    groups = [{"params": [old, new], "weight_decay": 0.5}, {"params": [alone], "lr_scale": 0.5}]
    config = SGD(lr=0.1, schedule="constant", backbone_lr=0.01)
    optimizer = config.create(groups, pretrained=[old, alone])
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates == pytest.approx({id(old): 0.001, id(new): 0.1, id(alone): 0.0005})
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {id(old): 0.5, id(new): 0.5, id(alone): 0.001}
    config.set_rate(optimizer, 0.5)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates == pytest.approx({id(old): 0.001, id(new): 0.1, id(alone): 0.0005})


def test_without_a_rate_of_its_own_nothing_is_parted():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]}]
    assert len(SGD().create(groups, pretrained=groups[0]["params"]).param_groups) == 1


def test_a_backbone_without_a_rate_is_refused():
    with pytest.raises(ValueError, match="optimizer.backbone_lr must be above 0, got 0"):
        SGD(backbone_lr=0)
