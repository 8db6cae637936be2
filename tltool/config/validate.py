"""Binds a composed configuration to the signatures of its targets, and collects every problem."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tltool.config.kinds import convert
from tltool.config.schema import DEFAULT_EPOCHS, GROUPS, SCHEMA
from tltool.config.signature import Parameter, signature_of
from tltool.config.tree import one_line
from tltool.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from omegaconf import DictConfig

Options = dict[str, Parameter]
MISSING = "???"  # OmegaConf's mark of a value that must be given


def group_options(group: str, target: str) -> Options:
    """Maps the keys that a node of `group` takes with that `_target_` to their parameters.

    Raises:
        UserError: `target` is not allowed or does not exist.
    """
    own = signature_of(target).options
    shared = GROUPS[group].shared
    beside = signature_of(shared).options if shared else ()
    options = {parameter.name: parameter for parameter in own}
    for parameter in beside:
        options.setdefault(parameter.name, parameter)
    return options


def top_options() -> Options:
    """Maps the keys of the top level, groups left out, to their parameters."""
    options = signature_of(SCHEMA).options
    return {parameter.name: parameter for parameter in options if parameter.name not in GROUPS}


@dataclass
class Binder:
    """Checks one configuration.

    Args:
        choices: Option of each group, for messages.
        texts: What was typed for a key, for messages.
        skip: Groups that are not looked at, because their option is not known.
        problems: One line each.
    """

    choices: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)
    skip: Collection[str] = ()
    problems: list[str] = field(default_factory=list)

    def bind(self, config: DictConfig) -> dict[str, Any]:
        """Returns `config` with every default filled in, resolved, in the signatures' order."""
        from omegaconf import OmegaConf

        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        raw = {str(key): value for key, value in plain.items()}
        top = top_options()
        found = {group: self._options_of(group, raw.get(group)) for group in GROUPS}
        options = {group: taken for group, taken in found.items() if taken is not None}
        for key in raw:
            if key not in top and key not in GROUPS:
                self._unknown_top(key, raw[key], options)
        for group, taken in options.items():
            for key in raw[group]:
                if key not in taken and key != "_target_":
                    self._unknown_option(group, key, raw[group][key], options)
        filled = _fill(raw, top)
        for group, taken in options.items():
            filled[group] = {"_target_": raw[group]["_target_"], **_fill(raw[group], taken)}
        resolved = self._interpolate(filled)
        self._check("", resolved, top)
        for group, taken in options.items():
            self._check(f"{group}.", resolved[group], taken)
        self._check_numbers(resolved)
        return resolved

    def bind_values(
        self, group: str, node: dict[str, Any], values: Mapping[str, Any], prefix: str
    ) -> list[str]:
        """Sets values in a node, checked; returns what is wrong with them, one line each."""
        taken = group_options(group, node["_target_"])
        for key, value in values.items():
            if key in taken:
                node[key] = value
            else:
                self._unknown_option(group, key, value, {group: taken})
        self._check(f"{prefix}.{self.choices[group]}.", node, taken)
        return self.problems

    def _options_of(self, group: str, node: Any) -> Options | None:
        if group in self.skip:
            return None
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            self.problems.append(f"{self._option(group)} names no _target_")
            return None
        try:
            return group_options(group, node["_target_"])
        except UserError as error:
            self.problems += [f"{group}._target_={problem}" for problem in error.problems]
            return None

    def _interpolate(self, config: dict[str, Any]) -> dict[str, Any]:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
        except OmegaConfBaseException as error:
            quote = self._quote(str(error.full_key or "configuration"), "${…}")
            raise UserError(*self.problems, f"{quote}: {one_line(error)}") from error
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    def _check(self, prefix: str, node: dict[str, Any], parameters: dict[str, Parameter]) -> None:
        for name, parameter in parameters.items():
            key = prefix + name
            if node.get(name, MISSING) == MISSING:
                if parameter.required or name in node:
                    self.problems.append(f"{key} is required: type {key}=…")
                continue
            try:
                node[name] = convert(parameter.kind, node[name])
            except ValueError as error:
                quote = self._quote(key, node[name])
                self.problems.append(f"{quote}: {error}{_quoting(parameter, key, node[name])}")

    def _check_numbers(self, config: dict[str, Any]) -> None:
        """Applies the rules that no type states; whatever has a wrong type is passed over."""
        self._choose_length(config)
        at_least = {"epochs": 1, "steps": 1, "log_every": 1, "checkpoint_every": 0, "seed": 0}
        for key, least in at_least.items():
            value = config.get(key)
            if isinstance(value, int | float) and value < least:
                self.problems.append(f"{self._quote(key, value)}: at least {least} wanted")
        if isinstance(config.get("seed"), int) and config["seed"] >= 2**32:
            self.problems.append(f"{self._quote('seed', config['seed'])}: below 2**32 wanted")
        for key in ("name", "run_dir"):
            if config.get(key) == "":
                self.problems.append(f"{self._quote(key, '')}: is empty; leave the key out")

    def _choose_length(self, config: dict[str, Any]) -> None:
        """Exactly one of `epochs` and `steps`; what was typed wins over what a preset says."""
        if config["epochs"] is None and config["steps"] is None:
            config["epochs"] = DEFAULT_EPOCHS
        elif config["epochs"] is not None and config["steps"] is not None:
            typed = [key for key in ("epochs", "steps") if key in self.texts]
            if len(typed) == 1:
                config["steps" if typed == ["epochs"] else "epochs"] = None
                return
            both = (self._quote(key, config[key]) for key in ("epochs", "steps"))
            self.problems.append(f"{' and '.join(both)}: give one of them")

    def _unknown_top(self, key: str, value: Any, options: Mapping[str, Options]) -> None:
        known = [*top_options(), *GROUPS]
        hint = _elsewhere(key, options) or did_you_mean(key, known)
        allowed = "" if hint else f"; keys are {', '.join(known)}"
        self.problems.append(f"{self._quote(key, value)}: no such key{hint}{allowed}")

    def _unknown_option(
        self, group: str, key: str, value: Any, options: Mapping[str, Options]
    ) -> None:
        taken = options[group]
        takes = f"it takes {', '.join(taken)}" if taken else "it takes no options"
        hint = did_you_mean(key, taken) or _elsewhere(key, options)
        quote, option = self._quote(f"{group}.{key}", value), self._option(group)
        self.problems.append(
            f"{quote}: {option} has no option '{key}'{hint}{' ' if hint else '; '}{takes}"
        )

    def _option(self, group: str) -> str:
        return f"{group} '{self.choices[group]}'" if group in self.choices else group

    def _quote(self, key: str, value: Any) -> str:
        """Returns what the user typed for `key`, or the value that a file gives it."""
        for text_key, text in self.texts.items():
            if text_key == key or text_key.startswith(f"{key}."):
                return text
        return f"{key}={'null' if value is None else value}"


def _fill(node: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    filled = {}
    for name, parameter in parameters.items():
        if name in node:
            filled[name] = node[name]
        elif parameter.has_literal_default:
            filled[name] = parameter.default
    return filled


def _elsewhere(key: str, options: Mapping[str, Options]) -> str:
    """Suggests the group that takes `key`, or the top level."""
    homes = [f"{group}.{key}" for group, taken in options.items() if key in taken]
    homes += [key] if key in top_options() else []
    return f"; did you mean '{homes[0]}'?" if homes else ""


def _quoting(parameter: Parameter, key: str, value: Any) -> str:
    """Says how to type a text that looks like a number."""
    is_text = parameter.kind.contains("str") or parameter.kind.contains("Path")
    if is_text and isinstance(value, bool | int | float):
        return f": type \"{key}='{value}'\""
    return ""
