import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tltool.backbones.base import Backbone, Net
from tltool.learner import Learner
from tltool.optim import SGD, AdamW, OptimizerConfig
from tltool.run.fit import quiet_lightning
from tltool.strategies.base import Losses, Strategy

PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}


class Toy(Backbone):
    """(B, 4) to (B, 6), with BatchNorm and dropout."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class Classify(Strategy):
    """Cross-entropy, and what each step saw."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: list[float] = []
        self.steps_after: list[float] = []

    def loss(self, net, batch, progress):
        self.progress.append(progress)
        loss = F.cross_entropy(net(batch["x"]), batch["y"])
        return Losses({"classification": loss, "double": 2 * loss}, {"one": torch.ones(())})

    def after_step(self, net):
        self.steps_after.append(net.head.bias.sum().item())


class HeadOnly(Classify):
    def param_groups(self, net, stage):
        return [{"params": list(net.head.parameters())}]


def batches(count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    result = []
    for _ in range(count):
        y = torch.randint(0, 2, (16,), generator=generator)
        x = torch.randn(16, 4, generator=generator)
        x[:, 0] += 4.0 * y - 2.0
        result.append({"x": x, "y": y})
    return result


def learner_of(strategy: Strategy, optimizer: OptimizerConfig | None = None, seed=0) -> Learner:
    torch.manual_seed(0)
    net = Net(Toy(), 2)
    strategy.build(net, None)
    return Learner(net, strategy, optimizer or SGD(**PLAIN), seed)


def train(learner: Learner, data: list[dict[str, Tensor]], stage=0, done=0, total=None) -> Learner:
    """Makes a step on each batch, as a stage of ``total`` steps of which ``done`` are done."""
    learner.start_stage(stage, total or done + len(data), done)
    start = pl.callbacks.LambdaCallback(on_train_epoch_start=lambda _, module: module.train())
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[start],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(learner, DataLoader(data, batch_size=None, collate_fn=lambda batch: batch))
    return learner


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    now = module.state_dict()
    return {name for name in before if not torch.equal(before[name], now[name])}


def test_a_step_minimises_the_sum_of_the_terms():
    learner = learner_of(HeadOnly(), SGD(lr=0.5, **PLAIN))
    learner.net.backbone.layers[2].p = 0.0
    [batch] = batches(1)
    bias = learner.net.head.bias.detach().clone()
    with torch.no_grad():
        learner.net.eval()  # HeadOnly leaves the backbone in eval mode
        softmax = learner.net(batch["x"]).softmax(dim=1)
    # d CE / d bias = mean(softmax - onehot); the terms sum to 3 CE
    gradient = 3 * (softmax - F.one_hot(batch["y"], 2)).mean(dim=0)
    train(learner, [batch])
    torch.testing.assert_close(learner.net.head.bias.detach(), bias - 0.5 * gradient)


def test_each_step_is_kept_for_the_log_detached():
    learner = train(learner_of(Classify(), SGD(lr=0.1, **PLAIN)), batches(3))
    assert [(step, rate) for step, rate, _ in learner.logged] == [(1, 0.1), (2, 0.1), (3, 0.1)]
    for _, _, losses in learner.logged:
        assert losses.terms.keys() == {"classification", "double"}
        assert losses.metrics["one"].item() == 1.0
        assert not any(term.requires_grad for term in losses.terms.values())


def test_progress_sets_the_rate_and_reaches_the_strategy():
    options = {**PLAIN, "schedule": "cosine"}
    learner = train(learner_of(Classify(), SGD(lr=1.0, **options)), batches(2), done=1, total=4)
    assert learner.strategy.progress == [0.25, 0.5]
    assert learner.progress == 0.75
    # (1 + cos 45°) / 2 and (1 + cos 90°) / 2
    assert [rate for _, rate, _ in learner.logged] == pytest.approx([0.853553, 0.5])


@pytest.mark.parametrize("clip", [0.01, 1e6])
def test_gradients_are_clipped_to_their_norm(clip):
    learner = learner_of(HeadOnly(), SGD(lr=1.0, clip=clip, **PLAIN))
    before = copied(learner.net.head)
    train(learner, batches(1))
    steps = [(learner.net.head.state_dict()[name] - before[name]).flatten() for name in before]
    norm = torch.cat(steps).norm().item()
    if clip == 0.01:
        assert norm == pytest.approx(0.01, rel=1e-3)
    else:
        assert 0.02 < norm < clip


def test_after_step_sees_the_weights_of_every_step():
    learner = train(learner_of(Classify(), SGD(lr=0.5, **PLAIN)), batches(3))
    sums = learner.strategy.steps_after
    assert len(set(sums)) == 3 and sums[-1] == learner.net.head.bias.sum().item()


def test_a_frozen_backbone_stays_in_eval_mode():
    learner = learner_of(HeadOnly())
    before = copied(learner.net)
    train(learner, batches(3))
    assert not any(module.training for module in learner.net.backbone.modules())
    assert learner.net.head.training and learner.training
    # Neither weights nor the running statistics of BatchNorm move.
    assert changed(learner.net, before) == {"head.weight", "head.bias"}


def test_a_trained_backbone_is_in_training_mode():
    learner = learner_of(Classify())
    before = copied(learner.net)
    train(learner, batches(3))
    assert all(module.training for module in learner.net.modules())
    statistics = {f"backbone.layers.1.{name}" for name in ("running_mean", "running_var")}
    assert statistics <= changed(learner.net, before)


class OneLayer(Classify):
    """Trains the head and the backbone's first layer, not its BatchNorm."""

    def param_groups(self, net, stage):
        return [{"params": [*net.head.parameters(), *net.backbone.layers[0].parameters()]}]


def test_only_parts_that_are_frozen_as_a_whole_are_in_eval_mode():
    learner = learner_of(OneLayer())
    train(learner, batches(2))
    first, norm, dropout = learner.net.backbone.layers
    assert first.training and not norm.training and dropout.training


class ByStage(Classify):
    def param_groups(self, net, stage):
        part = net.head if stage == 0 else net.backbone
        return [{"params": list(part.parameters())}]


def test_each_stage_trains_its_own_parameters():
    learner = learner_of(ByStage())
    head, backbone = learner.net.head, learner.net.backbone
    before = copied(head), copied(backbone)
    train(learner, batches(2), stage=0)
    assert all(p.requires_grad for p in head.parameters())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert changed(head, before[0]) and not changed(backbone, before[1])
    before = copied(head), copied(backbone)
    train(learner, batches(2), stage=1)
    assert all(p.requires_grad for p in backbone.parameters())
    assert not any(p.requires_grad for p in head.parameters())
    assert changed(backbone, before[1]) and not changed(head, before[0])
    assert backbone.training and not head.training


class Random(Classify):
    """Keeps a random number of each step; dropout draws others."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def loss(self, net, batch, progress):
        self.drawn.append(torch.rand(()).item())
        return super().loss(net, batch, progress)


def test_random_numbers_come_from_seed_stage_and_step_alone():
    data = batches(4)

    def drawn(part, seed=0, **where) -> list[float]:
        torch.manual_seed(123)
        torch.rand(len(part))  # what was drawn before must not matter
        return train(learner_of(Random(), seed=seed), part, **where).strategy.drawn

    whole = drawn(data)
    assert len(set(whole)) == 4
    assert drawn(data[2:], done=2) == whole[2:]
    assert not set(drawn(data, seed=1)) & set(whole)
    assert not set(drawn(data, stage=1)) & set(whole)


class Alternating(Strategy):
    """Two steps a batch: the head on fixed features, then the backbone under a fixed head."""

    manual = True

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[set[str]] = []

    def step(self, net, batch, progress, minimise):
        x, y = batch["x"], batch["y"]
        before = copied(net)
        minimise(F.cross_entropy(net.head(net.features(x).detach()), y))
        self.moved.append(weights(changed(net, before)))
        before = copied(net)
        head = net.head.weight.detach(), net.head.bias.detach()
        loss = F.cross_entropy(F.linear(net.features(x), *head), y)
        minimise(loss)
        self.moved.append(weights(changed(net, before)))
        return Losses({"classification": loss})


def weights(names: set[str]) -> set[str]:
    """The parts of the network whose weights are among ``names``."""
    return {name.split(".")[0] for name in names if name.endswith(("weight", "bias"))}


def loss_on(learner: Learner, data: list[dict[str, Tensor]]) -> float:
    learner.eval()
    x, y = (torch.cat([batch[key] for batch in data]) for key in ("x", "y"))
    return F.cross_entropy(learner.predict_tasks(x)["label"], y).item()


def test_a_manual_strategy_steps_as_often_as_it_likes():
    count = 40
    learner = learner_of(Alternating(), AdamW(lr=0.05, schedule="constant", warmup=0.0))
    before = loss_on(learner, batches(count))
    train(learner, batches(count))
    assert learner.strategy.moved == [{"head"}, {"backbone"}] * count
    assert learner.done_steps == count and learner.progress == 1.0
    assert [step for step, _, _ in learner.logged] == list(range(1, count + 1))
    assert loss_on(learner, batches(count)) < 0.5 * before
    # A parameter without a gradient is passed over: each one was stepped once a batch.
    [optimizer] = learner.trainer.optimizers
    assert {state["step"].item() for state in optimizer.state.values()} == {count}


def test_a_manual_strategys_steps_are_clipped():
    learner = learner_of(Alternating(), SGD(lr=1.0, clip=0.001, **PLAIN))
    before = copied(learner.net)
    train(learner, batches(1))
    for name, parameter in learner.net.named_parameters():
        assert (parameter - before[name]).norm() <= 0.00101


def test_predictions_are_float32_and_carry_no_gradient():
    class Half(Strategy):
        def predict(self, net, x):
            return net(x).to(torch.bfloat16)

    learner = learner_of(Half()).eval()
    logits = learner.predict_tasks(torch.randn(3, 4))["label"]
    assert logits.dtype == torch.float32 and logits.shape == (3, 2)
    assert not logits.requires_grad
