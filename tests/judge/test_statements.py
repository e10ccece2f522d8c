"""What pages, cards and tables say in words is so: of whom, how many, of what, and by whom."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.fake_run import COHORT, PROVENANCE, SPLIT, fake_run, summary_of
from support.fake_run import page_of as render
from support.project import TINY, kfold_hs, write_table

from kfold_hs.bundle.card import code, plain
from kfold_hs.cli import tables
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.results import nested
from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.for_papers import derived
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.sentences import (
    counted,
    ends,
    to_decide,
    whole_percents,
    without_folders,
)
from kfold_hs.judge.results.subgroups import MOST_LEVELS, subgroups
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.paired import compare
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.comparison_page import render_comparison
from kfold_hs.report.paper.paper import paper_of
from kfold_hs.report.paper.writers import markdown

ILL = "<i>ill|*x*`</i>"
WORDS = [word for word in TINY if not word.startswith("train.epochs")] + ["train.epochs=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds, a quarter of the people held out, and a class whose name is Markdown and HTML."""
    root = tmp_path_factory.mktemp("said")
    table = pd.read_csv(write_table(root, n_patients=24, n_recordings=1), dtype=object)
    table["outcome"] = table["outcome"].replace({"Abnormal": ILL, "Normal": "well"})
    table.to_csv(root / "table.csv", index=False)
    tasks = f'data.tasks={{outcome: {{classes: ["{ILL}", well]}}}}'
    words = ["run", *WORDS, f"data.path={root / 'table.csv'}", tasks, "track=[]", "--name", "r"]
    done = kfold_hs(*words, "--seeds", "2", "split.test=0.25", "judge.gallery.patients=0", cwd=root)
    assert done.returncode == 0, done.stderr
    done = kfold_hs("export", "reports/r", "-o", "bundle", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "reports" / "r" / "summary.json").read_text())
    return found


def test_people_held_out_are_not_counted_as_trained_on(
    folder: Path, summary: dict[str, Any]
) -> None:
    split, cohort = summary["split"], summary["cohort"]
    used, n_test = split["development"], split["n_test_persons"]
    assert n_test > 0
    assert used["n_persons"] == cohort["n_persons"] - n_test
    assert sum(used["tasks"][0]["counts"].values()) == used["n_patients"] < cohort["n_patients"]
    assert summary["tasks"]["outcome"]["n_patients"] == used["n_patients"]
    flow = summary["flow"]
    assert flow["development"]["n_patients"] == flow["scored"]["n_patients"] == used["n_patients"]
    assert flow["test"]["n_persons"] == n_test
    assert flow["read"]["n_recordings"] == sum(
        flow[part]["n_recordings"] for part in ("development", "test")
    )
    by_outcome = summary["characteristics"]["by_outcome"]["outcome"]
    assert by_outcome[ILL]["n_patients"] == used["tasks"][0]["counts"][ILL]
    card = " ".join((folder / "bundle" / "README.md").read_text().split())
    said = f"{used['n_persons']} people, {used['n_patients']} patient ids"
    assert f"{said}, {used['n_recordings']} recordings" in card
    assert f"{n_test} hold-out test persons more were not used" in card


def test_a_users_word_is_text_in_the_card_and_on_the_page(folder: Path) -> None:
    card = (folder / "bundle" / "README.md").read_text()
    assert "<i>" not in card.replace("\\<", "")
    rows = [line for line in card.splitlines() if line.startswith("| outcome |")]
    assert rows
    for line in rows:  # cells are told apart by bars that are not escaped
        head = card.splitlines()[card.splitlines().index(rows[0]) - 2]
        if line == rows[0]:
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", head))
    page = (folder / "reports" / "r" / "report.html").read_text()
    assert ILL not in page.replace("\\u003c", "")
    assert html.escape(ILL) in page
    assert str(folder) not in page  # folders of this machine are not for others
    assert "…/table.csv" in page
    assert plain("a_b|<c>") == r"a\_b\|\<c\>"
    assert code("a`b") == "`` a`b ``"


def test_seeds_apart_are_taken_as_their_mean_is(folder: Path, summary: dict[str, Any]) -> None:
    predictions = Predictions.read(folder / "reports" / "r" / "predictions.parquet")
    last = predictions.where(level="patient", epoch=1)
    auroc = METRICS["auroc"]
    for each in summary["seeds"]:
        of_folds = []
        for fold in range(2):
            mine = last.where(seed=each["seed"], fold=fold)
            of_folds.append(auroc(mine.y_true("outcome"), mine.y_prob("outcome"), 0)[0])
        assert each["tasks"]["outcome"]["auroc"] == pytest.approx(np.mean(of_folds))
    assert len(summary["seeds"]) == 2


