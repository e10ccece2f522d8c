"""Which column of a table names recordings, where they lie, and what their headers say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import soundfile

from kfold_hs.cohort.audio import FORMATS
from kfold_hs.cohort.ids import find_file
from kfold_hs.cohort.values import is_missing
from kfold_hs.errors import CohortError
from kfold_hs.files.walk import RECORDINGS, find_files
from kfold_hs.workflows.init.labels import plain_name

_NAMES = {"recording", "recordings", "file", "files", "filename", "path", "audio", "wav", "sound"}
"""Words of a column's name."""
_CELLS = 50
"""Of a column, that decide whether it names files."""
_WITH_SITE = re.compile(r"(?P<id>.+?)[_-](?P<site>AV|PV|TV|MV|Phc)(?:[_-]?\d+)?", re.IGNORECASE)


def with_site(cells: pd.Series) -> list[re.Match[str]] | None:
    """Patient and site in names of files such as 85033_AV.wav; None: not all are such."""
    names = [_WITH_SITE.fullmatch(Path(cell).stem) for cell in cells]
    return [each for each in names if each] if all(names) else None


def patients_in(cells: pd.Series) -> pd.Series | None:
    """The patients that names of files say, see `with_site`."""
    names = with_site(cells)
    if not names:
        return None
    return pd.Series([each["id"] for each in names], cells.index, dtype=object)


def files_of(table: pd.DataFrame, path: Path, wanted: str | None) -> tuple[str, list[str], bool]:
    """The column that names recordings, and its cells as paths that lead to them.

    Parameters
    ----------
    table : DataFrame
    path : Path
        The table's; paths are relative to its folder.
    wanted : str, optional
        The column, where it is known.

    Returns
    -------
    column : str
    cells : list of str
        As they are; or, where they are names of files that lie elsewhere below the folder or have
        a suffix, paths.
    are_paths : bool
        Whether they are as they were.

    Raises
    ------
    CohortError
        No column names a recording that is there.
    """
    columns = [wanted] if wanted else list(table.columns)
    shares = {column: _share(table[column], path.parent) for column in columns}
    best = max(columns, key=lambda column: shares[column])
    if shares[best]:
        return best, table[best].tolist(), True
    files: dict[str, list[Path]] = {}
    for file in find_files(path.parent).files:
        for name in {file.name.casefold(), file.stem.casefold()}:
            files.setdefault(name, []).append(file)
    found = {column: [_named(cell, files) for cell in table[column]] for column in columns}
    counts = {column: sum(each is not None for each in found[column]) for column in columns}
    # An id may be part of a file's name, too.
    best = max(
        columns, key=lambda column: (counts[column] > 0 and _is_name(column), counts[column])
    )
    if not any(found[best]):
        raise CohortError(_nothing(table, path, columns, bool(files)))
    cells = [
        cell if file is None else file.relative_to(path.parent).as_posix()
        for cell, file in zip(table[best], found[best], strict=True)
    ]
    return best, cells, False


def one_a_row(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """A table with a row for each recording, of one with several columns of them; these columns.

    `recording` is the file, and `position` the column that it was in. A table that has one such
    column, or none, stays as it is.
    """
    columns = [str(column) for column in table if _share(table[column], path.parent)]
    if len(columns) < 2 or {"recording", "position"} & set(table.columns):
        return table, []
    rest = [column for column in table if column not in columns]
    long = table.melt(rest, columns, "position", "recording", ignore_index=False)
    return long[~long["recording"].map(is_missing)].sort_index(kind="stable"), columns


def _share(cells: pd.Series, folder: Path) -> float:
    some = [cell for cell in cells.unique() if not is_missing(cell)][:_CELLS]
    known = [_is_recording(cell) and find_file(folder, cell).is_file() for cell in some]
    return sum(known) / len(known) if known else 0.0


def _is_recording(cell: str) -> bool:
    return any(cell.strip().lower().endswith(suffix) for suffix in RECORDINGS)


def _is_name(column: str) -> bool:
    return bool(set(plain_name(column).split("_")) & _NAMES)


def _named(cell: str, files: dict[str, list[Path]]) -> Path | None:
    paths = files.get(cell.replace("\\", "/").rsplit("/", 1)[-1].strip().casefold(), [])
    return paths[0] if len(paths) == 1 else None


def _nothing(table: pd.DataFrame, path: Path, columns: Sequence[str], has_files: bool) -> str:
    like = [column for column in columns if table[column].map(_is_recording).any()]
    named = ""
    if like:
        example = table[like[0]][table[like[0]].map(_is_recording)].iloc[0]
        named = f" Column {like[0]} names {example!r:.80}, which would be {path.parent / example}."
    there = "other recordings" if has_files else "no recordings"
    return (
        f"no column of {path} names recordings that are there; below {path.parent} lie {there}."
        f"{named} Put the table into the folder that its paths begin in, or name the column of the "
        "paths with --recording COLUMN."
    )


@dataclass(frozen=True)
class Headers:
    """What the headers of recordings say.

    Parameters
    ----------
    n_channels : int
        The most.
    least_rate_hz : int
    unreadable : list of bool
        Of each recording, whether it is in no format that can be read.
    """

    n_channels: int
    least_rate_hz: int
    unreadable: list[bool]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Headers:
        """Read the header of every file.

        Raises
        ------
        CohortError
            None can be read.
        """
        channels, rates, unreadable, fault = 1, set[int](), list[bool](), ""
        for path in paths:
            try:
                info = soundfile.info(path)
                is_known = info.format in FORMATS and info.frames > 0
            except (soundfile.SoundFileError, OSError, ValueError) as error:
                is_known, fault = False, str(error)
            unreadable.append(not is_known)
            if is_known:
                channels = max(channels, info.channels)
                rates.add(info.samplerate)
        if not rates:
            raise CohortError(
                f"none of the {len(paths)} recordings can be read, e.g. {paths[0]}: "
                f"{fault or 'another format'}. WAV, FLAC and AIFF can; convert others."
            )
        return cls(channels, min(rates), unreadable)
