"""What a frame branch says of the people it was not trained on, beside their predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.learn.data.fold import Fold, People
from kfold_hs.learn.frames.branch import FrameBranch, HeartCycles
from kfold_hs.learn.frames.measures import of_patients
from kfold_hs.predictions.segmentation import segmentation_of, table_of
from kfold_hs.predictions.table import Predictions


def with_cycle(
    found: Predictions, cohort: Cohort, people: People, cycles: HeartCycles
) -> Predictions:
    """Predictions of patients and recordings with the columns of `predictions.cycle`."""
    ids = cohort.recordings["recording_id"].iloc[people.recordings].tolist()
    whose = cohort.recordings["patient_id"].iloc[people.recordings]
    patients = cohort.patients["patient_id"].iloc[people.patients].tolist()
    owner = whose.map({each: row for row, each in enumerate(patients)}).to_numpy()
    alone = of_patients(cycles.measures, np.arange(len(ids)), len(ids))
    whole = of_patients(cycles.measures, owner, len(patients))
    table = found.table
    is_recording = (table["level"] == "recording").to_numpy()
    at_recording = table["recording_id"].map({each: row for row, each in enumerate(ids)})
    at_patient = table["patient_id"].map({each: row for row, each in enumerate(patients)})
    parts = {}
    for name in whole.columns.astype(str):
        values = whole[name].to_numpy()[at_patient.to_numpy(dtype=int)]
        rows = at_recording[is_recording].to_numpy(dtype=int)
        values[is_recording] = alone[name].to_numpy()[rows]
        parts[name] = values
    return found.with_rows(table.assign(**parts))


def segmentation(fold: Fold, branch: FrameBranch, cycles: HeartCycles) -> pd.DataFrame:
    """The held-out recordings' states, as `predictions.segmentation` has them."""
    ids = fold.cohort.recordings["recording_id"].iloc[fold.data.held_out].tolist()
    found = [segmentation_of(each.states, branch.frame_s) for each in cycles.decoded]
    return table_of(ids, found, fold.id)
