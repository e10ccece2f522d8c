"""`kfold-hs evaluate` and `compare` of tables: from files of other programs to pages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from support.pages import unmarked

from kfold_hs.cli.main import cli
from kfold_hs.cli.options import command_line
from kfold_hs.errors import CohortError, ConfigError, KfoldHsError, PredictionsError, SplitError
from kfold_hs.files.paths import write_json
from kfold_hs.judge.results.challenge2022 import score_folders
from kfold_hs.orchestrator.finished import finished_run
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.evaluation import EvaluationOptions, evaluate
from kfold_hs.workflows.pages import index, redraw
from kfold_hs.workflows.table_comparison import TableOptions, compare_tables

ROOT = Path(__file__).parent.parent.parent
QUICK: dict[str, Any] = {"band_resamples": 0}


def people(n: int = 60, skill: float = 1.5, seed: int = 0) -> pd.DataFrame:
    """A table that any program could have written; labels do not depend on seed and skill."""
    y = np.random.default_rng(0).integers(0, 2, n)
    logit = np.random.default_rng(seed + 1).standard_normal(n) + skill * (2 * y - 1)
    p = 1 / (1 + np.exp(-logit))
    return pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)], "fold": np.arange(n) % 4,
            "murmur": np.where(y, "Present", "Absent"), "Present": p, "Absent": 1 - p,
            "sex": np.where(np.arange(n) % 3, "f", "m"),
        }
    )  # fmt: skip


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words], catch_exceptions=False)


def test_a_table_becomes_a_folder_with_a_page(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "team.csv", index=False)
    done = run("evaluate", str(tmp_path / "team.csv"), "--group", "sex", "--bands", "200",
               "--target", "0.95", "--root", str(tmp_path), "-q")  # fmt: skip
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "reports").iterdir()
    assert folder.name.startswith("evaluate-team-")
    names = {each.name for each in folder.iterdir()}
    assert {"predictions.parquet", "scored.parquet", "summary.json", "report.html"} <= names
    assert len(list((folder / "tables").glob("*.csv"))) > 5
    page = unmarked((folder / "report.html").read_text())
    for section in ("answer", "known", "metrics", "beside", "curves", "groups", "split"):
        assert f'id="{section}"' in page
    for section in ("learning", "seeds", "gallery", "paper"):
        assert f'id="{section}"' not in page
    assert len(Predictions.read(folder / "scored.parquet")) == 60
    # Drawn again from the folder, listed, and no run.
    assert redraw(folder).page == (folder / "report.html").read_text()
    (entry,) = index(tmp_path)[1]
    assert (entry.kind, entry.verdict) == ("evaluation", "cannot tell")
    with pytest.raises(KfoldHsError, match="has no models"):
        finished_run(folder)


def test_json_and_the_names_of_options(tmp_path: Path) -> None:
    frame = people().set_axis(["who", "part", "truth", "a", "b", "sex"], axis=1)
    frame.to_parquet(tmp_path / "t.parquet")
    done = run(
        "evaluate", str(tmp_path / "t.parquet"), "--patient", "who", "--fold", "part", "--label",
        "truth", "--probability", "Present=a", "--probability", "Absent=b", "--bands", "0",
        "--target", "0.1", "--name", "mine", "--root", str(tmp_path), "--json", "-q",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["split"]["n_folds"] == 4
    assert found["headline"]["verdict"] == "reached"
    assert found == json.loads((tmp_path / "reports/mine/summary.json").read_text())
    assert "truth" in found["tasks"]
    wrong = run("evaluate", str(tmp_path / "t.parquet"), "--score", "a", "--score", "b")
    assert wrong.exit_code == 2
    assert "give --score TASK=a" in wrong.output


def test_a_leak_ends_it_unless_it_is_asked_for(tmp_path: Path) -> None:
    frame = people().assign(person=[f"q{i // 2}" for i in range(60)])
    with pytest.raises(
        SplitError, match=r"30 of 30 persons are scored by several folds.*--no-audit"
    ):
        evaluate(frame, root=tmp_path, **QUICK)
    found = evaluate(frame, root=tmp_path, audit=False, **QUICK)
    assert "Leak: 30 of 30 persons" in unmarked(found.page)
    assert found.summary.to_json()["imported"]["leaks"] == 1
    twice = pd.concat([people(), people(seed=5).iloc[:3]])
    with pytest.raises(SplitError, match="3 patients are predicted several times"):
        evaluate(twice, root=tmp_path, **QUICK)
    found = evaluate(twice, root=tmp_path, audit=False, **QUICK)
    assert (found.summary.cohort.n_persons, found.summary.cohort.n_patients) == (60, 63)


def test_without_folds_the_page_says_what_can_be_claimed(tmp_path: Path) -> None:
    page = unmarked(evaluate(people().drop(columns="fold"), root=tmp_path, **QUICK).page)
    assert "How much models that are trained anew would differ is not in the interval" in page
    assert "these models</th>" not in page
    assert "folds not known" in page


def test_every_kind_of_prediction_has_a_page(tmp_path: Path) -> None:
    frame = people()
    score = frame.assign(score=np.log(frame["Present"] / frame["Absent"]))
    score = score.drop(columns=["Present", "Absent"])
    page = unmarked(evaluate(score, root=tmp_path, band_resamples=200).page)
    assert "Scores" in page or "scores: metrics that rank people" in page
    assert "Brier" not in page.partition('id="metrics"')[2].partition('id="words"')[0]
    called = score.assign(called=np.where(score["score"] > 0, "Present", "Absent"))
    page = unmarked(evaluate(called, root=tmp_path, band_resamples=200).page)
    assert "murmur (as called)" in page
    page = unmarked(evaluate(called.drop(columns="score"), root=tmp_path, **QUICK).page)
    assert 'id="curves"' not in page
    assert "decisions: metrics of who was called what" in page


def test_arrays_of_scikit_learn(tmp_path: Path) -> None:
    frame = people()
    y, proba = frame["murmur"], frame[["Absent", "Present"]].to_numpy()
    found = evaluate(y_true=y, y_proba=proba, groups=frame["patient_id"], folds=frame["fold"],
                     root=tmp_path, **QUICK)  # fmt: skip
    other = evaluate(frame, root=tmp_path, **QUICK)
    mine, its = (each.summary.tasks for each in (found, other))
    assert mine["label"].metrics["auroc"] == its["murmur"].metrics["auroc"]
    with pytest.raises(ConfigError, match="not one of each"):
        evaluate(frame, y_true=y, y_proba=proba)
    with pytest.raises(ConfigError, match=r"unknown keyword 'grups'.*Did you mean 'groups'"):
        evaluate(y_true=y, y_proba=proba, grups=y)
    with pytest.raises(ConfigError, match=r"target=1\.5"):
        evaluate(frame, target=1.5)
    with pytest.raises(PredictionsError, match="does not exist"):
        evaluate(tmp_path / "no.csv")


def challenge(folder: Path, seed: int = 0, n: int = 40) -> tuple[Path, Path]:
    """Labels and outputs of the challenge, whose probabilities do not sum to 1."""
    rng = np.random.default_rng(seed)
    labels, outputs = folder / "labels", folder / "outputs"
    for each in (labels, outputs):
        each.mkdir(parents=True, exist_ok=True)
    names = ["Present", "Unknown", "Absent", "Abnormal", "Normal"]
    for i in range(n):
        murmur, outcome = names[i % 3], names[3 + i % 2]
        linked = 100 + i - 1 if i % 10 == 1 else "nan"
        (labels / f"{100 + i}.txt").write_text(
            f"{100 + i} 0 4000\n#Age: Child\n#Sex: {'Female' if i % 4 else 'Male'}\n"
            f"#Murmur: {murmur}\n#Outcome: {outcome}\n#Additional ID: {linked}\n"
        )
        p = rng.random(5)
        decided = [int(name in (murmur, outcome)) for name in names]
        if i % 5 == 0:
            decided = [0, 0, 1, 0, 1]
        (outputs / f"{100 + i}.csv").write_text(
            f"#{100 + i}\n{','.join(names)}\n{','.join(map(str, decided))}\n"
            f"{','.join(f'{each:.4f}' for each in p)}\n"
        )
    return labels, outputs


def test_outputs_of_the_challenge_score_as_the_official_script(tmp_path: Path) -> None:
    labels, outputs = challenge(tmp_path)
    found = evaluate(outputs, labels=labels, group=["Sex"], root=tmp_path, **QUICK).summary
    official = score_folders(labels, outputs)
    for task in ("murmur", "outcome"):
        called = found.tasks[f"{task} (as called)"].metrics
        for name in ("accuracy", "weighted_accuracy", "cost"):
            assert called[name]["value"] == pytest.approx(official[task][name], abs=1e-9)
        ranked = found.tasks[task].metrics["auroc"]["value"]
        assert ranked == pytest.approx(official[task]["auroc_classes"][0], abs=1e-12)
    assert found.cohort.n_persons == 36  # Additional ID joins four pairs
    assert found.subgroups is not None
    assert list(found.subgroups["covariates"]) == ["Sex"]
    (labels / "100.txt").unlink()
    fewer = evaluate(outputs, labels=labels, root=tmp_path, **QUICK).summary
    notes = {each["name"]: each["count"] for each in fewer.to_json()["cohort"]["notes"]}
    assert notes["rows without a label"] == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="holds no labels"):
        evaluate(outputs, labels=tmp_path / "empty")
    with pytest.raises(PredictionsError, match="holds no predictions"):
        evaluate(tmp_path / "empty", labels=labels)


def test_folders_of_folds(tmp_path: Path) -> None:
    frame = people(40)
    labels = frame[["patient_id", "murmur"]]
    for fold, rows in frame.groupby("fold"):
        inside = tmp_path / "nnunet" / f"fold_{fold}" / "validation"
        inside.mkdir(parents=True)
        for row in rows.to_dict("records"):
            values = np.array([row["Absent"], row["Present"]]).reshape(2, 1, 1, 1)
            np.savez(inside / f"{row['patient_id']}.npz", probabilities=values)
        rows.drop(columns="fold").to_csv(tmp_path / f"nnunet/../fold_{fold}.csv", index=False)
    names = {"labels": {"Absent": 0, "Present": 1}}
    (tmp_path / "nnunet" / "dataset.json").write_text(json.dumps(names))
    (tmp_path / "tables").mkdir()
    for each in tmp_path.glob("fold_*.csv"):
        each.rename(tmp_path / "tables" / each.name)
    whole = evaluate(frame, root=tmp_path, **QUICK).summary
    cases = evaluate(tmp_path / "nnunet", labels=labels, root=tmp_path, **QUICK).summary
    tables = evaluate(tmp_path / "tables", root=tmp_path, **QUICK).summary
    for each in (cases, tables):
        mine, its = (s.tasks["murmur"].metrics for s in (each, whole))
        for name in its:
            assert mine[name]["value"] == pytest.approx(its[name]["value"], abs=1e-9)
    np.savez(inside / "p3.npz", probabilities=np.zeros((2, 4, 4)))
    with pytest.raises(PredictionsError, match=r"\(2, 4, 4\), which is a segmentation"):
        evaluate(tmp_path / "nnunet", labels=labels)
    (tmp_path / "tables" / "fold_0.csv").rename(tmp_path / "tables" / "rest.csv")
    with pytest.raises(PredictionsError, match=r"of rest.csv the fold is not known"):
        evaluate(tmp_path / "tables")


def test_a_team_s_table_of_real_patients(circor: Path, tmp_path: Path) -> None:
    """Patient id, fold and probabilities; labels, persons and groups are the data set's own."""
    labels = pd.read_csv(circor / "training_data.csv")
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 3], len(labels)).round(3)
    team = pd.DataFrame({"patient_id": labels["Patient ID"], "fold": np.arange(len(labels)) % 5})
    team[["Present", "Unknown", "Absent"]] = p
    team.to_csv(tmp_path / "team.csv", index=False)
    found = evaluate(tmp_path / "team.csv", labels=circor / "training_data.csv", group=["Sex"],
                     audit=False, root=tmp_path, **QUICK).summary  # fmt: skip
    assert list(found.tasks) == ["Murmur"]
    assert found.cohort.n_patients == len(labels) > found.cohort.n_persons
    right = (
        np.array(["Present", "Unknown", "Absent"])[p.argmax(axis=1)] == labels["Murmur"]
    ).mean()
    assert found.headline.value == pytest.approx(right)
    assert found.tasks["Murmur"].positive == "Present"
    leaks = [each for each in found.to_json()["split"]["findings"] if each["is_leak"]]
    assert [each["kind"] for each in leaks] == ["person on two sides"]


