"""A cohort of people without audio."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort, Task


def people(n: int, seed: int = 0) -> Cohort:
    """A cohort of tables alone, with two covariates; there is no audio."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:06d}" for i in range(n)]
    murmur = rng.choice(["Present", "Unknown", "Absent"], n, p=(0.2, 0.1, 0.7))
    outcome = rng.choice(["Abnormal", "Normal"], n)
    patients = pd.DataFrame(
        {
            "patient_id": ids, "person_id": ids, "murmur": murmur, "outcome": outcome,
            "age": rng.choice(["Child", "Infant", None], n), "sex": rng.choice(["F", "M"], n),
        }
    )  # fmt: skip
    recordings = pd.DataFrame(
        {
            "recording_id": ids, "patient_id": ids, "path": ids, "site": "AV",
            "sample_rate_hz": 4000, "n_samples": 4000, "duration_s": 1.0, "sha256": ids,
            "clipped_share": 0.0, "is_flat": False,
        }
    )  # fmt: skip
    tasks = (
        Task("murmur", ("Present", "Unknown", "Absent"), "Present", (1.0,) * 3, "mean"),
        Task("outcome", ("Abnormal", "Normal"), "Abnormal", (1.0,) * 2, "mean"),
    )
    persons = pd.DataFrame({"person_id": ids})
    return Cohort("made", tasks, persons, patients, recordings, ("age", "sex"))
