"""Columns of predictions that a frame branch gives: numbers of a patient's heart cycle.

`cycle.<name>.<pool>`: of the patient's recordings, pooled; a recording alone is a patient of one.

quality             mean probability of the state that a frame is decoded as; 1: every frame is sure
murmur              log likelihood of the best path with a murmur of systole less that of the
                    healthy path, a frame
diastolic_murmur    the same of an early diastolic murmur
murmur_share        share of systole that murmurs, frame by frame
heart_rate_bpm      60 / median interval from S1 to S1
rate_variability    spread of these intervals relative to their mean
s1_db, s2_db        level of the sound above diastole, mean over the bands
systole_db_1 to 8   level of systole above diastole, in eighths of the bands, lowest first
n_recordings        of the patient

They are a source of stacking under the name `cycle` (data.tasks.<task>.stack).
"""

from __future__ import annotations

import pandas as pd

SOURCE = "cycle"
PREFIX = f"{SOURCE}."
N_BAND_GROUPS = 8
POOLS: dict[str, tuple[str, ...]] = {
    # A murmur is heard at some sites and not at others.
    "murmur": ("max", "mean"),
    "murmur_share": ("max",),
    "diastolic_murmur": ("max",),
    "quality": ("min",),
    "heart_rate_bpm": ("mean",),
    "rate_variability": ("mean",),
    "s1_db": ("mean",),
    "s2_db": ("mean",),
    **{f"systole_db_{k}": ("max",) for k in range(1, N_BAND_GROUPS + 1)},
}
"""Name of a recording's number -> how a patient's come from it."""


def column(name: str, pool: str = "") -> str:
    """Name of a column."""
    return f"{PREFIX}{name}.{pool}" if pool else f"{PREFIX}{name}"


def columns_of(table: pd.DataFrame) -> list[str]:
    """Those that a table of predictions has, in its order."""
    return [name for name in table.columns.astype(str) if name.startswith(PREFIX)]