def test_epochs_count_from_one_on_the_page_and_in_its_tables(
    folder: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    done = kfold_hs("report", "reports/r", "--tables", tmp_path, cwd=folder)
    assert done.returncode == 0, done.stderr
    (learning,) = tmp_path.glob("*learning*.csv")
    rows = list(csv.DictReader(learning.read_text().splitlines()))
    assert [row["kept epoch"] for row in rows] == ["2"] * 4
    assert [int(row["best epoch"]) for row in rows] == [
        fold["best_epoch"] + 1 for fold in summary["folds"]
    ]


def test_one_fold_with_two_seeds_is_no_conservative_repeat() -> None:
    predictions, history = fake_run(n_epochs=1)
    table = predictions.table.assign(fold=0)
    both = pd.concat([table, table.assign(seed=1)], ignore_index=True)
    once = history[history["fold"] == 0]
    histories = pd.concat([once, once.assign(seed=1)], ignore_index=True)
    split = {**SPLIT, "n_folds": 1}
    config = {"select": "last", "target": 0.95, "seed": 0}
    found = summarise(
        RunRecord(
            Predictions(both, predictions.classes), histories, COHORT, split, config, PROVENANCE
        )
    ).to_json()
    assert "conservative" not in found["headline"]["sentence"]
    assert "for these models" in found["headline"]["sentence"]
    text = markdown(paper_of(found, config, derived(found, None)), {})
    assert "one repeat" not in text
    assert "one part held out for validation, by person" in text


# --- simulated people -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "stands"), [("circor", True), ("synthetic", False), ("table", 0)])
def test_only_circor_stands_beside_the_challenges_entries(kind: str, stands: bool) -> None:
    predictions, history = fake_run()
    config = {"select": "last", "target": 0.95, "seed": 0, "data": {"kind": kind}}
    cohort = {**COHORT, "name": kind}
    found = summarise(RunRecord(predictions, history, cohort, SPLIT, config, PROVENANCE)).to_json()
    page = html.unescape(render(found, history, predictions))
    simulated = kind == "synthetic"
    assert all(bool(each["official"]) == bool(stands) for each in found["beside"].values())
    assert ("This is no rank" in page) == bool(stands)
    assert found["simulated"] == simulated
    assert found["headline"]["sentence"].startswith("SIMULATED people.") == simulated
    assert ("SIMULATED" in page.partition("</header>")[0].partition("<h1>")[2]) == simulated


def test_a_summary_of_an_earlier_version_is_told_by_its_cohort() -> None:
    predictions, history = fake_run()
    old = summary_of(predictions, history)
    assert old["beside"]["murmur"]["official"]
    old["cohort"] = {**old["cohort"], "name": "synthetic"}
    del old["simulated"]
    metric = old["tasks"]["murmur"]["metrics"]["accuracy"]
    metric["low"] = metric["high"] = metric["value"]  # as earlier versions wrote
    page = html.unescape(render(old, history, predictions))
    assert "This is no rank" not in page
    assert "SIMULATED" in page.partition("</header>")[0].partition("<h1>")[2]
    assert f"{metric['low']:.3f} to {metric['high']:.3f}" not in page


@pytest.mark.slow
def test_comparison_and_search_of_simulated_people_say_so(tmp_path: Path) -> None:
    words = ["data.n_patients=24", "features.n_mels=16", "features.n_fft=256", "track=[]"]
    words += ["features.hop_s=0.04", "train.crop_frames=32", "train.epochs=1", "--folds", "2"]
    words += ["judge.band_resamples=0"]
    made = kfold_hs(
        "compare", "optim.lr=1e-3", "optim.lr=2e-3", *words, "--name", "c", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    assert "SIMULATED" in made.stdout.splitlines()[-2]
    folder = tmp_path / "reports" / "c"
    assert json.loads((folder / "comparison.json").read_text())["simulated"] is True
    assert "SIMULATED" in (folder / "comparison.html").read_text().partition("</header>")[0]
    made = kfold_hs("tune", "optim.lr=1e-3,2e-3", *words, "--name", "t", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "SIMULATED" in " ".join(made.stdout.splitlines()[-4:])
    folder = tmp_path / "reports" / "t"
    assert json.loads((folder / "tune.json").read_text())["simulated"] is True
    assert "SIMULATED" in (folder / "tune.html").read_text().partition("</header>")[0]
    old = json.loads((tmp_path / "reports" / "c" / "comparison.json").read_text())
    del old["simulated"]
    assert "SIMULATED" in render_comparison(Comparison.from_json(old)).partition("</header>")[0]


# --- numbers in sentences -------------------------------------------------------------------------


def test_one_person_is_not_people() -> None:
    assert counted(1, "person", "people") == "1 person"
    assert counted(1204, "person", "people") == "1,204 people"
    predictions, history = fake_run()
    found = summary_of(predictions, history)
    found["cohort"] = {**found["cohort"], "n_persons": 1, "n_patients": 1, "n_recordings": 1}
    head = render(found, history, predictions).partition("</header>")[0]
    assert "1 person, 1 patient" in " ".join(head.split())
    assert "1 recording," in " ".join(head.split())


@pytest.mark.parametrize(
    ("value", "words"), [(0.012, "too good by 0.012"), (-0.012, "too modest by 0.012")]
)
def test_a_claim_below_what_came_is_not_called_too_good(value: float, words: str) -> None:
    curse = {"value": value, "low": value - 0.1, "high": value + 0.1, "method": "m"}
    found = {
        "frequency": {"a": 2}, "winners_curse": curse, "label": "accuracy", "claimed": 0.7,
        "delivered": {"value": 0.7, "low": None, "high": None}, "picking": 0.01,
    }  # fmt: skip
    text = nested.sentence(found, 2)
    assert words in text
    assert "too good by -" not in text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("run data.root=/home/me/x/circor a=b", "run data.root=…/circor a=b"),
        ("data.path='/home/a b/c d.csv' x=1", "data.path='…/c d.csv' x=1"),
        ("~/data/a.csv, /tmp/q/x.wav", "…/a.csv, …/x.wav"),
        (
            "../shared/circor https://a.b/c/d AV/MV 3/4",
            "../shared/circor https://a.b/c/d AV/MV 3/4",
        ),
    ],
)
def test_paths_lose_their_folders(text: str, wanted: str) -> None:
    assert without_folders(text) == wanted


# --- groups ---------------------------------------------------------------------------------------


def test_a_column_of_free_text_is_named_and_told_apart_by_nobody() -> None:
    predictions, history = fake_run(n_epochs=1)
    kept = predictions.where(epoch=0)
    ids = [f"p{i}" for i in range(len(kept))]
    table = kept.table.assign(patient_id=ids)
    kept = Predictions(table, kept.classes)
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "note": [f"text {i}" for i in range(len(ids))],
            "ward": [f"w{i % MOST_LEVELS}" for i in range(len(ids))],
            "sex": ["f" if i % 2 else "m" for i in range(len(ids))],
        }
    )
    basis = Basis.of(kept, SPLIT, honest=True)
    found = subgroups(Selected(kept, {"murmur": 0, "outcome": 0}, 5), basis, patients)
    note, ward, sex = (found["covariates"][name] for name in ("note", "ward", "sex"))
    assert (note["kind"], note["n_levels"], note["groups"]) == ("too many", len(ids), [])
    assert note["left_out"] == []
    assert ward["kind"] == "words"
    assert len(sex["groups"]) == 2
    page = render(summary_of(predictions, history, patients=patients), history, predictions)
    assert f"Left out, note: it has {len(ids)} different values" in " ".join(page.split())


