"""Which recordings of a cohort hold the same sound: searched once, kept by content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import Progress
from kfold_hs.paths import cache_folder, write_json
from kfold_hs.splits.fingerprint import matches, sounds

VERSION = 1
"""Raised when the same recordings would give other matches than before."""


def near_copies(
    cohort: Cohort, channel: int | None = None, on_progress: Progress | None = None
) -> pd.DataFrame:
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
    content = json.dumps([VERSION, shas, rates, channel])
    path = cache_folder() / "copies" / f"{hashlib.sha256(content.encode()).hexdigest()}.json"
    columns = ["sha256_a", "sha256_b", "correlation", "delay_s", "overlap_s"]
    if path.exists():
        return pd.DataFrame(json.loads(path.read_text()), columns=columns)
    found = matches(sounds([Path(each) for each in unique["path"]], channel, on_progress))
    rows = [[shas[m.first], shas[m.second], m.correlation, m.delay_s, m.overlap_s] for m in found]
    write_json(path, rows)
    return pd.DataFrame(rows, columns=columns)
