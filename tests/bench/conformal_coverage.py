"""How often conformal sets hold the label of people nobody trained on. By name, decides no test.

    kfold-hs run split.test=0.2 ... ; python tests/bench/conformal_coverage.py reports/RUN
    python tests/bench/conformal_coverage.py --quick      # a run on the built-in cohort of its own

A run with hold-out test persons is exported (or --bundle names its bundle), and its test persons,
whom no fold trained on, are predicted by all models. Coverage by patient and, with Wilson's 95 %
interval, by person (one with two patient ids counts by the share that is covered), the mean size of
a set, and how often the most probable class alone is right. --write puts it into docs/ship.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch
from measure import PACKAGE, publish, table

from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.inputs import of_cohort
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.predict import predict_patients
from kfold_hs.bundle.rows import RowOptions
from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.splits.split import TEST, Split
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.inputs import load_cohort
from kfold_hs.workflows.options import RunOptions

COVERAGES = (0.8, 0.9, 0.95)
QUICK = ("data.n_patients=200", "split.test=0.5", "train.epochs=6", "split.n_folds=3")


def test_patients(cohort: Cohort, split: Split) -> list[Patient]:
    """Those of hold-out test persons, as they would be found on the disk.

    Raises
    ------
    SystemExit
        There is none.
    """
    held_out = {
        patient["patient_id"]
        for person in split.people
        for patient in person["patients"]
        if all(f == TEST for f in split.folds[_unit(split, person, patient)])
    }
    if not held_out:
        raise SystemExit("the split has no test persons: run with split.test=0.2, say.")
    return of_cohort(cohort, held_out)


def _unit(split: Split, person: dict[str, str], patient: dict[str, str]) -> str:
    return person["person_id"] if split.by == "person" else patient["patient_id"]


def covered(bundle: Bundle, cohort: Cohort, patients: list[Patient]) -> list[dict[str, str]]:
    """Rows of the table: a task and a coverage each."""
    truth = cohort.patients.set_index("patient_id")
    found = []
    for coverage in COVERAGES:
        rows: list[dict[str, object]] = []
        device = torch.device("cpu")
        for some in predict_patients(
            bundle, patients, device, lambda done, n: None, RowOptions(coverage)
        ):
            rows += some
        rows = [row for row in rows if row["n_models"]]
        assert all(row["scored_by"] == "all" for row in rows)
        said = pd.DataFrame(rows).set_index("patient_id")
        labels = truth.loc[said.index]
        for task in bundle.tasks:
            sets = said[f"set.{task.name}"].str.split("+")
            each = pd.Series(
                [y in inside for y, inside in zip(labels[task.name], sets, strict=True)],
                index=said.index,
            )
            persons = each.astype(float).groupby(labels["person_id"]).mean()
            low, high = wilson(float(persons.mean()), len(persons))
            right = said[f"label.{task.name}"] == labels[task.name]
            by_class = each.groupby(labels[task.name]).agg(["mean", "size"])
            found.append(
                {
                    "task": task.name,
                    "asked for": f"{coverage:.0%}",
                    "covered, by patient": f"{each.mean():.3f} of {len(each)}",
                    "by person": f"**{persons.mean():.3f}** ({low:.3f} to {high:.3f}), "
                    f"{len(persons)} persons",
                    "classes in a set": f"{sets.str.len().mean():.2f} of {task.n_classes}",
                    "most probable class is right": f"{right.mean():.3f}",
                    "covered by class": ", ".join(
                        f"{name} {row['mean']:.2f} of {row['size']:.0f}"
                        for name, row in by_class.iterrows()
                    ),
                }
            )
    return sorted(found, key=lambda row: row["task"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="reports/RUN")
    parser.add_argument("--bundle", type=Path, help="of that run, made before")
    parser.add_argument("--quick", action="store_true", help="on a run of its own")
    parser.add_argument("--write", action="store_true", help="into docs/ship.md")
    given = parser.parse_args()
    if (given.run is None) != given.quick:
        parser.error("name a run, or give --quick")
    with tempfile.TemporaryDirectory() as name, RichProgress(quiet=True) as terminal:
        run = given.run
        if given.quick:
            config = compose(list(QUICK))
            cross_validation.run(
                config, terminal, RunOptions(root=Path(name), name="run", device="cpu")
            )
            run = Path(name) / "reports" / "run"
        folder = given.bundle or Path(name) / "bundle"
        if given.bundle is None:
            bundles.export(run, folder, terminal)
        bundle, split = Bundle.read(folder), Split.read(run / "split.json")
        cohort = load_cohort(load_yaml(run / "config.yaml"), terminal)
        rows = covered(bundle, cohort, test_patients(cohort, split))
    lines = [f"Run `{bundle.content['run']}`, {len(bundle.members)} models.", "", *table(rows)]
    publish("conformal", lines, given.write, PACKAGE / "docs" / "ship.md")


if __name__ == "__main__":
    main()
