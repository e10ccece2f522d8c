"""Labelled people of another cohort, scored by a bundle: who is known, who is left out.

A person is known when the samples of a recording of theirs are in the certificate, under any name;
where ids are of one numbering, also by a patient id. All patients of a person are one: who is known
by one of them is known in all. Recordings without sound identify nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from kfold_hs.bundle.audio_reader import AudioReader
from kfold_hs.bundle.ensemble import Ensemble
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.inputs import of_cohort
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.predict import predict_chunk
from kfold_hs.bundle.rows import RowOptions
from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import read_with_facts
from kfold_hs.cohort.silence import identifies
from kfold_hs.judge.metrics.own import using
from kfold_hs.judge.results.abstention import COVERAGE
from kfold_hs.judge.selection.conformal import ALL, CLASS
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.orchestrator.progress import Progress

_MOST_PROBLEMS = 10


@dataclass(frozen=True, eq=False)
class OtherPeople:
    """A cohort that a bundle is asked about.

    Parameters
    ----------
    bundle : Bundle
    cohort : Cohort
    known : mapping
        Of every person, the rows of the certificate whom they are.
    leaves_out : bool
        Whether people are left out whom a model was trained on; else the other models score them.
    """

    bundle: Bundle
    cohort: Cohort
    known: Mapping[str, frozenset[int]]
    leaves_out: bool

    @classmethod
    def of(cls, bundle: Bundle, cohort: Cohort, by_ids: bool, leaves_out: bool) -> OtherPeople:
        """Look everybody up; `by_ids`: patient ids are of the bundle's numbering."""
        return cls(bundle, cohort, _known(bundle, cohort, by_ids), leaves_out)

    def is_trained_on(self, person: str) -> bool:
        """Whether some model was; nothing was trained on hold-out test persons."""
        return not self.bundle.certificate.untouched(self.known[person]).all()

    @cached_property
    def promise(self) -> str:
        """To whom the bundle's sets promise a coverage: to every class, where it knows classes."""
        has_labels = all(each.has_labels for each in self.bundle.conformal.values())
        return CLASS if has_labels else ALL

    @cached_property
    def patients(self) -> list[Patient]:
        """Who is scored: the certificate's names go with those whom it knows."""

        person_of, certificate = self.cohort.person_of, self.bundle.certificate
        found = []
        for patient in of_cohort(self.cohort, set(person_of)):
            rows = self.known[person_of[patient.patient_id]]
            if self.leaves_out and self.is_trained_on(person_of[patient.patient_id]):
                continue
            names = tuple(certificate.names(sorted(rows)))
            found.append(replace(patient, ids=(), persons=names))
        return found

    def predicted(self, device: torch.device, progress: Progress) -> pd.DataFrame:
        """Rows of the bundle, by patient."""
        progress.stage("patients")
        bundle, rows = self.bundle, list[dict[str, Any]]()
        ensemble = Ensemble(bundle, device)
        # Files are read as these data say, not as those of the run.
        reader = AudioReader(bundle.config, self.cohort.channel, bundle.content["typical"])
        for audio in reader.chunks(self.patients):
            rows += predict_chunk(ensemble, audio, RowOptions(COVERAGE, promise=self.promise))
            progress.step(len(rows), len(self.patients))
        return pd.DataFrame(rows).set_index("patient_id")

    def counts(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Who was scored by whom, and what was missing; `rows` are those of `predicted`."""
        cohort, certificate = self.cohort, self.bundle.certificate
        known = [person for person, found in self.known.items() if found]
        n_test = len(known) - sum(map(self.is_trained_on, known))
        by_id = {
            person
            for patient, person in cohort.person_of.items()
            if certificate.known((patient,), ()) and not self.known[person]
        }
        scored = rows.index[rows["n_models"] > 0]
        unscored = rows[rows["n_models"] == 0]
        problems = rows["problem"].astype(bool) & (rows["n_models"] > 0)
        return {
            "n_persons": cohort.n_persons,
            "n_patients": cohort.n_patients,
            "n_known_persons": len(known) - n_test,
            "n_test_persons": n_test,
            "n_same_ids": len(by_id),
            "n_scored_persons": len({cohort.person_of[each] for each in scored}),
            "n_scored_patients": len(scored),
            "n_not_scored_patients": len(unscored),
            "n_models": len(self.bundle.members),
            "scored_by": dict(sorted(Counter(rows.loc[scored, "scored_by"]).items())),
            "not_scored": [
                {"patient_id": name, "problem": text} for name, text in unscored["problem"].items()
            ],
            "n_with_problems": int(problems.sum()),
            "problems": [
                {"problem": text, "n_patients": n}
                for text, n in Counter(rows.loc[problems, "problem"]).most_common(_MOST_PROBLEMS)
            ],
        }


def _known(bundle: Bundle, cohort: Cohort, by_ids: bool) -> dict[str, frozenset[int]]:
    """Of every person, the rows of the certificate whom they are, by any of their patients."""
    certificate = bundle.certificate
    recordings = cohort.recordings
    candidates = [bool(certificate.known((), (digest,))) for digest in recordings["sha256"]]
    digests: dict[str, list[str]] = {}
    for row in recordings[candidates].to_dict("records"):
        samples, facts = read_with_facts(Path(row["path"]), cohort.channel)
        if identifies(samples):
            digests.setdefault(row["patient_id"], []).append(facts.sha256)
    found: dict[str, frozenset[int]] = dict.fromkeys(cohort.persons["person_id"], frozenset())
    for patient, person in cohort.person_of.items():
        ids = (patient,) if by_ids else ()
        found[person] |= certificate.known(ids, digests.get(patient, ()))
    return found


def headline_of(bundle: Bundle, name: str = "") -> Objective:
    """The score that validations of a bundle lead with: the named one, or that of its run.

    Raises
    ------
    ConfigError
        The bundle has no such task or metric.
    """
    classes = {task.name: task.classes for task in bundle.tasks}
    with using(bundle.config.plugins):
        return Objective.of(name or bundle.config.headline, classes, "headline")
