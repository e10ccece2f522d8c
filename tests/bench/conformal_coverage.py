"""How often conformal sets hold the label of people nobody trained on. By name, decides no test.

    kfold-hs run split.test=0.2 ... ; python tests/bench/conformal_coverage.py reports/RUN
    python tests/bench/conformal_coverage.py --parts 4 --root DIR data=circor data.root=DATA
    python tests/bench/conformal_coverage.py --quick      # on the built-in cohort

The hold-out test persons of one run or of several, whom no fold trained on, are predicted by all
models of the run. With --parts, the people are split into so many parts, and each part is the test
persons of a run of its own with these settings, under --root: everybody is kept back once. Runs
that are there are not trained again.

Coverage by person (one with several patients of a class counts by the share that is covered), with
Wilson's 95 % interval, of sets that promise it to every class and of sets that promise it to all
together; the mean size of a set and the share of sets with one class. --write puts it into
docs/ship.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from measure import PACKAGE, publish, table

from kfold_hs.bundle.audio_reader import AudioReader
from kfold_hs.bundle.ensemble import Answer, Chunk, Ensemble
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.inputs import of_cohort
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.predict import predict_chunk
from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.judge.selection.conformal import PROMISES, conformal_set
from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.splits.split import TEST, Split
from kfold_hs.splits.stratify import SplitRule, stratify
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.inputs import load_cohort
from kfold_hs.workflows.options import RunOptions

COVERAGES = (0.8, 0.9, 0.95)
QUICK = ["data.n_patients=200", "train.epochs=6", "split.n_folds=3"]
TITLES = {"class": "every class", "all": "all together"}


def kept_back(words: Sequence[str], n_parts: int, root: Path, progress: Progress) -> list[Path]:
    """A run for every part of the people, which are its test persons."""
    config = compose(words)
    cohort = load_cohort(config, progress)
    rule = SplitRule(config.split.stratify, config.split.by)
    parts = stratify(cohort, n_parts, config.seed, 1, rule).folds
    found = []
    for part in range(n_parts):
        ids = ",".join(person for person, (mine,) in parts.items() if mine == part)
        one = compose([*words, f"split.test=[{ids}]"])
        options = RunOptions(root=root, name=f"outer{part}", device="cpu")
        cross_validation.run(one, progress, options)
        found.append(root / "reports" / f"outer{part}")
    return found


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


class Remembered(Ensemble):
    """Keeps what each model said last, so that all kinds of sets are made of one prediction."""

    last: Answer

    def __call__(self, chunk: Chunk) -> Answer:
        self.last = super().__call__(chunk)
        return self.last


def sets_of(bundle: Bundle, cohort: Cohort, split: Split) -> Iterator[dict[str, object]]:
    """A row for every test patient, task, coverage and promise."""
    truth = cohort.patients.set_index("patient_id")
    ensemble = Remembered(bundle, torch.device("cpu"))
    reader = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])
    for audio in reader.chunks(test_patients(cohort, split)):
        rows = predict_chunk(ensemble, audio)
        scored = [row for row, one in zip(rows, audio, strict=True) if one.sounds]
        assert all(row["scored_by"] == "all" for row in scored)
        for task in bundle.tasks:
            for row, probs in zip(scored, ensemble.last.patients[task.name], strict=True):
                patient = truth.loc[row["patient_id"]]
                label = str(patient[task.name])
                likeliest = task.classes.index(row[f"label.{task.name}"])
                for promise in PROMISES:
                    values = bundle.conformal[task.name].p_values(probs, (), promise)
                    for coverage in COVERAGES:
                        inside = conformal_set(values, coverage, likeliest)
                        yield {
                            "task": task.name, "coverage": coverage, "promise": promise,
                            "person": patient["person_id"], "label": label, "size": len(inside),
                            "held": task.classes.index(label) in inside,
                        }  # fmt: skip


def covered(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Rows of the table: a task, a coverage and a promise each."""

    def of(mine: pd.DataFrame) -> str:
        persons = mine.groupby("person")["held"].mean()
        low, high = wilson(float(persons.mean()), len(persons))
        return f"**{persons.mean():.3f}** ({low:.3f} to {high:.3f}) of {len(persons)}"

    found = []
    for (task, coverage, promise), mine in rows.groupby(["task", "coverage", "promise"]):
        by_class = [f"{label} {of(some)}" for label, some in mine.groupby("label")]
        found.append(
            {
                "task": str(task),
                "asked for": f"{coverage:.0%}, {TITLES[promise]}",
                "covered, by class": ", ".join(by_class),
                "all": of(mine),
                "classes in a set": f"{mine['size'].mean():.2f}",
                "sets of one class": f"{(mine['size'] == 1).mean():.0%}",
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="reports/RUN ..., or with --parts KEY=VALUE ...")
    parser.add_argument("--parts", type=int, help="of the people; each is kept back by a run")
    parser.add_argument("--root", type=Path, help="folder of these runs")
    parser.add_argument("--quick", action="store_true", help="on the built-in cohort")
    parser.add_argument("--write", action="store_true", help="into docs/ship.md")
    given = parser.parse_args()
    words, n_parts = (QUICK, 2) if given.quick else (given.words, given.parts)
    with tempfile.TemporaryDirectory() as name, RichProgress(quiet=True) as terminal:
        root = given.root or Path(name)
        runs = [Path(each) for each in words]
        if n_parts is not None:
            runs = kept_back(words, n_parts, root, terminal)
        if not runs:
            parser.error("name a run, or give --parts or --quick")
        found, counts = [], []
        for i, run in enumerate(runs):
            folder = Path(name) / f"bundle{i}"
            bundles.export(run, folder, terminal)
            bundle, split = Bundle.read(folder), Split.read(run / "split.json")
            cohort = load_cohort(load_yaml(run / "config.yaml"), terminal)
            found += list(sets_of(bundle, cohort, split))
            counts.append(
                {
                    f"{task.name} {name}": n
                    for task in bundle.tasks
                    for name, n in zip(
                        task.classes, bundle.conformal[task.name].n_persons(task.n_classes),
                        strict=True,
                    )
                }
            )  # fmt: skip
    persons = pd.DataFrame(counts)
    beside = ", ".join(f"{name} {n:.0f}" for name, n in persons.mean().items())
    rows = pd.DataFrame(found)
    lines = [
        f"Runs: {len(runs)}, of {len(bundle.members)} models each; test persons: "
        f"{rows['person'].nunique()}. Persons whom a class is compared with, mean of the runs: "
        f"{beside}.",
        "",
        *table(covered(rows)),
    ]
    publish("conformal", lines, given.write, PACKAGE / "docs" / "ship.md")


if __name__ == "__main__":
    main()
