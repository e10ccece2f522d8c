"""Settings as Python has them -> words of a command line, so that both mean the same.

train={"epochs": 2}          train.epochs=2
sched="cosine"               sched=cosine
loss={"kind": "focal", "gamma": 3}       loss=focal loss.gamma=3
**{"optim.lr": 1e-4}         optim.lr=0.0001
data={"tasks": {"rhythm": {"classes": ["af", "sinus"]}}}   data.tasks={rhythm:{classes:[...]}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kfold_hs.config.compose import NAMED, groups
from kfold_hs.config.overrides import assignment, in_quotes
from kfold_hs.errors import ConfigError, shown

_SPECIAL = re.compile(r"[\\()\[\]{}:=, \t]")
"""Signs that a key of a dict of Hydra's grammar holds behind a backslash."""


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """The overrides that set these values.

    Parameters
    ----------
    settings : mapping
        Keys as on a command line (`optim.lr`, `sched`), or nested mappings of them. In a mapping
        of a group, `kind` chooses, as in config.yaml. Values are texts, numbers, truth values,
        None, paths, arrays, and lists and mappings of these. No value is a sweep.

    Raises
    ------
    ConfigError
        A value is of another type.
    """
    return [word for key, value in settings.items() for word in _words(str(key), value)]


def choices_of(space: Mapping[str, Any]) -> list[str]:
    """The sweeps of a space: one word for each key, of all its values.

    Parameters
    ----------
    space : mapping
        As in `words_of`, with a list of values for each key.

    Raises
    ------
    ConfigError
        A key has no list of two or more values.
    """
    found = []
    for key, values in _flat(space, ""):
        if isinstance(values, str) or not isinstance(_plain(values), list | tuple):
            raise ConfigError(
                f"space: {key}={shown(values)} is no list. Give the values to try, such as "
                "{'optim.lr': [1e-4, 1e-3]}; a setting with one value is no key of the space."
            )
        if len(values) < 2:
            raise ConfigError(
                f"space: {key}={shown(values)} has {len(values)} value(s) to try, and takes two or "
                f"more. Give a single value as a setting: {key}=..."
            )
        texts = [word.partition("=")[2] for each in values for word in _words(key, each)]
        found.append(f"{key}=choice({','.join(texts)})")
    return found


def _flat(space: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in space.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _words(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and key not in NAMED:
        for name, each in value.items():
            is_choice = name == "kind" and key in groups()
            yield from _words(key if is_choice else f"{key}.{name}", each)
    elif isinstance(value, str | Path):
        yield assignment(key, str(value))
    else:
        yield f"{key}={_literal(key, value)}"


def _literal(key: str, value: Any) -> str:
    """A value in Hydra's grammar."""
    value = _plain(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return in_quotes(str(value))
    if isinstance(value, Mapping):
        items = (f"{_SPECIAL.sub(_escaped, str(k))}:{_literal(key, v)}" for k, v in value.items())
        return f"{{{','.join(items)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_literal(key, each) for each in value)}]"
    raise ConfigError(
        f"{key}={shown(value)} is of type {type(value).__name__}. A setting is a text, a number, "
        "True, False, None, a path, or a list or dict of these."
    )


def _plain(value: Any) -> Any:
    """A number, array or column of a library as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _escaped(sign: re.Match[str]) -> str:
    return f"\\{sign[0]}"
