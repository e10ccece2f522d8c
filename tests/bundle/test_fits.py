"""Nothing that a bundle says of a person it knows was fitted on a label of theirs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.project import TINY, Silent

from kfold_hs.bundle.fits import Fit, Fits, held_out_fits
from kfold_hs.bundle.format import Bundle
from kfold_hs.config.compose import compose
from kfold_hs.judge.selection.calibration import CALIBRATORS, calibrations
from kfold_hs.judge.selection.conformal import calibration_scores
from kfold_hs.judge.selection.decisions import decisions
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.predictions.table import COLUMNS, Predictions, label_column, prob_column
from kfold_hs.splits import Split
from kfold_hs.splits.split import TEST
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

MURMUR, OUTCOME = ("Present", "Unknown", "Absent"), ("Abnormal", "Normal")
TURNED = {"Present": "Absent", "Absent": "Unknown", "Unknown": "Present"}
TURNED |= {"Abnormal": "Normal", "Normal": "Abnormal"}
STACKED = "+data.tasks.outcome.stack=[murmur,outcome,age]"
RUNS = {
    "repeats": ["split.n_repeats=2", "split.n_folds=3", "split.test=0.25", STACKED],
    "two folds": ["n_seeds=2", STACKED],
    "patients": ["split.by=patient", "split.n_repeats=2"],
}


@dataclass(frozen=True)
class Made:
    """A finished run, its table of recordings, and its bundle."""

    run: Path
    table: Path
    bundle: Path

    def turned(self, person: str, to: Path) -> Path:
        """The bundle of the same run, but that this person's labels were others."""
        run = to / "reports" / self.run.name
        shutil.copytree(self.run, run)
        (to / "checkpoints").symlink_to(self.run.parent.parent / "checkpoints")
        for name in ("predictions.parquet", "scored.parquet"):
            path = run / name
            kept, digests = Predictions.read(path), Predictions.digests(path)
            table = kept.table.copy()
            mine = table["person_id"] == person
            for task in kept.tasks:
                column = label_column(task)
                table.loc[mine, column] = table.loc[mine, column].map(TURNED)
            Predictions(table, kept.classes).write(path, digests)
        bundles.export(run, to / "bundle", Silent())
        return to / "bundle"


@pytest.fixture(
    scope="module",
    params=["repeats", *(pytest.param(each, marks=pytest.mark.slow) for each in [*RUNS][1:])],
)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path
) -> Made:
    folder = tmp_path_factory.mktemp("held")
    words = [*TINY, "train.epochs=1", *RUNS[request.param], f"data.path={shared_table_csv}"]
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=folder, name="one", device="cpu")
    )
    bundles.export(folder / "reports/one", folder / "bundle", Silent())
    return Made(folder / "reports/one", shared_table_csv, folder / "bundle")


def rows(bundle: Path, table: Path, calibration: str) -> pd.DataFrame:
    output = bundle.parent / "rows.json"
    bundles.predict(
        bundle,
        [table],
        Silent(),
        bundles.PredictOptions(output, device="cpu", calibration=calibration),
    )
    return pd.DataFrame(json.loads(output.read_text())).set_index("patient_id")


def test_a_persons_label_changes_nothing_that_is_said_of_them(made: Made, tmp_path: Path) -> None:
    split = Split.read(made.run / "split.json")
    # `q` has two ids, which split.by=patient puts into two folds of one repeat, and into one of
    # the other.
    wanted = (
        "q" if split.by == "patient" else next(u for u, f in split.folds.items() if min(f) >= 0)
    )
    person = next(each for each in split.people if each["person_id"] == wanted)
    mine = [patient["patient_id"] for patient in person["patients"]]
    other = made.turned(wanted, tmp_path)
    for name in CALIBRATORS:
        before, after = (rows(each, made.table, name) for each in (made.bundle, other))
        pd.testing.assert_frame_equal(before.loc[mine], after.loc[mine], check_exact=True)
        columns = [c for c in before if c.startswith("calibrated.")]
        assert before.loc[mine, columns].notna().all(axis=None)
        # Others are told by fits that this person had a part in.
        assert not before[columns].equals(after[columns])


