"""Protocols: what they say, everything that is wrong with them, and the shipped ones."""

from typing import Any

import pytest
import yaml

from tltool.config.compose import resolve
from tltool.config.protocol import load_protocol, parse_protocol, protocol_files
from tltool.errors import UserError

GOOD = """
title: One against the other
source: A paper, table 1
needs: {dataset.source: FOLDER}
seeds: [0, 1]
overrides: dataset=image_folder steps=6
runs:
  - {name: ours, overrides: strategy=finetune "name='a b'"}
  - {name: theirs}
figures:
  - {of: ours, metric: source_test/accuracy, published: 0.9, tolerance: 0.05, differs: fewer images}
  - {of: ours, minus: theirs, metric: source_test/accuracy, at_least: 1}
"""


def parsed(**changes: Any) -> Any:
    return parse_protocol({**yaml.safe_load(GOOD), **changes}, "p", "p.yaml")


def problems(node: Any) -> list[str]:
    with pytest.raises(UserError) as error:
        parse_protocol(node, "p", "p.yaml")
    assert all(line.startswith("p.yaml: ") for line in error.value.problems)
    return [line.removeprefix("p.yaml: ") for line in error.value.problems]


def test_a_protocol_is_read() -> None:
    protocol = parsed()
    assert (protocol.name, protocol.seeds) == ("p", (0, 1))
    assert protocol.needs == {"dataset.source": "FOLDER"}
    first, second = protocol.runs
    assert protocol.arguments(first) == [
        "dataset=image_folder", "steps=6", "strategy=finetune", "name='a b'"
    ]  # fmt: skip
    assert protocol.arguments(second) == ["dataset=image_folder", "steps=6"]
    assert [figure.name for figure in protocol.figures] == ["ours", "ours - theirs"]
    assert protocol.figures[1].at_least == 1.0


def test_all_mistakes_are_told_at_once() -> None:
    node = yaml.safe_load(GOOD)
    del node["source"]
    node |= {"titel": "x", "seeds": ["a"]}
    node["runs"][0]["name"] = 3
    node["figures"][0] |= {"publish": 0.9, "tolerance": "small"}
    node["figures"].append({"of": "ours"})
    node["figures"].append("ours")
    found = problems(node)
    wanted = [
        "titel: no such key; did you mean 'title'?",
        "seeds=['a']: int wanted",
        "source is required",
        "runs[0].name=3: str wanted",
        "figures[0].publish: no such key; did you mean 'published'?",
        "figures[0].tolerance=small: float or null wanted",
        "figures[2].metric is required",
        "figures[3]: keys wanted (of, metric",
    ]
    assert len(found) == len(wanted)
    for line in wanted:
        assert any(problem.startswith(line) for problem in found), line


def test_what_does_not_fit_together_is_told() -> None:
    found = problems(
        yaml.safe_load(GOOD)
        | {
            "seeds": [1, 1],
            "overrides": "name='a",
            "runs": [{"name": "ours"}, {"name": "ours"}],
            "figures": [
                {"of": "our", "metric": "m", "at_least": 1.0, "tolerance": 1.0},
                {"of": "ours", "minus": "x", "metric": "m"},
                {"of": "ours", "metric": "m", "tolerance": 1.0},
            ],
        }
    )
    assert found == [
        "runs: 'ours' twice",
        "seeds: at least one wanted, none twice",
        "figures[0].of=our: no such run; did you mean 'ours'? (ours, ours)",
        "figures[0]: either tolerance or at_least wanted",
        "figures[0]: tolerance is around published, which is missing",
        "figures[1].minus=x: no such run (ours, ours)",
        "figures[1]: either tolerance or at_least wanted",
        "figures[2]: tolerance is around published, which is missing",
        "overrides: No closing quotation",
    ]


@pytest.mark.parametrize("node", [None, [], "text", {"runs": [], "figures": []}])
def test_a_file_without_a_protocol_is_refused(node: Any) -> None:
    assert problems(node)


@pytest.mark.parametrize("name", protocol_files())
def test_a_shipped_protocol_composes(name: str) -> None:
    protocol = load_protocol(name)
    given = [f"{key}=x" for key in protocol.needs]
    for run in protocol.runs:
        resolve([*protocol.arguments(run), *given])
