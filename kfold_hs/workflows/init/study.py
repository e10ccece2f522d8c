"""`kfold-hs init`: looks at a table or folder, and writes a study file with what it guessed."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfold_hs.cohort.aliases import write_aliases
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import find_file
from kfold_hs.config.compose import compose
from kfold_hs.config.study import layered, scalar
from kfold_hs.errors import CohortError, ConfigError, counted
from kfold_hs.files.paths import write_text
from kfold_hs.workflows.init import folders
from kfold_hs.workflows.init.columns import guess_table
from kfold_hs.workflows.init.guess import Guess, Named

STUDY = "study.yaml"
_PLAIN = re.compile(r"[A-Za-z_./][\w./ ()+%-]*", re.ASCII)
_WIDTH = 44
"""Of a setting, before its comment."""


@dataclass(frozen=True)
class Started:
    """What `init` wrote, and what it saw.

    Parameters
    ----------
    study : Path
    written : tuple of Path
        All files, the study file first.
    seen : str
        What was looked at.
    guesses : tuple of (str, str)
        Settings as words of a command line, with their reasons.
    notes : tuple of str
    questions : tuple of (int, str, str)
        Line of the study file, key, text.
    """

    study: Path
    written: tuple[Path, ...]
    seen: str
    guesses: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    questions: tuple[tuple[int, str, str], ...]


def init(
    path: Path,
    output: Path | None = None,
    named: Named = Named(),  # noqa: B008 - frozen
    force: bool = False,
) -> Started:
    """Look at a table or a folder, and write a study file.

    Parameters
    ----------
    path : Path
        A CSV with a row for each recording; or a folder: CirCor, CinC 2016, BMD-HS or ZCHSound in
        the official layout, one that holds such a table, or one with a folder for each class.
    output : Path, optional
        By default `study.yaml` beside the table or in the folder.
    named : Named
        Columns that the user named.
    force : bool
        Whether files that are there are replaced.

    Raises
    ------
    CohortError
        Nothing was recognised; what is missing is named.
    ConfigError
        A file is there already.
    """
    if not path.exists():
        raise CohortError(f"{path} does not exist (from {Path.cwd()}). Name a table or a folder.")
    output = output or (path if path.is_dir() else path.parent) / STUDY
    if output.is_dir():
        output = output / STUDY
    guess, seen = _looked(path, named)
    files = _tables(guess, path if path.is_file() else path / "folder", output)
    lines = list(_lines(guess, seen.replace(str(path.parent) + os.sep, ""), output))
    places = {key: number for number, (key, _) in enumerate(lines, start=1) if key}
    for name in [output, *files] if not force else ():
        if name.exists():
            raise ConfigError(f"{name} is there already. --force replaces it, -o names another.")
    for file, text in files.items():
        write_text(file, text, checksum=False)
    write_text(output, "".join(f"{text}\n" for _, text in lines), checksum=False)
    compose(layered([output], []))
    return Started(
        output,
        (output, *files),
        seen,
        tuple(
            (f"{key}={text_of(_written(value, output))}", guess.reasons[key])
            for key, value in guess.settings.items()
            if key in guess.reasons
        ),
        tuple(guess.notes),
        tuple((_line(places, key), key, text) for key, text in guess.questions),
    )


def _line(places: Mapping[str, int], key: str) -> int:
    """The line of a key, or of the one that it is below."""
    while key not in places and "." in key:
        key = key.rpartition(".")[0]
    return places.get(key, 1)


def _looked(path: Path, named: Named) -> tuple[Guess, str]:
    if path.is_dir():
        if known := folders.published(path):
            return folders.guess_published(*known), f"the folder {path}"
        table = folders.table_in(path)
        if table is None:
            guess = folders.guess_folders(path, named)
            return guess, f"the folder {path}, with {counted(_n_rows(guess), 'recording')}"
        path = table
    file = read_csv(path)
    try:
        guess = guess_table(path, file, named)
    except CohortError:
        if known := folders.published(path.parent):  # one of its own tables was named
            return folders.guess_published(*known), f"the folder {path.parent}"
        raise
    guess.settings = {"data.kind": "table", "data.path": path, **guess.settings}
    if file.note:
        guess.notes.append(f"{file.note}.")
    separators = {"\t": "tabs", ";": "semicolons"}
    by = separators.get(file.delimiter)
    rows, columns = file.table.shape
    return guess, f"{path}: {rows} rows, {columns} columns" + (f", separated by {by}" if by else "")


def _n_rows(guess: Guess) -> int:
    return 0 if guess.table is None else len(guess.table)


def _tables(guess: Guess, source: Path, output: Path) -> dict[Path, str]:
    """Tables to be written beside the study file; the settings then name them."""
    files = {}
    folder = output.parent
    if guess.table is not None:
        column, table = guess.settings["data.recording_column"], guess.table.copy()
        table[column] = [
            _relative(find_file(source.parent, cell), folder) for cell in table[column]
        ]
        name = output.with_name(f"{output.stem}-recordings.csv")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([table.columns, *table.to_numpy().tolist()])
        files[name] = text.getvalue()
        guess.settings = {"data.kind": "table", **guess.settings, "data.path": name}
        guess.reasons["data.path"] = f"{counted(len(table), 'row')}, made of {source}"
        if source.name == "folder":
            guess.reasons["data.path"] = f"{counted(len(table), 'row')}, made of the folder"
    if guess.aliases:
        name = output.with_name(f"{output.stem}-aliases.csv")
        files[name] = write_aliases(guess.aliases)
        guess.settings["data.aliases"] = name
    return files


def _relative(path: Path, folder: Path) -> str:
    """A path as the study file has it: from its folder, with slashes."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _written(value: Any, output: Path) -> Any:
    return _relative(value, output.parent) if isinstance(value, Path) else value


