"""The reference of settings, from the types in `kfold_hs.config` and their docstrings.

A settings class says what a key means in its docstring, as `key : meaning` or `key, key : meaning`;
type, default and bounds are those of the field. Nothing here needs Sphinx.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kfold_hs.config.compose import TABLES, config_folder, groups
from kfold_hs.config.registry import Rows
from kfold_hs.config.schema import Config

_LINE = re.compile(r"^((?:\w+, )*\w+) : (.+)$")
_SLIPS = (1e9, 2**31 - 1)
"""Upper bounds that only catch slips of the finger, and say nothing to a reader."""
_UNIONS = (Union, types.UnionType)
_WORDS = {
    Any: "anything",
    str: "text",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
}


@dataclass(frozen=True)
class Setting:
    """One key of one choice: what it takes, its default (None: it must be given), its meaning."""

    key: str
    takes: str
    default: str | None
    meaning: str


def introduction(kind: type) -> str:
    """What a class's docstring says before the meanings of its keys."""
    lines: list[str] = []
    for line in (inspect.getdoc(kind) or "").splitlines():
        if _LINE.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def meanings(kind: type) -> dict[str, str]:
    """Key -> meaning, of a settings class and those that it builds on."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("kfold_hs."):
            found |= _meanings(inspect.cleandoc(each.__doc__ or ""))
    return found


def _meanings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    keys: list[str] = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            keys = match[1].split(", ")
            found |= dict.fromkeys(keys, match[2])
        elif keys and line.startswith(" "):
            found |= {key: f"{found[key]} {line.strip()}" for key in keys}
        else:
            keys = []
    return found


def takes(kind: Any, notes: tuple[Any, ...] = ()) -> str:
    """The values of a type, in words, with their bounds."""
    if get_origin(kind) is Annotated:
        first, *more = get_args(kind)
        return takes(first, (*more, *notes))
    if get_origin(kind) in _UNIONS:
        some = [arm for arm in get_args(kind) if arm is not type(None)]
        if all(get_origin(arm) is Literal for arm in some):
            some = [Literal[tuple(value for arm in some for value in get_args(arm))]]
        words = [takes(arm, notes) for arm in some]
        return " or ".join([*words, *(["`null`"] if type(None) in get_args(kind) else [])])
    if get_origin(kind) is Literal:
        return _either([f"`{_yaml(value)}`" for value in get_args(kind)])
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        length = _bounds(notes, "", " or more")
        if rest == [...]:
            return f"list of{length} {_plural(takes(first))}"
        return f"list of {1 + len(rest)}: each a {takes(first)}"
    if get_origin(kind) is dict:
        return f"mapping from name to {takes(get_args(kind)[1])}"
    if isinstance(kind, type) and issubclass(kind, Path):
        return "path"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "settings, below"
    return _WORDS[kind] + (_bounds(notes) if kind in (int, float) else "")


def _plural(words: str) -> str:
    """Of the first noun: "number above 0" -> "numbers above 0"."""
    return re.sub(r"^(whole number|number|path|text)\b", r"\1s", words)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _bounds(notes: tuple[Any, ...], start: str = ", ", length: str = "") -> str:
    """What limits a number, or the length of a list."""
    found: dict[str, Any] = {}
    for note in notes:
        for each in note.metadata if isinstance(note, FieldInfo) else (note,):
            for sign, kind in (
                ("ge", annotated_types.Ge), ("gt", annotated_types.Gt), ("le", annotated_types.Le),
                ("lt", annotated_types.Lt), ("min", annotated_types.MinLen),
            ):  # fmt: skip
                if isinstance(each, kind):
                    found[sign] = getattr(each, "min_length" if sign == "min" else sign)
    if "min" in found and length:
        return f" {found['min']}{length}"
    if length or not found.keys() & {"ge", "gt", "le", "lt"}:
        return ""
    if found.get("le") in _SLIPS:
        del found["le"]
    if not found:
        return ""
    if "ge" in found and "le" in found:
        return f"{start}{_number(found['ge'])} to {_number(found['le'])}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return start + ", ".join(f"{words[s]} {_number(found[s])}" for s in words if s in found)


def _number(value: float) -> str:
    if value == 2**32 - 1:
        return "4,294,967,295"
    return f"{value:g}" if value >= 1e6 or value != int(value) else f"{int(value):,}"


def _yaml(value: Any) -> str:
    """A value as a command line takes it."""
    if isinstance(value, BaseModel):
        return "{}"
    if isinstance(value, tuple):
        value = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in
                 value]  # fmt: skip
    if isinstance(value, str):
        return value
    return json.dumps(value)


def arms(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """The choices of a field that is one of a table: name -> settings class."""
    rows = next((each.registry for each in field.metadata if isinstance(each, Rows)), None)
    return {} if rows is None else {name: row.settings for name, row in rows.items()}


def of_class(kind: type[BaseModel], prefix: str) -> Iterator[Setting]:
    """Every setting of a class and of the settings inside it; `NAME` stands for a user's name."""
    said = meanings(kind)
    for name, field in kind.model_fields.items():
        key = f"{prefix}{name}"
        inside = _inside(field.annotation)
        default: str | None = None
        if not field.is_required() and inside is None:
            default = _yaml(field.get_default(call_default_factory=True))
        words = _takes_of(field)
        yield Setting(key, words, default, said.get(name, ""))
        if inside is not None:
            below, are_named = inside
            yield from of_class(below, f"{key}.{'NAME.' if are_named else ''}")


