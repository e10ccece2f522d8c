"""Heart cycles that fold models told of recordings of held-out people, as a table.

repeat, seed, fold, recording_id, start_s, end_s, state     (1: S1, 2: systole, 3: S2, 4: diastole)

A file `segmentation.parquet` beside the predictions, where there is a frame branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kfold_hs.cohort.segmentation import Segmentation
from kfold_hs.errors import DamagedFileError, PredictionsError
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, writing

_WHAT = "the segmentation"
_COLUMNS = ("repeat", "seed", "fold", "recording_id", "start_s", "end_s", "state")


def segmentation_of(states: np.ndarray, frame_s: float) -> Segmentation:
    """Runs of equal states, (n_frames,) from 0; a frame begins half its length before its centre.

    The last one ends with its frame.
    """
    begins = np.flatnonzero(np.diff(states, prepend=-1))
    ends = np.append(begins[1:], len(states))
    half = frame_s / 2
    start_s = np.maximum(begins * frame_s - half, 0.0)
    return Segmentation(start_s, ends * frame_s - half, states[begins].astype(np.int64))


def table_of(
    recording_ids: Sequence[str], found: Sequence[Segmentation], fold: FoldId
) -> pd.DataFrame:
    """The rows of recordings, one after another."""
    sizes = [len(each.state) for each in found]
    parts = {
        name: np.concatenate([getattr(each, name) for each in found])
        for name in ("start_s", "end_s", "state")
    }
    table = pd.DataFrame({"recording_id": np.repeat(np.array(recording_ids, object), sizes)})
    return table.assign(**parts, **fold._asdict())[list(_COLUMNS)]


def write_segmentation(path: Path, table: pd.DataFrame, digests: Mapping[str, str]) -> None:
    """Write as Parquet, whole or not at all, stamped with what it stands on."""
    stamped = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {f"digest.{name}": digest for name, digest in digests.items()}
    stamped = stamped.replace_schema_metadata({**(stamped.schema.metadata or {}), **metadata})
    with writing(path, checksum=True) as temporary:
        pq.write_table(stamped, temporary, compression="zstd", write_page_checksum=True)


def read_segmentation_table(path: Path) -> pd.DataFrame:
    """What `write_segmentation` wrote.

    Raises
    ------
    PredictionsError
        The file is missing, damaged, or is none of these.
    """
    try:
        found = stored.read_parquet(path, _WHAT).to_pandas()
    except DamagedFileError as error:
        raise PredictionsError(str(error)) from error
    if missing := [name for name in _COLUMNS if name not in found]:
        raise PredictionsError(f"cannot read {_WHAT} {path}: it has no column {missing[0]}.")
    return pd.DataFrame(found[list(_COLUMNS)])


def by_recording(table: pd.DataFrame) -> dict[str, Segmentation]:
    """Of one fold model a recording: its id -> its segmentation."""
    return {
        str(recording_id): Segmentation(
            rows["start_s"].to_numpy(), rows["end_s"].to_numpy(), rows["state"].to_numpy()
        )
        for recording_id, rows in table.groupby("recording_id", sort=False)
    }
