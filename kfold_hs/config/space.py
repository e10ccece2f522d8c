"""Spaces to search: which keys of the configuration, and which values of each.

A space is a file, of `configs/tune/` or the user's own:

    with: [GROUP=NAME, ...]      what all points have, so that the keys exist
    space: {KEY: [VALUE, ...]}   at least one different value a key; a group is a key, too

or a command line with several values of some keys: ``optim.lr=1e-4,1e-3 sched=onecycle,cosine``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from kfold_hs.config.compose import SPACES, compose, config_folder, expand, key_of
from kfold_hs.config.overrides import MOST_VALUES, assignment, understood
from kfold_hs.errors import ConfigError, readable, shown, unknown_name

Value = str | int | float | bool
MOST_KEYS = 100
_LARGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Space:
    """Keys and the values to try of each.

    Parameters
    ----------
    name : str
    shared : tuple of str
        Overrides that every point has.
    choices : mapping
        Key -> its values, different ones, in the order of the file.
    """

    name: str
    shared: tuple[str, ...]
    choices: Mapping[str, tuple[Value, ...]]

    def __len__(self) -> int:
        """Points of the grid."""
        return math.prod(len(values) for values in self.choices.values())

    def points(self) -> Iterator[dict[str, Value]]:
        """Every point of the grid; the last key changes fastest."""
        for values in itertools.product(*self.choices.values()):
            yield dict(zip(self.choices, values, strict=True))

    def grid(self) -> Iterator[list[str]]:
        """Overrides of every point, in the same order."""
        for point in self.points():
            yield self.overrides(point)

    def overrides(self, point: Mapping[str, Value]) -> list[str]:
        """What a command line says to be at a point: `shared`, then ``key=value``."""
        return [*self.shared, *(f"{key}={value}" for key, value in point.items())]

    def check(self, overrides: Sequence[str] = ()) -> None:
        """Compose each value of each key once, on top of `overrides`.

        Raises
        ------
        ConfigError
            With every value that does not fit.
        """
        first = {key: values[0] for key, values in self.choices.items()}
        faults = []
        for key, values in self.choices.items():
            for value in values[0 if key == next(iter(first)) else 1 :]:
                try:
                    compose([*overrides, *self.overrides({**first, key: value})])
                except ConfigError as error:
                    faults.append(readable(f"{key}={value}: {error}", 300))
        if faults:
            more = f" And {len(faults) - 4} more." if len(faults) > 4 else ""
            raise ConfigError(f"the space {self.name} does not fit. {' '.join(faults[:4])}{more}")


def spaces() -> list[str]:
    """Names of all spaces."""
    return sorted(path.stem for path in (config_folder() / SPACES).glob("*.yaml"))


def space(name: str) -> Space:
    """Read a space by its name.

    Raises
    ------
    ConfigError
        There is none of this name, or its file does not hold one.
    """
    if name not in spaces():
        raise ConfigError(unknown_name("space", name, spaces()))
    return read_space(config_folder() / SPACES / f"{name}.yaml")


def read_space(path: Path) -> Space:
    """The space that a file holds, named after it.

    Raises
    ------
    ConfigError
        It cannot be read, or holds something else.
    """
    with understood(f"read the space {shown(str(path))}"):
        content = _content(path)
    if not isinstance(content, dict) or set(content) != {"with", "space"}:
        raise ConfigError(f"{path} must hold `with` and `space`, and nothing else.")
    shared, choices = content["with"] or [], content["space"]
    if not isinstance(shared, list) or not all(isinstance(each, str) for each in shared):
        raise ConfigError(f"{path}: with must be a list of settings such as [model=timm].")
    if not isinstance(choices, dict) or not choices:
        raise ConfigError(f"{path}: space must map keys to lists of values.")
    if len(choices) > MOST_KEYS:
        raise ConfigError(f"{path}: a space of {len(choices)} keys; at most {MOST_KEYS}.")
    for key, values in choices.items():
        _check_values(f"{path}: {key}", values)
    return Space(
        path.stem,
        tuple(shared),
        {str(key): tuple(_typed(str(key), v) for v in values) for key, values in choices.items()},
    )


def _content(path: Path) -> Any:
    """What a YAML file of the user's holds; references are refused, since they can multiply."""
    if (size := path.stat().st_size) > _LARGEST_FILE:
        raise ConfigError(f"{path} has {size} bytes; a space has at most {_LARGEST_FILE}.")
    text = path.read_text(encoding="utf-8")
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
        raise ConfigError(f"{path} refers to anchors (*name); write the values out.")
    return OmegaConf.to_container(OmegaConf.create(text))


def _typed(key: str, value: Value) -> Value:
    """A value as a command line has it: a text that would be read as something else in quotes."""
    return assignment(key, value).partition("=")[2] if isinstance(value, str) else value


def find_space(words: Sequence[str], wanted: str | None = None) -> tuple[list[str], Space]:
    """The space that a command line means, and what else it says.

    Parameters
    ----------
    words : sequence of str
        Overrides; one with several values is a key of the space.
    wanted : str, optional
        A file, or the name of a space; keys of `words` are added to it or take its keys' place.
        Without it and without such keys, the space `table`.

    Returns
    -------
    fixed, space : list of str, Space

    Raises
    ------
    ConfigError
        There is no such space or file, or a key is given twice.
    """
    fixed: list[str] = []
    choices: dict[str, tuple[Value, ...]] = {}
    for word in words:
        values = [text for (text,) in expand([word])]
        if len(values) == 1:
            fixed += values
            continue
        key = key_of(values[0])
        if key in choices:
            raise ConfigError(f"{key} is given twice. Give all of its values in one word.")
        choices[key] = tuple(value.split("=", 1)[1] for value in values)
        _check_values(key, list(choices[key]))
    if wanted is None and choices:
        return fixed, Space("command line", (), choices)
    with understood(f"find the space {shown(wanted)}"):
        is_file = wanted is not None and (
            wanted.endswith((".yaml", ".yml")) or Path(wanted).is_file()
        )
    found = read_space(Path(str(wanted))) if is_file else space(wanted or "table")
    return fixed, replace(found, choices={**found.choices, **choices})


def _check_values(where: str, values: Any) -> None:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where} must be a list of values to try, and is {shown(values)}.")
    if len(values) > MOST_VALUES:
        raise ConfigError(f"{where} has {len(values)} values to try; at most {MOST_VALUES}.")
    if wrong := [each for each in values if not isinstance(each, Value)]:
        raise ConfigError(f"{where} holds {shown(wrong[0])}, which is no single value.")
    if len(set(values)) < len(values):
        raise ConfigError(f"{where} holds a value twice: {shown(values)}.")