def test_tables_are_compared_on_the_people_that_both_have(tmp_path: Path) -> None:
    people(200, 0.5).iloc[5:].to_csv(tmp_path / "weak.csv", index=False)
    people(200, 3.0).iloc[:-3].to_csv(tmp_path / "strong.csv", index=False)
    done = run("compare", str(tmp_path / "weak.csv"), str(tmp_path / "strong.csv"),
               "--root", str(tmp_path), "-q")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Accuracy: strong is better than weak" in done.output
    assert "weak: 3 patients are left out" in done.output
    assert "strong: 5 patients are left out" in done.output
    (folder,) = (tmp_path / "reports").iterdir()
    content = json.loads((folder / "comparison.json").read_text())
    assert content["cohort"]["n_patients"] == 192
    assert content["imported"]["left_out"]["strong"]["patients"] == [f"p{i}" for i in range(5)]
    page = unmarked((folder / "comparison.html").read_text())
    assert 'id="learning"' not in page
    assert redraw(folder).kind == "comparison"


def test_other_folds_leave_a_difference_of_the_predictions_as_they_are(tmp_path: Path) -> None:
    people(200, 0.5).to_csv(tmp_path / "a.csv", index=False)
    strong = people(200, 3.0)
    strong.assign(fold=np.arange(200) % 7).to_csv(tmp_path / "b.csv", index=False)
    strong.drop(columns="fold").to_csv(tmp_path / "c.csv", index=False)
    for other, why in (("b", "different folds"), ("c", "not all tables say in which fold")):
        found = compare_tables(
            [tmp_path / "a.csv", tmp_path / f"{other}.csv"], TableOptions(root=tmp_path)
        )
        content = found.result.to_json()
        apart = content["headline"]["against_baseline"][other]
        assert apart["verdict"] == "cannot tell"
        assert apart["these_models"]["low"] > 0
        assert "cannot be known" in found.result.sentences[0]
        assert why in unmarked(found.page)
    relabelled = people(200, 3.0).assign(fold=3 - np.arange(200) % 4)
    relabelled.to_csv(tmp_path / "d.csv", index=False)  # the same folds under other numbers
    found = compare_tables([tmp_path / "a.csv", tmp_path / "d.csv"], TableOptions(root=tmp_path))
    assert found.result.headline["against_baseline"]["d"]["verdict"] == "better"