def test_an_interval_is_shown_with_its_width_and_no_difference_beyond_what_can_be() -> None:
    narrow = {"value": 1e-5, "low": -3.2e-5, "high": 4.1e-5}
    assert ends(narrow, signed=True) == "-3.2e-05 to +4.1e-05"
    assert tables.interval(narrow) == "-3.2e-05 to 4.1e-05"
    assert tables.number(-1e-5) == "0.000"
    unsure = {"verdict": "cannot tell", "bayes": {}, "settle": None}
    assert "no difference that there can be" in to_decide({**unsure, "detectable": None}, 1)


def test_no_design_sees_more_than_there_can_be() -> None:
    """Two folds of five people, one all right and one all wrong, and the other way round."""
    fold = np.repeat([0, 1], 5)
    layout = Layout(run=0 * fold, model=fold, person=np.arange(10), n_folds=2)
    psi = np.where(fold == 0, 0.05, -0.05)
    psi[0], psi[9] = 0.03, -0.03
    one = Influence(0.5, psi, psi, np.array([0.5]), layout)
    other = Influence(0.48, -psi, -psi, np.array([0.48]), layout)
    found = compare(one, other, margin=0.01)
    assert found["bayes"] is not None
    assert found["detectable"] is None
    assert "no difference that there can be" in to_decide(found, 1)


def test_whole_percents_add_to_100() -> None:
    shares = {"worse": 0.044, "same": 0.805, "better": 0.151}
    assert whole_percents(shares) == {"worse": "4 %", "same": "81 %", "better": "15 %"}
    assert whole_percents({"a": 0.105, "b": 0.395, "c": 0.5}) in (
        {"a": "11 %", "b": "39 %", "c": "50 %"}, {"a": "10 %", "b": "40 %", "c": "50 %"},
    )  # fmt: skip
    assert whole_percents({"a": 1.0, "b": 0.0, "c": 0.0}) == {"a": "100 %", "b": "0 %", "c": "0 %"}
