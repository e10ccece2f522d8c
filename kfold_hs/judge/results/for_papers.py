"""What a paper asks for beside metrics and curves: who was read and analysed, what a call means.

In summary.json `flow` and `characteristics` are of the people, and every task has
`likelihood_ratios` and `fit`; validation.json has the same of its people. What also takes a stated
prevalence, or follows from these by a formula, is `derived` when the paper is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError
from kfold_hs.judge.results.characteristics import characteristics
from kfold_hs.judge.stats import riley
from kfold_hs.judge.stats.estimates import Basis, persons_of_rarest
from kfold_hs.judge.stats.predictive_values import likelihood_ratios, predictive_values
from kfold_hs.judge.stats.scored import Scored
from kfold_hs.predictions.table import DECISIONS, PROBABILITIES, Predictions

INTERNAL, EXTERNAL = "cross-validation", "validation"
PREVALENCES = (0.01, 0.05, 0.1, 0.3)
"""At which predictive values are given beside the share that was scored."""
_LEFT_OUT = "left out"


def calls_and_fit(kept: Predictions, task: str, positive: int, basis: Basis) -> dict[str, Any]:
    """Likelihood ratios, and how well the probabilities fit, as far as the predictions say them.

    Parameters
    ----------
    kept : Predictions
        Patient rows that are scored, seeds averaged.
    task : str
    positive : int
        Index of the positive class.
    basis : Basis
        Of `kept`, row for row.
    """
    y_true, y_prob, layout = kept.y_true(task), kept.y_prob(task), basis.layout
    kind, found = kept.kind(task), dict[str, Any]()
    if kind in {PROBABILITIES, DECISIONS}:
        rows = Scored(y_true, y_prob, positive, layout, names=kept.classes[task])
        smallest = persons_of_rarest(y_true, layout.person)
        found["likelihood_ratios"] = likelihood_ratios(
            rows, lambda each: basis.estimates(each, smallest)[0]
        )
    if kind == PROBABILITIES:
        fit = riley.fit_of(y_true == positive, y_prob[:, positive])
        found["fit"] = {"n_persons": layout.n_persons, **fit}
    return found


def people_of_run(
    cohort: Cohort, test: Collection[str], in_several: Collection[str], scored: Predictions
) -> dict[str, Any]:
    """Keys of summary.json: `flow` and `characteristics`.

    Parameters
    ----------
    cohort : Cohort
    test, in_several : collections of str
        Patient ids of the hold-out test, and of those who are in no fold since they have recordings
        of several held-out sources.
    scored : Predictions
        Patient rows that are scored.

    Returns
    -------
    dict
        flow: left_out (name, count, text), read, test, in_several, development, not_scored (of
        these, those whom no finished fold holds out; n_persons, n_patients, n_recordings each),
        scored (n_persons, n_patients, tasks: task -> class -> patients). characteristics:
        development, test (None without), by_outcome (task -> class -> characteristics of the
        development people).
    """
    aside = {*test, *in_several}
    whose = cohort.patients
    used = whose[~whose["patient_id"].isin(aside)]
    patients = scored.table.drop_duplicates("patient_id")
    parts = {
        "read": list(whose["patient_id"]), "test": list(test), "in_several": list(in_several),
        "development": list(used["patient_id"]),
        "not_scored": list(used["patient_id"][~used["patient_id"].isin(patients["patient_id"])]),
    }  # fmt: skip
    flow = {
        "left_out": left_out(cohort),
        **{name: _counts(cohort, ids) for name, ids in parts.items()},
        "scored": {
            "n_persons": int(patients["person_id"].nunique()),
            "n_patients": len(patients),
            "tasks": {
                task: {name: int((patients[f"y.{task}"] == name).sum()) for name in classes}
                for task, classes in scored.classes.items()
            },
        },
    }
    by_outcome = {
        task.name: {
            name: characteristics(cohort, list(used["patient_id"][used[task.name] == name]))
            for name in task.classes
            if (used[task.name] == name).any()
        }
        for task in cohort.tasks
    }
    return {
        "flow": flow,
        "characteristics": {
            "development": characteristics(cohort, parts["development"]),
            "test": characteristics(cohort, parts["test"]) if test else None,
            "by_outcome": by_outcome,
        },
    }


def left_out(cohort: Cohort) -> list[dict[str, Any]]:
    """What reading left out, and why; a note that leaves out says so."""
    return [
        {"name": note.name, "count": note.count, "text": note.text}
        for note in cohort.notes
        if _LEFT_OUT in f"{note.name} {note.text}"
    ]


def _counts(cohort: Cohort, patient_ids: Sequence[str]) -> dict[str, int]:
    patients, recordings = (
        table[table["patient_id"].isin(patient_ids)]
        for table in (cohort.patients, cohort.recordings)
    )
    return {
        "n_persons": int(patients["person_id"].nunique()),
        "n_patients": len(patients),
        "n_recordings": len(recordings),
    }


def derived(
    summary: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """What follows from a run's and a validation's JSON: the content of paper.json.

    Parameters
    ----------
    summary, validation : mapping
        Contents of summary.json and validation.json.
    prevalences : sequence of float
        Of the positive class, each above 0 and below 1.

    Returns
    -------
    dict
        "cross-validation" and, with one, "validation": task -> predictive_values (prevalence, ppv,
        npv; the first at the share scored), reached (of `riley.WIDTHS`), and development; what
        cannot be known is None, or absent.

    Raises
    ------
    ConfigError
        A prevalence is out of bounds.
    """
    for each in prevalences:
        if not 0 < each < 1:
            raise ConfigError(f"--prevalence {each:g} must be above 0 and below 1.")
    inside = {}
    for name, task in summary["tasks"].items():
        curves = (summary.get("curves") or {}).get("tasks", {}).get(name, {})
        versions = list((curves.get("calibration") or {}).get("versions", {}).values())
        model = versions[0].get("model", {}) if versions else {}
        fit = task.get("fit")
        of = dict(model, auroc=task["metrics"].get("auroc"))
        n_persons = None if fit is None else fit["n_persons"]
        inside[name] = _of_task(task, of, n_persons, prevalences) | {
            "development": None if fit is None else riley.development(fit, fit["n_persons"])
        }
    found: dict[str, Any] = {"prevalences": list(prevalences), INTERNAL: inside}
    if validation is not None:
        found[EXTERNAL] = {
            name: _of_task(
                task,
                dict(next(iter(task["versions"].values()))["calibration"])
                | {"auroc": task["metrics"].get("auroc", {}).get("external")},
                task["n_persons"],
                prevalences,
            )
            for name, task in validation["tasks"].items()
        }
    return found


def _of_task(
    task: Mapping[str, Any],
    estimates: Mapping[str, Mapping[str, Any] | None],
    n_persons: int | None,
    prevalences: Sequence[float],
) -> dict[str, Any]:
    ratios, fit = task.get("likelihood_ratios"), task.get("fit")
    shares = [*([] if fit is None else [fit["share"]]), *prevalences]
    return {
        "predictive_values": None
        if ratios is None
        else [
            {"prevalence": share, **predictive_values(ratios, share)}
            for share in shares
            if 0 < share < 1
        ],
        "reached": {
            name: riley.reached(name, each, n_persons)
            for name in riley.WIDTHS
            if n_persons is not None and (each := estimates.get(name)) is not None
        },
    }
