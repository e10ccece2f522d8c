"""Which recordings of a cohort hold the same sound: searched once, kept by content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import Progress
from kfold_hs.errors import DamagedFileError
from kfold_hs.files import stored
from kfold_hs.files.cache import cache_folder, keeping
from kfold_hs.files.paths import write_json
from kfold_hs.splits.audio_fingerprint import matches, sounds

VERSION = 1
"""Raised when the same recordings would give other matches than before."""


def near_copies(cohort: Cohort, on_progress: Progress | None = None) -> pd.DataFrame:
    """Pairs of recordings with other samples but the same sound (`fingerprint`).

    Found in the cache when these recordings were searched before. Recordings of the
    same samples are looked at once: their digests tell already that they are equal. Flat
    ones are left out: they hold no sound to know again.

    Returns
    -------
    DataFrame
        sha256_a, sha256_b, correlation, delay_s, overlap_s.
    """
    heard = cohort.recordings[~cohort.recordings["is_flat"].astype(bool)]
    unique = heard.drop_duplicates("sha256").sort_values("sha256")
    shas = unique["sha256"].tolist()
    rates = unique["sample_rate_hz"].tolist()
    content = json.dumps([VERSION, shas, rates, cohort.channel])
    path = cache_folder() / "copies" / f"{hashlib.sha256(content.encode()).hexdigest()}.json"
    columns = ["sha256_a", "sha256_b", "correlation", "delay_s", "overlap_s"]
    if path.exists():
        try:
            rows = stored.read_json(path, "what was found before in", list)
            with stored.parsing(path, "what was found before in"):
                return _checked(pd.DataFrame(rows, columns=columns), set(shas))
        except DamagedFileError as error:
            stored.warn(f"{path} is damaged ({error.fault}): copies are looked for anew.")
    found = matches(sounds([Path(each) for each in unique["path"]], cohort.channel, on_progress))
    rows = [[shas[m.first], shas[m.second], m.correlation, m.delay_s, m.overlap_s] for m in found]
    with keeping():
        write_json(path, rows)
    return pd.DataFrame(rows, columns=columns)


def _checked(found: pd.DataFrame, shas: set[str]) -> pd.DataFrame:
    """Refuse what was kept unless it is pairs of these recordings.

    Raises
    ------
    ValueError
        It is something else.
    """
    numbers = found[["correlation", "delay_s", "overlap_s"]]
    if not all(found[name].isin(shas).all() for name in ("sha256_a", "sha256_b")):
        raise ValueError("it is of other recordings")
    if len(found) and not np.isfinite(numbers.to_numpy(dtype=np.float64)).all():
        raise ValueError("it holds something that is no number")
    return found
