"""That the model which is asked was scored on these people, and never trained_on them before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.cohort import Cohort, Task
from kfold_hs.errors import TrainingError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.predictions.table import Predictions, prob_column

AGREE = 0.05
"""A model that is asked again may say so much else of a class: other devices round otherwise."""


def check_held_out(cohort: Cohort, data: FoldData, fold: int, patient_ids: list[str]) -> None:
    """Refuse to ask a model about people whom its fold does not hold out.

    Raises
    ------
    TrainingError
        With the patients.
    """
    held_out = set(cohort.patients["patient_id"].iloc[data.patients])
    trained_on = set(cohort.recordings["patient_id"].iloc[data.train])
    trained_on |= set(cohort.patients["patient_id"].iloc[data.inner_patients])
    if wrong := [each for each in patient_ids if each not in held_out or each in trained_on]:
        raise TrainingError(f"fold {fold} does not hold out the patients {', '.join(wrong)}.")


def check_model(file: Path, content: Mapping[str, Any], place: FoldId, epoch: int) -> None:
    """Refuse a checkpoint of another place (repeat, seed, fold) or of an epoch that is not kept.

    Raises
    ------
    TrainingError
        With both.
    """
    found = tuple(content["place"][name] for name in ("repeat", "seed", "fold"))
    if found != place or content["epoch"] != epoch:
        raise TrainingError(
            f"{file} is of repeat, seed, fold {found} and epoch {content['epoch']}, and the run "
            f"keeps {place} and epoch {epoch}: the files of two runs were mixed."
        )


def check_same(
    probs: np.ndarray,
    who: Sequence[str],
    asked: Sequence[tuple[Task, int]],
    kept: Predictions,
    level: str,
) -> None:
    """Refuse a model that says something else than the run's predictions.

    Parameters
    ----------
    probs : ndarray, shape (n,)
        What it says now, of the task and class that were `asked` of each.
    who : sequence of str
        Their ids: of patients or of recordings, as `level` says.
    kept : Predictions
        Of this model at the kept epoch and this level.
    level : str
        "recording" or "patient".

    Raises
    ------
    TrainingError
        With the first one, and both probabilities.
    """
    table = kept.table.set_index(f"{level}_id").loc[list(who)]
    for row, (each, (task, index), now) in enumerate(zip(who, asked, probs.tolist(), strict=True)):
        name = task.classes[index]
        before = float(table[prob_column(task.name, name)].iloc[row])
        if abs(before - now) > AGREE:
            raise TrainingError(
                f"the model says {now:.3f} of {each}, and the run's predictions {before:.3f} "
                f"({task.name} {name}): the recordings, the model or the libraries are not those "
                "of the run."
            )