def test_a_comparison_of_evaluations_and_what_is_refused(tmp_path: Path) -> None:
    one = evaluate(people(80, 1), root=tmp_path, name="one", **QUICK)
    two = evaluate(people(80, 2).assign(score=0.5), root=tmp_path, name="two", **QUICK)
    folders = [each.paths.report_folder for each in (one, two)]
    found = compare_tables(folders, TableOptions(root=tmp_path))
    assert [each.name for each in found.result.variants] == ["one", "two"]
    other = people(80).assign(murmur="Present", patient_id=[f"p{i}" for i in range(80)])
    other.loc[0, "murmur"] = "Absent"
    other.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(PredictionsError, match="one label of murmur in one and another in other"):
        compare_tables([folders[0], tmp_path / "other.csv"], TableOptions(root=tmp_path))
    people(80).assign(patient_id=range(80)).to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(PredictionsError, match="no patient is in all tables"):
        compare_tables([folders[0], tmp_path / "none.csv"], TableOptions(root=tmp_path))
    scores = people(80).assign(score=1.0).drop(columns=["Present", "Absent"])
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(PredictionsError, match=r"no task in common.*murmur \(scores"):
        compare_tables([folders[0], tmp_path / "scores.csv"], TableOptions(root=tmp_path))
    with pytest.raises(ConfigError, match="two tables or more"):
        compare_tables([folders[0]], TableOptions(root=tmp_path))
    assert run("compare", str(tmp_path / "none.csv"), "--folds", "3").exit_code == 2


