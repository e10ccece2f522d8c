"""Study files: settings in YAML -> words of a command line, so that both mean the same.

    data: {kind: table, path: my.csv}      data=table data.path=FOLDER/my.csv
    recipe: lite                           recipe=lite
    optim.lr: 1e-4                         optim.lr=0.0001

The form is that of `kfold-hs config`: a group by its name, or with its settings below it, where
`kind` chooses. A path is relative to the folder of the file. YAML 1.2: yes, no, on and off are
texts, and so are numbers that begin with 0, such as 007.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from kfold_hs.config import plugins
from kfold_hs.config.compose import NAMED, TABLES, config_folder, groups, is_key
from kfold_hs.config.data import COLUMN
from kfold_hs.config.keys import is_path, is_section, keys
from kfold_hs.config.overrides import DEEPEST, Word, read
from kfold_hs.config.words import words_of
from kfold_hs.errors import ConfigError, nearest, readable, shown
from kfold_hs.files.stored import MOST_YAML

_DERIVED = "device_kind"
"""What `kfold-hs config` prints and nobody sets."""
_NULL, _TRUE, _FALSE = {"", "~", "null", "Null", "NULL"}, {"true", "True", "TRUE"}, {
    "false", "False", "FALSE"
}  # fmt: skip
_TAG = "tag:yaml.org,2002:"
_TAGS = {"str", "int", "float", "bool", "null", "timestamp", "value", "merge"}
"""That the reader gives to words by itself."""
_INT = re.compile(r"[-+]?(0|[1-9]\d{0,4000})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.\d+|(0|[1-9]\d*)(\.\d*)?)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_INFINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}


def layered(studies: Sequence[Path], words: Sequence[str]) -> list[str]:
    """The words of study files and those typed, where a later one takes the place of an earlier.

    A group that is chosen anew takes along what earlier layers set of it, and a recipe what it
    says itself; the same choice again changes nothing.

    Parameters
    ----------
    studies : sequence of Path
        Later ones win.
    words : sequence of str
        As typed; they win over all files.

    Raises
    ------
    ConfigError
        A file is not there, is no YAML, or has a key that does not exist.
    """
    found: list[str] = []
    layers: list[Sequence[str]] = [*map(words_of_study, studies), words]
    for layer in layers:
        keys = {_key(word) for word in layer}
        given = dict(word.partition("=")[::2] for word in found)
        taken = set(keys)
        for word in layer:
            group, _, name = word.partition("=")
            if group in groups() and given.get(group, name) != name:
                taken |= {f"{group}.*", *_set_by(group, name), *_set_by(group, given[group])}
        found = [*(word for word in found if not _is_in(_key(word), taken)), *layer]
    return found


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _is_in(key: str, taken: set[str]) -> bool:
    return key in taken or any(f"{key[:i]}.*" in taken for i, c in enumerate(key) if c == ".")


def _set_by(group: str, name: str) -> set[str]:
    """What a choice sets outside of its group: a recipe chooses others, and has keys of theirs."""
    path = config_folder() / group / f"{name}.yaml"
    if not path.is_file() or "@package _global_" not in (text := path.read_text("utf-8")):
        return set()
    found: set[str] = set()
    for key, value in yaml.safe_load(text).items():
        if key == "defaults":
            others = [each.split("/")[-1] for entry in value for each in entry]
            found |= {*others, *(f"{other}.*" for other in others)}
        else:
            found |= {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
    return found


def words_of_study(path: Path) -> list[Word]:
    """The overrides that set what a study file says, each with its line.

    Raises
    ------
    ConfigError
        The file is not there, is empty or no YAML, a key is there twice or does not exist; with
        the line, and what to write instead.
    """
    root = _root(path)
    named = [value for key, value in root.value if key.value == "plugins"]
    for name in _plugins_of(path, named[0]) if named else []:
        plugins.load(name)
    found, seen = [], dict[str, int]()
    for key, value, line in _leaves(path, root, "", seen):
        if key == _DERIVED or (key == "plugins" and not value):
            continue
        if is_path(key) and isinstance(value, str):
            value = _beside(path, key, value)
        try:
            made = words_of({key: value})
            read(made)
        except ConfigError as error:
            raise ConfigError(f"the study file {path}, line {line}: {error}") from error
        found += [Word.at(word, path, line) for word in made]
    if not found:
        raise ConfigError(
            f"the study file {path} names no setting. It holds lines such as `recipe: lite`; "
            "`kfold-hs init TABLE` writes one, and `kfold-hs config` prints all settings."
        )
    return found


def _beside(path: Path, key: str, value: str) -> str:
    """A path of the file's, as the current folder has it."""
    if value.startswith(("~", "/")) or (key == "split.file" and value.startswith(COLUMN)):
        return value
    return str(path.parent / value) if value.strip() else value


def _plugins_of(path: Path, node: yaml.Node) -> list[str]:
    """Names of plug-ins; a module that lies beside the file, and `nets/a.py`, by their path."""
    value = _value(path, node)
    names = list(value) if isinstance(value, list | dict) else [value] if value else []
    found = []
    for name in map(str, names):
        file = path.parent / (name if name.endswith(".py") else f"{name}.py")
        found.append(str(file) if file.is_file() else name)
    return found


