"""Rows on their way to a file, kept beside it so that an interrupted prediction goes on.

    .<output>.rows    a line of JSON that says what is predicted, then one a patient: a digest of it
                      and of all before it, and the row in JSON

Rows come in the patients' order, so that how many there are says where to go on. What is predicted
is the bundle, the patients with their files' sizes and times, the kind of device and the coverage:
a journal of anything else is begun anew. A last line that was cut off is dropped, and so is all
from a damaged line on.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kfold_hs.bundle.format import CONTENT, Bundle
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.rows import Row
from kfold_hs.files import stored
from kfold_hs.files.paths import storage_error

_AT_ONCE = 1000
_FORMAT = 2
_LONGEST = 1 << 26


class ResumeLog:
    """Rows of one prediction.

    Parameters
    ----------
    output : Path
        Where they will go; the journal lies beside it.
    key : str
        What is predicted; see `key_of`.

    Raises
    ------
    StorageError
        It cannot be written.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.path = output.with_name(f".{output.name}.rows")
        self.n_rows = 0
        head = json.dumps({"predicts": key, "format": _FORMAT}).encode() + b"\n"
        self._digest = hashlib.sha256(head).hexdigest()
        try:
            if not self.path.exists() or not self._go_on(head):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_bytes(head)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _go_on(self, head: bytes) -> bool:
        """Count whole lines and cut off the rest; False: it is about something else."""
        with self.path.open("rb+") as file:
            if file.readline(len(head)) != head:
                return False
            end = file.tell()
            while line := file.readline(_LONGEST):
                if not self._fits(line):
                    if line.endswith(b"\n") or len(line) == _LONGEST:
                        stored.warn(
                            f"{self.path} is damaged after {self.n_rows} patients: the others "
                            "are predicted anew."
                        )
                    break
                end += len(line)
                self.n_rows += 1
            file.truncate(end)
        return True

    def _fits(self, line: bytes) -> bool:
        """Whether a line is whole and follows on the last; then it is the last."""
        digest, _, row = line.partition(b" ")
        follows = self._after(row[:-1])
        if not line.endswith(b"\n") or digest != follows.encode():
            return False
        self._digest = follows
        return True

    def _after(self, row: bytes) -> str:
        return hashlib.sha256(self._digest.encode() + row).hexdigest()

    def append(self, rows: Sequence[Row]) -> None:
        """Keep some more rows.

        Raises
        ------
        StorageError
            No room.
        """
        lines = []
        for row in rows:
            text = json.dumps(row, allow_nan=False).encode()
            self._digest = self._after(text)
            lines.append(self._digest.encode() + b" " + text + b"\n")
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(error, self.path) from error
        self.n_rows += len(rows)

    def rows(self) -> Iterator[list[Row]]:
        """All rows, some at a time."""
        with self.path.open("rb") as file:
            file.readline()
            lines = (json.loads(line.partition(b" ")[2]) for line in file)
            while some := list(itertools.islice(lines, _AT_ONCE)):
                yield some

    def __enter__(self) -> ResumeLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it when the rows are where they should go, or when there are none."""
        if kind is None or not self.n_rows:
            self.path.unlink()


def key_of(bundle: Bundle, patients: Sequence[Patient], *settings: object) -> str:
    """What is predicted, as SHA-256 (hex)."""
    whole = hashlib.sha256(stored.read_bytes(bundle.folder / CONTENT, "the bundle"))
    for patient in patients:
        files = [_state(sound.path) for sound in patient.sounds]
        who = [patient.patient_id, patient.ids, patient.persons]
        known = [*who, dict(patient.covariates), patient.problem, files]
        whole.update(json.dumps(known, default=str).encode())
    whole.update(json.dumps([str(each) for each in settings]).encode())
    return whole.hexdigest()


def _state(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return [str(path)]
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]