def test_people_are_told_what_the_run_scored_them_by(made: Made) -> None:
    """The run's cross-fitted probabilities and decisions, averaged over repeats."""
    kept = Predictions.read(made.run / "scored.parquet")
    layout = Layout.of_predictions(kept)
    found = rows(made.bundle, made.table, "isotonic")
    for task in kept.tasks:
        if Bundle.read(made.bundle).content["stacking"].get(task):
            continue  # stacked without the fold, too, which the run's own choices are not
        columns = [f"calibrated.{task}.{name}" for name in kept.classes[task]]
        (choice,) = (
            c
            for c in calibrations(kept, task, layout)
            if c.name == "isotonic" and c.metric.name == "brier"
        )
        whole = pd.DataFrame(choice.crossfit, columns=columns)
        means = whole.groupby(kept.table["patient_id"]).mean()
        one = found.loc[(found["known"] == "yes") & (found["scored_by"] != "all")]
        one = one[one["n_models"] == kept.table["repeat"].nunique()]
        assert len(one) > 6
        np.testing.assert_allclose(one[columns].to_numpy(), means.loc[one.index], rtol=1e-12)
        if kept.table["repeat"].nunique() == 1:
            weighed = next(c for c in decisions(kept, task, layout) if c.name == "class weights")
            names = np.array(kept.classes[task])[weighed.crossfit.argmax(axis=1)]
            decided = pd.Series(names, kept.table["patient_id"])
            assert one[f"decided.{task}"].tolist() == decided[one.index].tolist()


def test_test_people_are_told_by_the_fits_of_all_which_never_saw_them(made: Made) -> None:
    split = Split.read(made.run / "split.json")
    tested = {unit for unit, folds in split.folds.items() if TEST in folds}
    bundle = Bundle.read(made.bundle)
    found = rows(made.bundle, made.table, "vector")
    for task in bundle.tasks:
        fits = bundle.fits[task.name]
        assert not tested & set(fits.scored)
        columns = [prob_column(task.name, name) for name in task.classes]
        for row in found.loc[found["scored_by"] == "all"].to_dict("records"):
            assert row["known"] == "yes"
            probs = np.array([[row[c] for c in columns]])
            wanted = CALIBRATORS["vector"].apply(probs, fits.of_all.calibration["vector"])[0]
            told = [row[f"calibrated.{task.name}.{name}"] for name in task.classes]
            np.testing.assert_array_equal(told, wanted)
    assert (found["scored_by"] == "all").sum() == len(tested)


# --- tables made up ---------------------------------------------------------------------------


def collapsed(n: int, n_folds: int, n_repeats: int = 1) -> Predictions:
    """Rows of networks that learnt nothing: labels and probabilities have nothing in common."""
    rng = np.random.default_rng(0)
    murmur = rng.choice(MURMUR, n, p=[0.13, 0.22, 0.65])  # each class weighs as much
    outcome = rng.choice(OUTCOME, n)
    tables = []
    for repeat in range(n_repeats):
        ids = [f"p{i}" for i in range(n)]
        table = pd.DataFrame({"patient_id": ids, "person_id": ids, "recording_id": ""})
        table = table.assign(level="patient", repeat=repeat, seed=0, epoch=0)
        table["fold"] = rng.permutation(n) % n_folds
        for task, classes, truth in (("murmur", MURMUR, murmur), ("outcome", OUTCOME, outcome)):
            logits = 0.05 * rng.standard_normal((n, len(classes)))
            probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            table[label_column(task)] = truth
            table[[prob_column(task, name) for name in classes]] = probs
        tables.append(table)
    classes = {"murmur": MURMUR, "outcome": OUTCOME}
    names = [*COLUMNS, *(c for c in tables[0] if c.startswith(("y.", "p.")))]
    return Predictions(pd.concat(tables, ignore_index=True)[names], classes)


