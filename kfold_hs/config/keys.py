"""What keys there can be: the settings' types, asked by dotted keys."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kfold_hs.config import plugins
from kfold_hs.config.registry import Rows
from kfold_hs.config.schema import Config


@plugins.cached
def can_be(key: str) -> bool:
    """Whether some choice of groups makes a setting of this key."""
    return bool(_types(key))


@plugins.cached
def is_always(key: str) -> bool:
    """Whether every choice of groups does."""
    found = _types(key)
    return bool(found) and None not in found


@plugins.cached
def is_path(key: str) -> bool:
    """Whether the setting is the path of a file or folder."""
    return any(Path in _arms(kind) for kind in _types(key))


@plugins.cached
def is_section(key: str) -> bool:
    """Whether the setting is a group of others, e.g. `optim`, `data` and `judge.margins`."""
    arms = [arm for kind in _types(key) for arm in _arms(kind)]
    return any(
        get_origin(arm) is dict or (isinstance(arm, type) and issubclass(arm, BaseModel))
        for arm in arms
    )


@plugins.cached
def is_text(key: str) -> bool:
    """Whether the setting takes any text, e.g. the name of a column."""
    return any(str in _arms(kind) for kind in _types(key))


def values_of(key: str) -> list[str]:
    """The values of a setting that takes one of a few: choices, true and false, null."""
    found: dict[str, None] = {}
    for kind in _types(key):
        for arm in _arms(kind):
            if get_origin(arm) is Literal:
                found |= dict.fromkeys(map(str, get_args(arm)))
            elif arm is bool:
                found |= {"true": None, "false": None}
            elif arm is types.NoneType:
                found["null"] = None
    return list(found)


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
        field = Config.model_fields[group]
        for arm in _arms_of(field):
            if isinstance(given, Mapping) and _is_kind(arm, given.get("kind", _default(field))):
                missing = dict.fromkeys(arm.model_fields, "???")
                declared = arm.model_construct().model_dump(mode="json")
                found[group] = {**missing, **declared, **given}
    return found


def _arms_of(field: FieldInfo) -> list[Any]:
    """As `_arms`; pydantic takes apart what is noted beside a field's type."""
    return [arm for each in field.metadata if isinstance(each, Rows) for arm in _arms(each)] or (
        _arms(field.annotation)
    )


def _default(field: FieldInfo) -> str | None:
    return next((e.registry.default for e in field.metadata if isinstance(e, Rows)), None)


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
            found += [None] if field is None else _walk_field(field, parts[1:])
        elif get_origin(arm) is dict:
            found += _walk(get_args(arm)[1], parts[1:])
    return found or [None]


def _walk_field(field: FieldInfo, parts: tuple[str, ...]) -> list[Any]:
    if not parts:
        return [field.annotation]
    return [each for arm in _arms_of(field) for each in _walk(arm, parts)]


def _below(kind: Any, prefix: str) -> list[str]:
    found = []
    for arm in _arms(kind):
        if isinstance(arm, type) and issubclass(arm, BaseModel):
            for name, field in arm.model_fields.items():
                arms = _arms_of(field)
                found.append(prefix + name)
                found += [key for arm in arms for key in _below(arm, f"{prefix}{name}.")]
        elif get_origin(arm) is dict:
            found += [f"{prefix}*", *_below(get_args(arm)[1], f"{prefix}*.")]
    return found


def _arms(kind: Any) -> list[Any]:
    """The members of a union, without what is noted beside them."""
    if isinstance(kind, Rows):
        return [row.settings for row in kind.registry.values()]
    if get_origin(kind) is Annotated:
        first, *notes = get_args(kind)
        return [arm for each in notes if isinstance(each, Rows) for arm in _arms(each)] or _arms(
            first
        )
    if get_origin(kind) in (Union, types.UnionType):
        return [arm for each in get_args(kind) for arm in _arms(each)]
    return [kind]
