"""Who labels the target in self-training, who learns from it, and under what noise."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.losses.self_training import minimum_class_confusion
from tltool.strategies.adaptation.fixmatch import FixMatch
from tltool.strategies.adaptation.mcc import MCC
from tltool.strategies.adaptation.mean_teacher import MeanTeacher
from tltool.strategies.adaptation.noisy_student import NoisyStudent
from tltool.strategies.adaptation.pseudo_label import PseudoLabel
from tltool.strategies.base import DataSpec, Strategy
from tltool.strategies.self_training import WINDOW, warn_collapse
from tltool.strategies.teacher import Teacher

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8}, examples=16)


class NoData:
    """The data of a stage, for who has no business with them."""

    def examples(self, role=None, shuffled=False):
        raise AssertionError("the data are not to be looked at")


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def batch(views: bool = False):
    torch.manual_seed(1)
    x = torch.randn(32, 3, 28, 28)
    target = {"x": x[8:16] + 1.0, **({"views": [x[16:24]]} if views else {})}
    source = {"x": x[:8], "y": torch.arange(8) % 3, **({"views": [x[24:]]} if views else {})}
    return {"source": source, "target": target}


def built(strategy: Strategy, net: Net):
    strategy.build(net, SPEC)
    return strategy


def moved(net: Net, by: float = 0.1) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += by


def test_pseudo_labels_are_learned_like_labels(net: Net) -> None:
    losses = built(PseudoLabel(threshold=0.0, trade_off=2.0), net).loss(net, batch(), 0.0)
    logits = net(batch()["target"]["x"])
    wanted = 2.0 * F.cross_entropy(logits, logits.argmax(dim=1))
    torch.testing.assert_close(losses.terms["pseudo_label"], wanted)
    assert losses.metrics["kept"] == 1.0
    grads = torch.autograd.grad(losses.terms["pseudo_label"], list(net.parameters()))
    assert all(g.abs().sum() > 0 for g in grads if g.ndim > 1)


def test_fixmatch_takes_the_label_of_x_and_learns_it_on_the_view(net: Net) -> None:
    data = batch(views=True)
    data["target"]["x"].requires_grad_(), data["target"]["views"][0].requires_grad_()
    term = built(FixMatch(threshold=0.0), net).loss(net, data, 0.0).terms["pseudo_label"]
    labels = net(data["target"]["x"]).argmax(dim=1)
    torch.testing.assert_close(term, F.cross_entropy(net(data["target"]["views"][0]), labels))
    term.backward()
    assert data["target"]["x"].grad is None or not data["target"]["x"].grad.any()
    assert data["target"]["views"][0].grad.abs().sum() > 0


def test_without_a_weight_no_view_is_made() -> None:
    assert [FixMatch(trade_off=w).stages()[0].options["views"] for w in (0.0, 1.0)] == [0, 1]


def test_mcc_is_of_the_target_alone(net: Net) -> None:
    mcc = built(MCC(trade_off=3.0, batch_norm="separate"), net)
    term = mcc.loss(net, batch(), 0.0).terms["confusion"]
    wanted = 3.0 * minimum_class_confusion(net(batch()["target"]["x"]), 2.5)
    torch.testing.assert_close(term, wanted)


def test_a_teacher_averages_weights_and_keeps_its_statistics(net: Net) -> None:
    teacher = Teacher(net)
    before = {name: value.clone() for name, value in teacher.net.state_dict().items()}
    moved(net, by=1.0)
    net(torch.randn(4, 3, 28, 28))  # moves the student's statistics
    teacher.follow(net, decay=0.75)
    teacher.follow(net, decay=0.75)
    # 1 - 0.75^2 of the way
    for name, value in teacher.net.named_parameters():
        torch.testing.assert_close(value, before[name] + 0.4375)
        assert not value.requires_grad
    for name, value in teacher.net.named_buffers():
        assert torch.equal(value, before[name])
    teacher.copy(net)
    for name, value in teacher.net.state_dict().items():
        assert torch.equal(value, net.state_dict()[name])


def test_a_noisy_teacher_takes_statistics_in_and_another_does_not(net: Net) -> None:
    teacher, x = Teacher(net.eval()), 5.0 + torch.randn(8, 3, 28, 28)
    before = teacher.net.backbone.layers[-2].running_mean.clone()
    torch.testing.assert_close(teacher.label(x, noisy=False), net(x))
    assert torch.equal(teacher.net.backbone.layers[-2].running_mean, before)
    taught = teacher.label(x, noisy=True)
    assert not taught.requires_grad
    torch.testing.assert_close(taught, net.train()(x))
    assert not torch.equal(teacher.net.backbone.layers[-2].running_mean, before)


def test_the_student_sees_the_view_and_the_teacher_x(net: Net) -> None:
    strategy = built(MeanTeacher(threshold=0.0, trade_off=2.0), net)
    moved(net)
    data = batch(views=True)
    term = strategy.loss(net, data, 0.0).terms["consistency"]
    p = net(data["target"]["views"][0]).softmax(dim=1)
    q = strategy.teacher.net(data["target"]["x"]).softmax(dim=1)
    torch.testing.assert_close(term, 2.0 * (p - q).square().mean())
    grads = torch.autograd.grad(term, list(net.parameters()), allow_unused=True)
    assert all(g.abs().sum() > 0 for g in grads if g.ndim > 1)


def test_the_teacher_predicts_and_starts_where_the_student_does(net: Net) -> None:
    strategy = built(MeanTeacher(), net)
    moved(net)
    net.eval(), strategy.eval()
    x = torch.randn(4, 3, 28, 28)
    assert not torch.allclose(strategy.predict(net, x), net(x))
    strategy.begin_stage(net, 0, NoData())
    torch.testing.assert_close(strategy.predict(net, x), net(x))


class Words(Backbone):
    modality = "text"
    num_features = 4

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_views_are_of_images(net: Net) -> None:
    assert built(MeanTeacher(), net).stages()[0].options == {"views": 1}
    assert built(MeanTeacher(noise="dropout"), net).stages()[0].options == {"views": 0}
    words = Net(Words(), 3)
    assert built(MeanTeacher(), words).stages()[0].options == {"views": 0}
    for kind in (MeanTeacher, NoisyStudent):
        with pytest.raises(ValueError, match="noise=views changes images"):
            kind(noise="views").build(words, SPEC)


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_the_noisy_student_learns_views_and_the_frozen_teacher_sees_x(net, labels) -> None:
    strategy = built(NoisyStudent(labels=labels), net)
    net.train()(5.0 + torch.randn(8, 3, 28, 28))  # so that eval mode is another one
    strategy.begin_stage(net, 1, NoData())
    strategy.stage = 1
    data = batch(views=True)
    teacher = {name: value.clone() for name, value in strategy.teacher.net.state_dict().items()}
    terms = strategy.loss(net, data, 0.0).terms
    taught = strategy.teacher.net.eval()(data["target"]["x"])
    labelled = taught.softmax(dim=1) if labels == "soft" else taught.argmax(dim=1)
    wanted = F.cross_entropy(net(data["target"]["views"][0]), labelled)
    torch.testing.assert_close(terms["pseudo_label"], wanted)
    source = F.cross_entropy(net(data["source"]["views"][0]), data["source"]["y"])
    torch.testing.assert_close(terms["classification"], source)
    assert all(torch.equal(v, teacher[k]) for k, v in strategy.teacher.net.state_dict().items())


@pytest.mark.parametrize("student", ["continued", "restarted"])
def test_a_round_begins_with_a_new_teacher_and_maybe_a_new_student(net: Net, student) -> None:
    strategy = built(NoisyStudent(student=student), net)
    moved(net)  # as a step of a pipeline before it does
    strategy.begin_stage(net, 0, NoData())
    start = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    for stage in (1, 2):
        moved(net)
        trained = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
        strategy.begin_stage(net, stage, NoData())
        teacher = nn.utils.parameters_to_vector(strategy.teacher.net.parameters())
        assert torch.equal(teacher, trained)
        now = nn.utils.parameters_to_vector(net.parameters())
        assert torch.equal(now, start if student == "restarted" else trained)


def test_a_threshold_that_keeps_nothing_is_warned_of() -> None:
    rows = [{"train/kept": 0.001}] * WINDOW
    for kind in (PseudoLabel, FixMatch, MeanTeacher):
        assert "smaller strategy.threshold" in kind().diagnose(rows)[0]
        assert not kind().diagnose(rows[1:]) and not kind().diagnose([])
        assert not kind().diagnose([*rows, {"train/kept": 0.5}])


def test_a_collapse_is_warned_of() -> None:
    rows = [{"train/marginal_entropy": 0.4}] * WINDOW
    assert "few classes" in warn_collapse(rows, 3)[0]  # half of log 3 is 0.55
    assert not warn_collapse([*rows, {"train/marginal_entropy": 1.0}], 3)


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        (PseudoLabel, {"threshold": 1.1}, "threshold must be in"),
        (PseudoLabel, {"trade_off": -1.0}, "trade_off must not be negative, got -1.0"),
        (FixMatch, {"threshold": -0.1}, "threshold must be in"),
        (FixMatch, {"trade_off": -1.0}, "trade_off must not be negative"),
        (MCC, {"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        (MCC, {"trade_off": -1.0}, "trade_off must not be negative"),
        (MeanTeacher, {"decay": 1.0}, "decay must be at least 0 and below 1, got 1.0"),
        (MeanTeacher, {"threshold": 2.0}, "threshold must be in"),
        (MeanTeacher, {"trade_off": -1.0}, "trade_off must not be negative"),
        (NoisyStudent, {"rounds": -1}, "rounds must not be negative, got -1"),
    ],
)
def test_wrong_options_are_refused(kind, options, line) -> None:
    with pytest.raises(ValueError, match=line):
        kind(**options)
