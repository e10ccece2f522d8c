"""Where rows go: CSV, JSON, Parquet or the challenge's files, written as they come.

A file is written under a temporary name and renamed when all rows are in it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.rows import Row, columns
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import file_name, write_text, writing
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME
from kfold_hs.predictions.table import prob_column

_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


class Sink(Protocol):
    """Takes rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Some more rows."""


def pick_format(name: str | None, output: Path | None) -> str:
    """csv, json, parquet or challenge: as named, else by the output's suffix, else csv.

    Raises
    ------
    ConfigError
        A suffix that tells nothing; parquet or challenge without an output.
    """
    if name is None and output is not None and output.suffix not in _SUFFIXES:
        raise ConfigError(
            f"-o {output} does not say how to write: end it in {', '.join(_SUFFIXES)}, or give "
            "--format."
        )
    found = name or (_SUFFIXES[output.suffix] if output is not None else "csv")
    if output is None and found in {"parquet", "challenge"}:
        what = "a folder" if found == "challenge" else "a file"
        raise ConfigError(f"--format {found} needs -o with {what} to write to.")
    return found


@contextmanager
def opened(bundle: Bundle, kind: str, output: Path | None) -> Iterator[Sink]:
    """A sink of this kind; `output` None is standard output.

    Raises
    ------
    ConfigError
        The challenge's files are asked of a bundle without its tasks.
    StorageError
        The output cannot be written.
    """
    if kind == "challenge":
        assert output is not None
        yield ChallengeFiles(bundle, output)
        return
    with nullcontext(None) if output is None else writing(output) as temporary:
        if kind == "parquet":
            assert temporary is not None
            schema = pa.schema([(name, _ARROW[t]) for name, t in columns(bundle).items()])
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                yield _Parquet(writer, schema)
            return
        with nullcontext(sys.stdout) if temporary is None else _text(temporary) as file:
            sink = Csv(file, list(columns(bundle))) if kind == "csv" else Json(file)
            yield sink
            sink.close()


def _text(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="\n")


class Csv:
    """A line a row; a missing value is an empty cell."""

    def __init__(self, file: IO[str], names: Sequence[str]) -> None:
        self._writer = csv.DictWriter(file, names, lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        """Nothing is left to be written."""


class Json:
    """A list of objects; `sites` is a list in each."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._before = file, "[\n"

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            values = {**row, "sites": json.loads(row["sites"])}
            self._file.write(self._before + json.dumps(values, allow_nan=False))
            self._before = ",\n"

    def close(self) -> None:
        self._file.write("\n]\n" if self._before == ",\n" else "[]\n")


class _Parquet:
    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._schema))


class ChallengeFiles:
    """<id>.csv a patient (by `paths.file_name`), as `judge.results.challenge2022` reads them.

    A patient who could not be scored gets empty lines, as a model that fails leaves them: the
    challenge counts them as Present and Abnormal.
    """

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self._tasks, self._folder = challenge_tasks(bundle), folder

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            path = self._folder / f"{file_name(row['patient_id'])}.csv"
            write_text(path, challenge_text(row, self._tasks))


def challenge_tasks(bundle: Bundle) -> dict[str, tuple[str, ...]]:
    """Task of murmurs and task of outcomes: name -> classes.

    Raises
    ------
    ConfigError
        The bundle has not both.
    """
    found: dict[str, tuple[str, ...]] = {}
    for classes in (MURMUR, OUTCOME):
        mine = [task for task in bundle.tasks if set(task.classes) == set(classes)]
        if not mine:
            raise ConfigError(
                f"the challenge's files hold {', '.join(MURMUR)} and {', '.join(OUTCOME)}, and "
                f"{bundle.folder} tells {'; '.join(', '.join(t.classes) for t in bundle.tasks)}. "
                "Use another --format."
            )
        found[mine[0].name] = classes
    return found


def challenge_text(row: Mapping[str, Any], tasks: Mapping[str, Sequence[str]]) -> str:
    """The four lines of a patient."""
    classes, labels, probabilities = challenge_answer(row, tasks)
    lines = [classes, [str(int(each)) for each in labels], [repr(float(p)) for p in probabilities]]
    patient_id = " ".join(row["patient_id"].splitlines())
    return "\n".join([f"#{patient_id}", *(",".join(line) for line in lines)]) + "\n"


def challenge_answer(
    row: Mapping[str, Any], tasks: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[int], list[float]]:
    """Classes, labels (0 or 1) and probabilities; all empty where nothing could be said.

    Called is what the challenge ranks by: the murmur that the class weights call (weighted
    accuracy), and Abnormal for who reaches the threshold of referral (cost).
    """
    classes: list[str] = []
    labels: list[int] = []
    probabilities: list[float] = []
    for task, names in tasks.items():
        if row[f"label.{task}"] is None:
            return [], [], []
        said = row.get(f"decided.{task}") or row[f"label.{task}"]
        if set(names) == set(OUTCOME) and row.get(f"refer.{task}") is not None:
            said = OUTCOME[0] if row[f"refer.{task}"] else OUTCOME[1]
        classes += names
        labels += [int(name == said) for name in names]
        probabilities += [row[prob_column(task, name)] for name in names]
    return classes, labels, probabilities