def test_folders_are_led_by_what_both_lead_with_and_say_that_people_are_simulated(
    tmp_path: Path,
) -> None:
    led: dict[str, Any] = {"root": tmp_path, "headline": "murmur.auroc", **QUICK}
    runs = [evaluate(people(40, k), name=f"run{k}", **led) for k in (1, 2)]
    folders = [each.paths.report_folder for each in runs]
    plain = compare_tables(folders, TableOptions(name="both", root=tmp_path)).result
    assert (plain.headline["key"], plain.simulated) == ("murmur.auroc", False)
    other = evaluate(people(40, 3), root=tmp_path, name="other", **QUICK).paths.report_folder
    apart = compare_tables([*folders, other], TableOptions(name="all", root=tmp_path)).result
    assert apart.headline["key"] == "mean.accuracy"
    summary = json.loads(runs[0].paths.summary.read_text())
    write_json(runs[0].paths.summary, summary | {"simulated": True})
    for source in (folders[0], runs[0].paths.scored):
        sources = [source, folders[1]]
        found = compare_tables(sources, TableOptions(name="simulated", root=tmp_path))
        assert found.result.simulated
        assert found.result.sentences[0].startswith("SIMULATED people. ")
        assert "SIMULATED" in unmarked(found.page)
    again = evaluate(folders[0], root=tmp_path, name="again", **QUICK)
    assert again.summary.simulated
    assert again.summary.headline.sentence.startswith("SIMULATED people. ")
    assert "SIMULATED" in unmarked(again.page)