_ORDER = ("data.kind", "data.path", "data.root", "data.recording_column", "data.patient_column",
          "data.person_column", "data.persons_known", "data.aliases")  # fmt: skip


def _lines(guess: Guess, seen: str, output: Path) -> Iterator[tuple[str, str]]:
    """The study file's lines, each with the key that it sets, or an empty text."""
    first = [key for key in _ORDER if key in guess.settings]
    data = [key for key in guess.settings if key.startswith("data.") and key not in first]
    data = [key for key in first + data if not key.startswith("data.tasks.")]
    tasks = [key for key in guess.settings if key.startswith("data.tasks.")]
    more = [key for key in guess.settings if not key.startswith("data.")]
    yield "", f"# A study file of kfold-hs, made by `kfold-hs init` from {seen}."
    yield "", "# Paths are relative to this file. All settings: kfold-hs config -c FILE"
    yield "", f"#   kfold-hs run -c {output.name}"
    yield "data", "data:"
    for key in data:
        value = _written(guess.settings[key], output)
        yield key, _setting(2, key.split(".")[1], value, guess.reasons.get(key, ""))
    if tasks:
        yield "data.tasks", "  tasks:"
    done = set()
    for key in tasks:
        column, _, name = key.removeprefix("data.tasks.").rpartition(".")
        if column not in done:
            yield f"data.tasks.{column}", f"    {text_of(column)}:"
            done.add(column)
        yield key, _setting(6, name, guess.settings[key], guess.reasons.get(key, ""))
    why = "a small network, minutes. lite: a pretrained one, better"
    yield "recipe", _setting(0, "recipe", "quick", why)
    group = ""
    for key in more:
        if key.split(".")[0] != group:
            group = key.split(".")[0]
            yield group, f"{group}:"
        name = key.split(".")[1]
        yield key, _setting(2, name, guess.settings[key], guess.reasons.get(key, ""))
    if guess.questions:
        yield "", "# To be checked:"
    for key, text in guess.questions:
        yield "", f"# - {key}: {text}"


def _setting(indent: int, name: str, value: Any, reason: str) -> str:
    text = f"{' ' * indent}{text_of(name)}: {text_of(value)}"
    return f"{text:{_WIDTH}}  # {' '.join(reason.split())}" if reason else text


def text_of(value: Any) -> str:
    """A value in YAML, on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) and text == text.strip() and scalar(text) == text
    words = {"yes", "no", "on", "off", "y", "n", "true", "false", "null"}  # to other readers
    if is_plain and text.casefold() not in words:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
