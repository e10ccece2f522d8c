"""The heart cycle beside a spectrogram: the states of its part, and what they say of the recording.

states   start_s, end_s, state (1: S1, 2: systole, 3: S2, 4: diastole), within the part shown
cycle    heart_rate_bpm, quality, and murmur_share where the branch knows murmurs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kfold_hs.cohort.segmentation import Segmentation
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.predictions.cycle import POOLS, column
from kfold_hs.predictions.segmentation import by_recording, read_segmentation_table
from kfold_hs.predictions.table import Predictions

_SHOWN = ("heart_rate_bpm", "quality", "murmur_share")


@dataclass(frozen=True, eq=False)
class Cycles:
    """What the frame branches of one repeat and seed found in recordings of held-out people.

    Parameters
    ----------
    segmentations : mapping
        By recording; empty without a frame branch.
    numbers : DataFrame
        A row a recording, by its id: those of `_SHOWN` that are known.
    """

    segmentations: Mapping[str, Segmentation]
    numbers: pd.DataFrame

    @classmethod
    def of(cls, paths: RunPaths, predictions: Predictions, place: FoldId) -> Cycles:
        """Of a run; the fold of `place` is left open, since every recording is in one."""
        if not paths.segmentation.is_file():
            return cls({}, pd.DataFrame())
        table = read_segmentation_table(paths.segmentation)
        mine = (table["repeat"] == place.repeat) & (table["seed"] == place.seed)
        rows = predictions.where(level="recording", repeat=place.repeat, seed=place.seed).table
        names = {column(name, POOLS[name][0]): name for name in _SHOWN}
        known = [name for name in names if name in rows]
        numbers = rows.groupby("recording_id")[known].last().rename(columns=names)
        return cls(by_recording(table[mine]), numbers)

    def shown(self, recording_id: str, start_s: float, end_s: float) -> dict[str, Any]:
        """What gallery.json holds of a recording; nulls where nothing is known."""
        found = self.segmentations.get(recording_id)
        if found is None:
            return {"states": None, "cycle": None}
        rows = zip(found.start_s.tolist(), found.end_s.tolist(), found.state.tolist(), strict=True)
        states = [
            [round(max(start, start_s), 3), round(min(end, end_s), 3), state]
            for start, end, state in rows
            if start < end_s and end > start_s
        ]
        if recording_id not in self.numbers.index:
            return {"states": states, "cycle": None}
        values = self.numbers.loc[[recording_id]].to_dict("records")[0]
        return {"states": states, "cycle": {str(k): float(v) for k, v in values.items()}}
