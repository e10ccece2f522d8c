"""The one way to read files that kfold-hs wrote.

A file with a checksum (`kfold_hs.files.atomic`) is read only if it has not changed. A file without
one, from an older version or copied alone, is read if its content makes sense. Otherwise the error
is `DamagedFileError`, which names the file and what to repeat: a damaged file gives neither a
traceback nor another result.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.errors import DamagedFileError, KfoldHsError
from kfold_hs.files.atomic import alone, checksum_file, checksums

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_TEXT = 1 << 28
"""Most bytes of a text file; a split of 100,000 patients has a quarter of them."""
MOST_YAML = 1 << 16
MOST_BINARY = 1 << 36
_MOST_DEEP = 100
_FOLD = re.compile(r"r\d+-s\d+-f\d+|refit|distilled")


def read_bytes(path: Path, what: str, most: int = MOST_BINARY) -> bytes:
    """All of a file.

    Parameters
    ----------
    path : Path
    what : str
        The name of its content, for the error.
    most : int
        Most bytes; kfold-hs writes no larger file.

    Raises
    ------
    DamagedFileError
        The file is missing, larger, or was changed after it was written.
    """
    try:
        return _checked(path, what, most)
    except _ChangedError:
        # It may have been replaced while it was read: read it again, with writers locked out.
        with alone(path.parent):
            try:
                return _checked(path, what, most)
            except _ChangedError as changed:
                raise DamagedFileError(what, path, str(changed), way_out(path)) from None


def read_json(path: Path, what: str, kind: type = dict) -> Any:
    """The content of a JSON file: an object, or with kind=list an array.

    Raises
    ------
    DamagedFileError
        See `read_bytes`; or the file holds something else.
    """
    raw = read_bytes(path, what, MOST_TEXT)
    with parsing(path, what):
        return parse_json(raw, kind)


def parse_json(raw: bytes, kind: type = dict) -> Any:
    """`read_json` for bytes.

    Raises
    ------
    ValueError
        They are not JSON in UTF-8, nest too deeply, or hold another kind of value.
    """
    try:
        content = json.loads(raw.decode(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    if not isinstance(content, kind):
        raise ValueError(f"it holds a {type(content).__name__}, not a {kind.__name__}")
    _check_depth(content)
    return content


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The content of a YAML file, which must be a mapping without aliases.

    Raises
    ------
    DamagedFileError
        See `read_bytes`; or the file holds something else.
    """
    from kfold_hs.files.yaml_text import parse_yaml

    raw = read_bytes(path, what, MOST_YAML)
    with parsing(path, what):
        values = parse_yaml(raw.decode())
        if not isinstance(values, dict):
            raise ValueError(f"it holds a {type(values).__name__}, not a mapping")
        return {str(key): value for key, value in values.items()}


def read_history(path: Path, *, of_fold: bool = False) -> pd.DataFrame:
    """A history.csv: one row for each epoch, of one fold or of all folds of a run.

    Raises
    ------
    DamagedFileError
        See `read_bytes`; or a column is missing, or a value has another type.
    """
    import pandas as pd

    what = "the history"
    raw = read_bytes(path, what, MOST_TEXT)
    with parsing(path, what):
        raw.decode()
        table = pd.read_csv(io.BytesIO(raw))
        places = [] if of_fold else ["repeat", "seed", "fold"]
        for column in [*places, "epoch"]:
            if table[column].dtype.kind != "i" or (table[column] < 0).any():
                raise ValueError(f"{column} must hold whole numbers from 0")
        if twice := int(table.duplicated([*places, "epoch"]).sum()):
            raise ValueError(f"{twice} epochs are repeated")
        flags = [name for name in ("inner", "overfitting") if name in table]
        for column in ["kept", "best", *flags]:
            if table[column].dtype.kind != "b":
                raise ValueError(f"{column} must hold True or False")
        known = {*places, "epoch", "kept", "best", *flags}
        rest = [name for name in table.columns.astype(str) if name not in known]
        for column in ["train_loss", "val_loss", *rest]:
            if table[column].dtype.kind not in "if":
                raise ValueError(f"{column} must hold numbers")
        n_folds = len(table[places].drop_duplicates()) if places else 1
        if len(table) == 0 or table["kept"].sum() != n_folds:
            raise ValueError(
                f"{int(table['kept'].sum())} epochs are marked as kept, but there are {n_folds} "
                "folds"
            )
        return table


