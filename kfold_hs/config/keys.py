"""What keys there can be: the settings' types, asked by dotted keys."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from kfold_hs.config.schema import Config


@functools.cache
def can_be(key: str) -> bool:
    """Whether some choice of groups makes a setting of this key."""
    return bool(_types(key))


@functools.cache
def is_always(key: str) -> bool:
    """Whether every choice of groups does."""
    found = _types(key)
    return bool(found) and None not in found


@functools.cache
def is_path(key: str) -> bool:
    """Whether the setting is the path of a file or folder."""
    return any(Path in _arms(kind) for kind in _types(key))


@functools.cache
def is_text(key: str) -> bool:
    """Whether the setting takes any text, e.g. the name of a column."""
    return any(str in _arms(kind) for kind in _types(key))


def keys() -> list[str]:
    """Every key that some choice of groups has; `*` stands for a name of the user's."""
    return sorted(set(_below(Config, "")))


def with_defaults(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What choices of groups make, with the declared defaults of all other settings.

    "???", OmegaConf's sign of what must be given, stands where there is no default.
    """
    top = Config.model_construct().model_dump(mode="json", exclude={"device_kind"})
    found = {**top, **chosen}
    for group, given in chosen.items():
        for arm in _arms(Config.model_fields[group].annotation):
            if isinstance(given, Mapping) and _is_kind(arm, given.get("kind")):
                missing = dict.fromkeys(arm.model_fields, "???")
                declared = arm.model_construct().model_dump(mode="json")
                found[group] = {**missing, **declared, **given}
    return found


def with_folds_of_column(split: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a split that name no number of folds: a held-out column has its own."""
    return {**split, "n_folds": None} if split.get("hold_out") is not None else dict(split)


def _is_kind(arm: type[BaseModel], kind: str | None) -> bool:
    """Whether the settings are those of a choice; None: of a group without several kinds."""
    field = arm.model_fields.get("kind")
    return kind in (get_args(field.annotation) if field else (None,))


def _types(key: str) -> list[Any]:
    """Types of the settings of a key; None for each choice that has no such setting, if one has."""
    found = [*_walk(Config, tuple(key.split(".")))]
    return found if any(each is not None for each in found) else []


def _walk(kind: Any, parts: tuple[str, ...]) -> list[Any]:
    if not parts:
        return [kind]
    found: list[Any] = []
    for arm in _arms(kind):
        if isinstance(arm, type) and issubclass(arm, BaseModel):
            field = arm.model_fields.get(parts[0])
            found += [None] if field is None else _walk(field.annotation, parts[1:])
        elif get_origin(arm) is dict:
            found += _walk(get_args(arm)[1], parts[1:])
    return found or [None]


def _below(kind: Any, prefix: str) -> list[str]:
    found = []
    for arm in _arms(kind):
        if isinstance(arm, type) and issubclass(arm, BaseModel):
            for name, field in arm.model_fields.items():
                found += [prefix + name, *_below(field.annotation, f"{prefix}{name}.")]
        elif get_origin(arm) is dict:
            found += [f"{prefix}*", *_below(get_args(arm)[1], f"{prefix}*.")]
    return found


def _arms(kind: Any) -> list[Any]:
    """The members of a union, without what is noted beside them."""
    if get_origin(kind) is Annotated:
        return _arms(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [arm for each in get_args(kind) for arm in _arms(each)]
    return [kind]