def read_fits(kept: Predictions, task: str) -> Fits:
    """By way of what a bundle holds."""
    fit = Fit.of(kept, task)
    content: dict[str, Any] = {
        "calibration": {task: {"methods": {k: {"fitted": v} for k, v in fit.calibration.items()}}},
        "decisions": {task: {"weights": fit.weights, "threshold": fit.threshold}},
        "held_out": {task: held_out_fits(kept, Stacking(), task)},
        "conformal": {task: calibration_scores(kept, task)},
    }
    return Fits.read(json.loads(json.dumps(content)), task)


def test_a_collapsed_run_is_not_told_as_if_it_had_learnt() -> None:
    kept = collapsed(100, 5)
    y_true, y_prob, classes = kept.y_true("murmur"), kept.y_prob("murmur"), kept.classes["murmur"]
    fits, fold = read_fits(kept, "murmur"), kept.table["fold"].to_numpy()

    def told(known: bool) -> tuple[float, float]:
        """Weighted accuracy of the decisions; log loss of isotonic probabilities."""
        right, weight, loss = 0.0, 0.0, 0.0
        for i, person in enumerate(kept.table["person_id"]):
            probs = np.full((1, 5, 3), np.nan)
            probs[0, fold[i]] = y_prob[i]
            said = fits.for_patient(y_prob[i], probs, [person] if known else [])
            weights = said.weights(classes)
            assert weights is not None
            cost = (5, 3, 1)[y_true[i]]
            right += cost * ((np.log(y_prob[i]) + np.log(weights)).argmax() == y_true[i])
            weight += cost
            loss -= np.log(said.calibrated("isotonic")[y_true[i]]) / len(y_true)
        return right / weight, loss

    (accuracy, loss), (in_sample, too_good) = told(known=True), told(known=False)
    chance = max(cost * (y_true == c).sum() for c, cost in enumerate((5, 3, 1)))
    chance /= sum(cost * (y_true == c).sum() for c, cost in enumerate((5, 3, 1)))
    assert accuracy < chance < in_sample - 0.05
    assert loss > too_good + 0.05


@pytest.mark.parametrize("n_repeats", [1, 3])
def test_known_people_get_the_fits_of_the_other_folds_of_their_repeats(n_repeats: int) -> None:
    kept = collapsed(60, 4, n_repeats)
    fits = read_fits(kept, "outcome")
    layout = Layout.of_predictions(kept)
    for name in CALIBRATORS:
        choice = next(c for c in calibrations(kept, "outcome", layout) if c.name == name)
        assert [fit.calibration[name] for fit in fits.held_out.values()] == choice.chosen
    referral = next(c for c in decisions(kept, "outcome", layout) if c.name == "referral threshold")
    assert [fit.threshold for fit in fits.held_out.values()] == referral.chosen
    mine = kept.table[kept.table["person_id"] == "p7"]
    probs = np.full((n_repeats, 4, 2), np.nan)
    rows = kept.y_prob("outcome")[mine.index]
    probs[mine["repeat"], mine["fold"]] = rows
    said = fits.for_patient(rows.mean(axis=0), probs, ["p7"])
    assert len(said.fits) == n_repeats
    np.testing.assert_array_equal(
        said.calibrated("vector"),
        np.mean(
            [
                CALIBRATORS["vector"].apply(p[None], fits.held_out[place].calibration["vector"])[0]
                for p, place in zip(
                    rows, zip(mine["repeat"], mine["fold"], strict=True), strict=True
                )
            ],
            axis=0,
        ),
    )
    new = fits.for_patient(rows.mean(axis=0), probs, [])
    assert new.fits == [fits.of_all]


def test_people_of_a_run_of_one_fold_are_not_calibrated() -> None:
    kept = collapsed(60, 1)
    fits = read_fits(kept, "murmur")
    assert not fits.held_out
    said = fits.for_patient(np.ones(3) / 3, np.ones((1, 1, 3)) / 3, ["p7"])
    assert (said.fits, said.weights(MURMUR), said.threshold) == ([], None, None)
    assert fits.for_patient(np.ones(3) / 3, np.ones((1, 1, 3)) / 3, []).fits == [fits.of_all]