def _root(path: Path) -> yaml.MappingNode:
    text = _text(path)
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                raise _fault(path, line, f"*{event.anchor} is an alias. Write the value out")
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _fault(path, *_why(error, text)) from error
    except RecursionError as error:
        raise _fault(path, 1, f"it is nested deeper than {DEEPEST}") from error
    if len(documents) > 1:
        line = documents[1].start_mark.line + 1
        raise _fault(path, line, "a second configuration begins here. Give each a file of its own")
    if not documents:
        raise _fault(path, 1, "it is empty. `kfold-hs init TABLE` writes a study file")
    (root,) = documents
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else shown(root.value)
        raise _fault(path, root.start_mark.line + 1, f"{kind} is no setting: write KEY: VALUE")
    return root


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no study file {path} (from {Path.cwd()}). `kfold-hs init TABLE` writes one "
            "beside a table or in a folder of recordings."
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read the study file {path}: {error.strerror}.") from error
    if len(raw) > MOST_YAML:
        raise ConfigError(
            f"the study file {path} has {len(raw):,} bytes, and may have {MOST_YAML:,}. Is it a "
            "table? `kfold-hs init` writes a study file for one."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, "it is not UTF-8 text. Save the file as UTF-8") from error


def _why(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line of what is no YAML, and why, with a way out."""
    mark = getattr(error, "problem_mark", None)
    line = 1 if mark is None else mark.line + 1
    lines = text.splitlines()
    if line <= len(lines) and "\t" in re.match(r"\s*", lines[line - 1])[0]:  # type: ignore[index]
        return line, "it begins with a tab. YAML is indented by spaces"
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    advice = "Write KEY: VALUE; a text with signs such as : # [ { stands in quotes"
    return line, f"no YAML: {readable(problem, 120)}. {advice}"


def _fault(path: Path, line: int, text: str) -> ConfigError:
    return ConfigError(f"the study file {path}, line {line}: {text}.")


def _leaves(
    path: Path, node: yaml.MappingNode, prefix: str, seen: dict[str, int]
) -> Iterator[tuple[str, Any, int]]:
    """Every setting: its key, its value, its line."""
    for name, value in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise _fault(path, line, "a key is a word such as optim.lr")
        key = f"{prefix}{name.value}"
        if key in seen:
            raise _fault(path, line, f"{key} is there twice, first in line {seen[key]}. Keep one")
        seen[key] = line
        group, _, last = key.rpartition(".")
        is_choice = last == "kind" and group in groups()
        if key == "plugins":
            yield key, _plugins_of(path, value), line
        elif is_choice:
            yield group, _choice(group, _value(path, value)), line
        elif is_section(key) and isinstance(value, yaml.MappingNode) and key not in NAMED:
            yield from _leaves(path, value, f"{key}.", seen)
        elif not (is_section(key) and _is_null(value)):  # all below it may be comments
            if not is_key(key) and key != _DERIVED:
                guess = nearest(key, [*groups(), *keys()])
                hint = f" Did you mean {guess!r}?" if guess else ""
                all_keys = "`kfold-hs config` prints all keys"
                raise _fault(path, line, f"unknown key {key!r:.80}.{hint} {all_keys}")
            is_literal = isinstance(value, yaml.ScalarNode) and is_path(key) and not _is_null(value)
            yield key, value.value if is_literal else _value(path, value), line


def _is_null(node: yaml.Node) -> bool:
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    return is_plain and node.value in _NULL


def _choice(group: str, kind: Any) -> Any:
    """The name of the choice that makes this kind: the default kind has none of its own."""
    if group not in TABLES or kind != TABLES[group].default or kind in groups()[group]:
        return kind
    defaults = yaml.safe_load((config_folder() / "config.yaml").read_text("utf-8"))["defaults"]
    return next(each[group] for each in defaults if isinstance(each, dict) and group in each)


def _value(path: Path, node: yaml.Node, depth: int = 0) -> Any:
    """What a node says, as Python has it."""
    line = node.start_mark.line + 1
    if depth > DEEPEST:
        raise _fault(path, line, f"it is nested deeper than {DEEPEST}")
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, each, depth + 1) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode) or name.value in found:
                what = f"{name.value} is there twice. Keep one"
                raise _fault(path, name.start_mark.line + 1, what)
            found[name.value] = _value(path, value, depth + 1)
        return found
    return _scalar(path, node)


def _scalar(path: Path, node: yaml.Node) -> Any:
    if node.tag.removeprefix(_TAG) not in _TAGS:
        raise _fault(path, node.start_mark.line + 1, f"the tag {node.tag} has no meaning here")
    return node.value if node.style else scalar(node.value)  # with a style: in quotes, or a block


def scalar(text: str) -> Any:
    """What a word without quotes means: null, a truth value, a number, or a text."""
    if text in _NULL:
        return None
    if text in _TRUE | _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text)
    if text.lower() in _INFINITE:
        return float(_INFINITE[text.lower()])
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text  # also a number that is too large to be one: an error then says what was written