def _takes_of(field: FieldInfo) -> str:
    (extra,) = (arg for arg in (get_args(field.annotation) or (None,))[:1])
    if any(isinstance(note, Rows) for note in getattr(extra, "__metadata__", ())):
        return "list of names of plug-ins' augmentations, or a mapping from name to its settings"
    return takes(field.annotation, tuple(field.metadata))


def _inside(kind: Any) -> tuple[type[BaseModel], bool] | None:
    """The settings class inside a field, and whether names of the user's lie between."""
    if get_origin(kind) is dict:
        below = _inside(get_args(kind)[1])
        return None if below is None else (below[0], True)
    if get_origin(kind) in _UNIONS:
        return next((found for arm in get_args(kind) if (found := _inside(arm))), None)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, False
    return None


@dataclass(frozen=True)
class Group:
    """Settings of one group: what all its choices share, and what some have by themselves."""

    name: str
    text: str
    shared: list[Setting]
    own: Mapping[str, tuple[str, list[Setting]]]

    @property
    def settings(self) -> list[Setting]:
        """All of them; a key of several choices comes several times."""
        return [*self.shared, *(each for _, own in self.own.values() for each in own)]


def read() -> list[Group]:
    """Every setting, by group; the first group has those of the run itself."""
    found = []
    top = []
    for name, field in Config.model_fields.items():
        inside = _inside(field.annotation)
        if kinds := arms(field):
            found.append(_of_table(name, kinds))
        elif inside is not None and not inside[1]:
            found.append(Group(name, introduction(inside[0]), [*of_class(inside[0], f"{name}.")],
                               {}))  # fmt: skip
        else:
            top += [each for each in of_class(Config, "") if re.match(rf"{name}(\.|$)", each.key)]
    return [Group("", introduction(Config), top, {}), *found]


def _of_table(name: str, kinds: Mapping[str, type[BaseModel]]) -> Group:
    each = {kind: [*of_class(settings, f"{name}.")] for kind, settings in kinds.items()}
    first = next(iter(each.values()))
    shared = [
        s for s in first if s.key != f"{name}.kind" and all(s in others for others in each.values())
    ]
    texts = {
        kind: introduction(settings)
        if not introduction(settings).startswith("Settings of")
        else inspect.getdoc(TABLES[name][kind].build) or ""
        for kind, settings in kinds.items()
    }
    own = {
        kind: (texts[kind], [s for s in of if s not in shared and s.key != f"{name}.kind"])
        for kind, of in each.items()
    }
    registry = TABLES[name]
    text = introduction(registry.base) if registry.base.__name__ != "Choice" else ""
    said = f"`{name}.kind`, which is one of {_either([f'`{k}`' for k in kinds])}"
    kind_of = Setting(f"{name}.kind", _either([f"`{k}`" for k in kinds]), registry.default,
                      meanings(registry.base).get("kind", ""))  # fmt: skip
    return Group(name, text or f"Chosen by {said}.", [kind_of, *shared], own)


def undocumented() -> list[str]:
    """Keys whose class does not say what they mean."""
    return sorted({s.key for group in read() for s in group.settings if not s.meaning})


def all_keys() -> list[str]:
    """Every key, once."""
    return sorted({s.key for group in read() for s in group.settings})


def page() -> str:
    """The reference, as MyST Markdown."""
    seen: set[str] = set()
    parts = []
    for group in read():
        title = f"`{group.name}`" if group.name else "Of the run itself"
        parts.append(f"({group.name or 'run'}-settings)=\n## {title}\n\n{group.text}\n")
        parts += [_entry(each, seen) for each in group.shared]
        for kind, (text, own) in group.own.items():
            parts.append(f"### `{group.name}.kind={kind}`\n\n{text}\n")
            parts += [_entry(each, seen) for each in own]
        if group.name in groups():
            parts += _choices(group)
    return "\n".join(parts)


def _entry(each: Setting, seen: set[str]) -> str:
    again = ":no-index:\n" if each.key in seen else ""
    seen.add(each.key)
    default = "must be given" if each.default is None else f"default `` {each.default or ' '} ``"
    takes = each.takes if each.takes.endswith("settings, below") else f"{each.takes}; {default}"
    said = _linked(f"{each.meaning[:1].upper()}{each.meaning[1:]}.", each.key)
    return f"```{{confval}} {each.key}\n{again}\n*{takes}*\n\n{said}\n```\n"


@functools.cache
def _known() -> frozenset[str]:
    """Keys that a docstring may mention, none of a plug-in's."""
    return frozenset(all_keys())


def _linked(text: str, own: str) -> str:
    """What a docstring says, as one reads it in YAML; other keys in it become links."""
    known = _known()

    def link(match: re.Match[str]) -> str:
        return f"{{confval}}`{match[0]}`" if match[0] in known - {own} else match[0]

    parts = re.split(r"(`[^`]*`)", re.sub(r"\bNone\b", "`null`", text))
    return "".join(
        part if part[:1] == "`" else re.sub(r"\w+\.[\w.]*\w", link, part) for part in parts
    )


def _choices(group: Group) -> list[str]:
    """What the files of `configs/` set, each as it stands."""
    files = sorted((config_folder() / group.name).glob("*.yaml"))
    parts = [f"### Choices of `{group.name}`\n"]
    rows = [name for name in groups()[group.name] if name not in {path.stem for path in files}]
    if rows:
        named = _either([f"`{group.name}={name}`" for name in rows])
        parts.append(f"By name, with the defaults above: {named}.\n")
    for path in files:
        parts.append(f"`{group.name}={path.stem}`:\n\n```yaml\n{path.read_text().strip()}\n```\n")
    return parts