def read_parquet(path: Path, what: str) -> pa.Table:
    """A Parquet file.

    Raises
    ------
    DamagedFileError
        See `read_bytes`; or it is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = read_bytes(path, what)
    with parsing(path, what):
        table = pq.read_table(pa.BufferReader(raw), page_checksum_verification=True)
        # Bytes that are no text, in cells or in what pandas wrote of the columns, are damage, too.
        table.validate(full=True)
        table.slice(0, 0).to_pandas()
        return table


@contextlib.contextmanager
def parsing(path: Path, what: str) -> Iterator[None]:
    """A context in which every error is a fault of the file.

    Raises
    ------
    DamagedFileError
        In place of every error that is not a KfoldHsError.
    """
    try:
        yield
    except KfoldHsError:
        raise
    except Exception as error:  # a damaged file can cause any error in a reader
        raise DamagedFileError(what, path, words(error), way_out(path)) from error


@contextlib.contextmanager
def making_sense_of(*paths: Path) -> Iterator[None]:
    """A context that works with the content of files, which may be unexpected.

    Raises
    ------
    DamagedFileError
        In place of every error that is no KfoldHsError and no OSError; it names the files.
    """
    try:
        yield
    except (KfoldHsError, OSError):
        raise
    except Exception as error:
        names = " or ".join(path.name for path in paths)
        fault = (
            f"{names} is damaged, or was written by another version of kfold-hs ({words(error)})"
        )
        raise DamagedFileError(
            "the content of", paths[0].parent, fault, way_out(paths[0])
        ) from error


@functools.lru_cache(maxsize=1024)
def warn(text: str) -> None:
    """Warn the user of a fault that does not end the command, e.g. a damaged file."""
    logging.getLogger("kfold_hs").warning("kfold-hs: %s", text)


def words(error: BaseException) -> str:
    """An error from elsewhere in one line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        text = "it is not UTF-8"
    elif not isinstance(error, ValueError) or kind not in {"ValueError", "UnicodeDecodeError"}:
        text = f"{kind}: {text}" if text else kind
    return (text if len(text) <= 160 else f"{text[:160]}...").rstrip(".")


def way_out(path: Path) -> str:
    """What a user can do about a damaged file."""
    whole = path.absolute()
    if _FOLD.fullmatch(whole.parent.name):
        text = f"Remove {path.parent} and repeat the run's command: it trains this fold again."
    elif whole.parent.parent.name == "reports":
        text = "Repeat the command that made this folder: it writes the file again."
    else:
        text = "Repeat the command that made it."
    if checksum_file(path).exists():
        text += f" If the file was changed on purpose, remove {checksum_file(path)}."
    return text


class _ChangedError(Exception):
    """A file does not fit its checksum."""


def _checked(path: Path, what: str, most: int) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DamagedFileError(what, path, "it is not a regular file", way_out(path))
        if found.st_size > most:
            fault = f"it has {found.st_size:,} bytes, but at most {most:,} are allowed"
            raise DamagedFileError(what, path, fault, way_out(path))
        wanted = checksums(path)
        raw = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(what, path, str(error.strerror or error), way_out(path)) from error
    if wanted is not None:
        digest = hashlib.sha256(raw).hexdigest()
        if digest not in wanted:
            raise _ChangedError(
                f"it was changed after it was written: its SHA-256 is {digest[:16]}, but its "
                f"checksum is {wanted[0][:16]}"
            )
    return raw


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not valid JSON")


def _check_depth(content: Any) -> None:
    """Refuse deeply nested values, which would break recursive code."""
    level = [content]
    for _ in range(_MOST_DEEP):
        inside = [each for each in level if isinstance(each, dict | list)]
        if not inside:
            return
        level = [x for each in inside for x in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(f"its values are nested more than {_MOST_DEEP} deep")
