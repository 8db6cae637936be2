import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tltool.config.compose import (
    Resolved,
    defaults,
    from_run,
    load_option,
    resolve,
)
from tltool.config.difference import difference
from tltool.errors import UserError

Add = Callable[[str, str], Path]
pytestmark = pytest.mark.usefixtures("conf")


def problems(*args: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        resolve(args)
    assert all("\n" not in problem for problem in caught.value.problems)
    return list(caught.value.problems)


def test_yaml_and_signature_defaults_make_the_configuration() -> None:
    resolved = resolve(["strategy=dann", "strategy.hidden=7", "optimizer.lr=1", "seed=3"])
    config = resolved.config
    assert config["strategy"] == {
        "_target_": "fakekit.parts.Method",
        "hidden": 7,
        "trade_off": 0.5,  # of the YAML
        "schedule": "cosine",  # of the signature
        "size": [1, 2],
    }
    assert config["optimizer"] == {"_target_": "fakekit.parts.Step", "lr": 1.0, "momentum": 0.9}
    assert config["dataset"]["source"] == "here" and config["dataset"]["batch_size"] == 64
    assert (config["seed"], config["epochs"], config["steps"]) == (3, 10, None)
    assert resolved.choices["strategy"] == "dann" and resolved.choices["logger"] == "csv"
    assert "hydra" not in config and "experiment" not in config
    assert yaml.safe_load(yaml.safe_dump(resolved.saved())) == resolved.saved()


def test_a_default_without_a_literal_is_left_to_the_class() -> None:
    assert "rate" not in resolve([]).config["hardware"]
    assert resolve(["hardware.rate=0.5"]).config["hardware"]["rate"] == 0.5


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_prefix_changes_nothing(prefix: str) -> None:
    config = resolve([f"{prefix}strategy=dann", f"{prefix}strategy.hidden=7"]).config
    assert config["strategy"]["hidden"] == 7


def test_a_deletion_returns_to_the_signature() -> None:
    assert resolve(["strategy=dann", "~strategy.trade_off"]).config["strategy"]["trade_off"] == 1.0
    assert problems("~strategy.nothing") == ["~strategy.nothing: nothing to delete"]


def test_interpolations_see_signature_defaults() -> None:
    assert resolve(["epochs=${dataset.batch_size}"]).config["epochs"] == 64
    assert problems("name=${nope}") == ["name=${nope}: Interpolation key 'nope' not found"]


def test_presets_set_groups_and_keys_and_the_user_wins() -> None:
    config = resolve(["experiment=smoke"]).config
    assert (config["steps"], config["epochs"], config["dataset"]["batch_size"]) == (30, None, 8)
    assert config["strategy"]["_target_"] == "fakekit.parts.Method"
    changed = resolve(["experiment=smoke", "strategy=source_only", "dataset.batch_size=4"])
    assert changed.choices["strategy"] == "source_only" and changed.choices["experiment"] == "smoke"
    assert changed.config["dataset"]["batch_size"] == 4
    assert resolve(["experiment=smoke", "epochs=2"]).config["steps"] is None
    assert "experiment" not in resolve(["experiment=null", "~experiment"]).choices


@pytest.mark.parametrize(
    ("arg", "line"),
    [
        (
            "strategy=dannn",
            "strategy=dannn: no such strategy; did you mean 'dann'? (coral, dann, source_only)",
        ),
        ("strategy=[a,b]", "strategy=[a,b]: one of coral, dann, source_only wanted; single keys"),
        ("~strategy", "~strategy: one of coral, dann, source_only wanted"),
        ("stratgy=dann", "stratgy=dann: no such key; did you mean 'strategy'?"),
        ("stratgy.hidden=1", "stratgy.hidden=1: no such key; did you mean 'strategy'?"),
        ("optimizer.lrr=1", "optimizer.lrr=1: optimizer 'sgd' has no option 'lrr'; did you mean"),
        ("+optimizer.lrr=1", "+optimizer.lrr=1: optimizer 'sgd' has no option 'lrr'; did you mean"),
        ("++optimizer.lrr=1", "++optimizer.lrr=1: optimizer 'sgd' has no option 'lrr'"),
        (
            "optimizer.seed=1",
            "optimizer.seed=1: optimizer 'sgd' has no option 'seed'; did you mean "
            "'seed'? it takes lr, momentum",
        ),
        ("strategy.x=1", "strategy.x=1: strategy 'source_only' has no option 'x'; it takes no"),
        ("lr=0.1", "lr=0.1: no such key; did you mean 'optimizer.lr'?"),
        ("batch_size=1", "batch_size=1: no such key; did you mean 'dataset.batch_size'?"),
        ("sed=1", "sed=1: no such key; did you mean 'seed'?"),
        ("zzz.y=1", "zzz.y=1: no such key; keys are seed, epochs, steps"),
        ("optimizer.lr=abc", "optimizer.lr=abc: float wanted"),
        ("optimizer.lr.x=1", "optimizer.lr.x=1: float wanted"),
        (
            "dataset.augment=flp",
            "dataset.augment=flp: one of none, flip, flip_crop wanted; did you",
        ),
        ("seed=1.5", "seed=1.5: int wanted"),
        ("seed=-1", "seed=-1: at least 0 wanted"),
        ("seed=4294967296", "seed=4294967296: below 2**32 wanted"),
        ("selection=best", "selection=best: one of last, oracle, entropy, "),
        ("name=2024", "name=2024: str or null wanted: type \"name='2024'\""),
        ("run_dir=", "run_dir=: is empty; leave the key out"),
        ("epochs=0", "epochs=0: at least 1 wanted"),
        ("steps=-5", "steps=-5: at least 1 wanted"),
        ("dataset=folder", "dataset.source is required: type dataset.source=…"),
        ("optimizer.lr=???", "optimizer.lr is required: type optimizer.lr=…"),
        ("seed=0,1", "seed=0,1 is a sweep: add -m"),
        ("strategy=dann,coral", "strategy=dann,coral is a sweep: add -m"),
        ("hydra.run.dir=x", "hydra.run.dir=x: hydra.* belongs to -m; run_dir=…"),
        ("hydra/launcher=joblib", "hydra/launcher=joblib: hydra.* belongs to -m"),
        ("backbone._target_=os.system", "backbone._target_=os.system: not allowed"),
        ("backbone._target_=tltool.no.No", "backbone._target_=tltool.no.No: there is no module"),
        ("dann", "dann: an override is key=value; did you mean 'strategy=dann'?"),
        ("--epochs=3", "--epochs=3: no such option; keys are typed without dashes"),
        ("name=día", "name=día: cannot be read; quote special characters: \"name='día'\""),
        ("strategy@x=dann", "strategy@x=dann: not understood; an override is key=value"),
        ("+++seed=1", "+++seed=1: '+++seed' is no key; an override is key=value"),
        ("optimizer.lr=nan", "optimizer.lr=nan: float wanted, not nan"),
        ("=3", "=3: not understood; an override is key=value"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arg: str, line: str) -> None:
    [problem] = problems(arg)
    assert problem.startswith(line)


def test_all_problems_come_at_once() -> None:
    found = problems("strategy=dannn", "strategy.lrr=1", "optimizer.lr=x", "seed=[1", "lr=3")
    assert [problem.partition(":")[0] for problem in found] == [
        "seed=[1",
        "strategy=dannn",  # and nothing on its keys, which are not known
        "lr=3",
        "optimizer.lr=x",
    ]


def test_epochs_and_steps_exclude_each_other() -> None:
    assert problems("epochs=1", "steps=2") == ["epochs=1 and steps=2: give one of them"]


def test_broken_files_of_the_user_are_one_line(add: Add) -> None:
    add("mine/optimizer/torn.yaml", "_target_: [\n")
    add("mine/optimizer/bare.yaml", "lr: 1\n")
    add("mine/experiment/odd.yaml", "# @package _global_\ndefaults:\n  - override /strategy: no\n")
    folder = str(add("mine/optimizer/value.yaml", "_target_: fakekit.parts.Step\nlr: big\n"))
    mine = str(Path(folder).parents[1])
    for args, words in [
        (["optimizer=torn"], "the configuration does not compose: "),
        (["optimizer=bare"], "optimizer 'bare' names no _target_"),
        (["experiment=odd"], "the configuration does not compose: "),
        (["optimizer=value"], "optimizer.lr=big: float wanted"),
    ]:
        with pytest.raises(UserError) as caught:
            resolve(args, [mine])
        [problem] = caught.value.problems
        assert problem.startswith(words) and "\n" not in problem


@pytest.mark.parametrize("how", ["argument", "variable", "searchpath"])
def test_options_of_the_user_are_found(add: Add, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = add("my conf/optimizer/mine.yaml", "_target_: fakekit.parts.Step\nlr: 5\n")
    folder = str(file.parents[1])
    args, dirs = ["optimizer=mine"], [folder] if how == "argument" else []
    if how == "variable":
        monkeypatch.setenv("TLTOOL_CONF", folder)
    if how == "searchpath":
        args.append(f"hydra.searchpath=['file://{folder}']")
    assert resolve(args, dirs).config["optimizer"]["lr"] == 5.0


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--config-dir .*nowhere: no such folder$"):
        resolve([], [tmp_path / "nowhere"])


def test_load_option_fills_defaults_and_leaves_what_is_required() -> None:
    assert load_option("strategy", "dann")["hidden"] == 1024
    node = load_option("dataset", "folder")
    assert "source" not in node and node["batch_size"] == 64
    with pytest.raises(UserError, match="strategy=dannn: no such strategy; did you mean 'dann'"):
        load_option("strategy", "dannn")


def test_difference_lists_what_is_not_the_default() -> None:
    resolved = resolve(["strategy=dann", "seed=3", "strategy.hidden=7"])
    rows = difference(resolved.saved(), defaults())
    assert ("seed", 3, 0) in rows
    assert ("strategy", "dann", "source_only") in rows
    assert ("strategy.hidden", 7, None) in rows
    same_choices = difference(resolved.saved(), defaults(resolved.choices))
    assert same_choices == [("seed", 3, 0), ("strategy.hidden", 7, 1024)]
    assert difference(defaults(), defaults()) == []


def test_a_run_is_repeated_and_changed() -> None:
    first = resolve(["strategy=dann", "strategy.hidden=7", "steps=5", "run_dir=runs/a"])
    repeated = from_run(first.saved(), [])
    assert repeated == Resolved({**first.config, "run_dir": None}, first.choices)
    changed = from_run(first.saved(), ["strategy=coral", "epochs=3", "strategy.trade_off=2"])
    assert changed.choices["strategy"] == "coral"
    assert changed.config["strategy"]["hidden"] == 1024
    assert changed.config["strategy"]["trade_off"] == 2.0
    assert (changed.config["epochs"], changed.config["steps"]) == (3, None)


def test_overrides_on_a_run_are_checked_alike() -> None:
    saved = resolve(["strategy=dann"]).saved()
    with pytest.raises(UserError) as caught:
        from_run(saved, ["strategy.hiden=1", "seed=1,2", "experiment=smoke", "logger=cvs"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "seed=1,2 is a sweep",
        "experiment=smoke",
        "logger=cvs",
        "strategy.hiden=1",
    ]
    saved["backbone"]["_target_"] = "os.system"
    with pytest.raises(UserError, match=r"backbone._target_=os.system: not allowed"):
        from_run(saved, [])


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from tltool.config.compose import resolve; resolve(['strategy=dann']); "
        "print([name for name in ('torch', 'pytorch_lightning', 'timm', 'datasets', 'numpy') "
        "if name in sys.modules])"
    )
    repo = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