@pytest.mark.slow
def test_the_example_of_the_docs_runs(tmp_path: Path) -> None:
    """cross_val_predict of a logistic regression on the built-in people; no torch."""
    text = (ROOT / "docs" / "evaluate.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    body = code.partition("\n\n")[2].strip().splitlines()
    assert len(body) <= 12
    code += "print(report.summary.headline.sentence)\n"
    code += "import sys; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Accuracy (label) of predictions that another program made: 0.")
    assert "5 folds, 1 repeat" in done.stdout
    assert list(tmp_path.glob("reports/evaluate-*/report.html"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"band_resamples": 100}, "band_resamples=100 .* or 0 to do without .--bands on the"),
        ({"band_resamples": 10**8}, "band_resamples=100000000: .* 100000 .--bands on the"),
        ({"bca": -1}, "bca=-1: .* greater than or equal to 0"),
    ],
)
def test_numbers_of_resamples_are_refused_by_their_name(given: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        EvaluationOptions(**given).check()


def test_a_command_by_python_m_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/main.py", "evaluate", "a b.csv"])
    started = SimpleNamespace(name="kfold_hs.cli.main")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", started)
    program, *words = shlex.split(command_line())
    assert program.startswith("python")
    assert words == ["-m", "kfold_hs.cli.main", "evaluate", "a b.csv"]
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kfold-hs", "doctor"])
    assert command_line() == "kfold-hs doctor"
