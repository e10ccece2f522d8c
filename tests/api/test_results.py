"""Reports as objects: the numbers of the files, by their names, in frames, figures and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import kfold_hs as kf
from kfold_hs.files.stored import read_json


def test_the_summary_is_that_of_the_file(report: kf.Report, place: Path) -> None:
    assert report.folder == place / "reports" / "tiny"
    assert report.summary.to_json() == read_json(report.paths.summary, "the summary")
    assert report.page == report.folder / "report.html"
    again = kf.read_report(str(report.folder))
    assert isinstance(again, kf.Report)
    assert again.summary == report.summary


def test_the_frame_has_every_metric_with_its_intervals(report: kf.Report) -> None:
    frame = report.to_frame().set_index(["task", "metric"])
    content = report.summary.to_json()["tasks"]
    assert len(frame) == sum(len(task["metrics"]) for task in content.values())
    for task, result in content.items():
        for name, metric in result["metrics"].items():
            row = frame.loc[task, name]
            wanted = [metric["value"], metric["low"], metric["high"],
                      metric["these_models"]["low"], metric["these_models"]["high"]]  # fmt: skip
            found = row[["value", "low", "high", "models_low", "models_high"]].tolist()
            assert [None if np.isnan(each) else each for each in found] == wanted
            assert row["higher_is_better"] == metric["higher_is_better"]


def test_the_predictions_are_what_is_scored(report: kf.Report) -> None:
    found = report.predictions
    assert sorted(found["patient_id"]) == sorted(f"p{i}" for i in range(16))
    assert list(found)[:4] == ["repeat", "fold", "person_id", "patient_id"]
    auroc = roc_auc_score(found["y.outcome"] == "Abnormal", found["p.outcome.Abnormal"])
    metric = report.summary.tasks["outcome"].metrics["auroc"]
    assert metric["pooled"] == pytest.approx(auroc, abs=1e-12)
    assert len(report.history) == 2 * 2
    assert report.history["kept"].sum() == 2


def test_tables_and_figures_are_those_of_the_page(report: kf.Report) -> None:
    table = report.table("metrics-murmur")
    assert table["metric"].tolist()[:2] == ["accuracy", "balanced accuracy"]
    value = report.summary.tasks["murmur"].metrics["accuracy"]["value"]
    assert table["all folds"].iloc[0] == value
    assert report.table("beside-outcome") is report.tables["beside-outcome"]
    with pytest.raises(kf.KfoldHsError, match="several tables of tiny are named 'metrics'"):
        report.table("metrics")
    with pytest.raises(kf.KfoldHsError, match="unknown table of tiny 'nothing'; there is"):
        report.table("nothing")
    for task in ("murmur", "outcome"):
        for plot in (report.plot_roc, report.plot_precision_recall, report.plot_calibration,
                     report.plot_decision, report.plot_confusion, report.plot_metrics):  # fmt: skip
            assert plot(task).data
    assert report.figures["roc-murmur"] is report.plot_roc("murmur")
    assert report.plot_loss().layout.xaxis.title.text == "epoch"
    assert report.plot_roc("murmur").layout.paper_bgcolor == "#fff"
    with pytest.raises(kf.KfoldHsError, match=r"murmur, outcome: name one, e\.g\. task='murmur'"):
        report.plot_roc()
    with pytest.raises(kf.KfoldHsError, match=r"unknown task 'murmurs'.*Did you mean 'murmur'"):
        report.plot_roc("murmurs")


def test_nothing_is_written_by_looking(report: kf.Report, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in report.folder.iterdir()}
    again = kf.read_report(report.folder)
    assert again.tables
    assert again.figures
    copy = again.to_html(tmp_path / "copy.html")
    assert copy.read_text() == again.page.read_text()
    assert {path: path.stat().st_mtime_ns for path in report.folder.iterdir()} == before


def test_the_models_predict_as_the_run_did(
    report: kf.Report, people: kf.Cohort, frame: pd.DataFrame, place: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    models = report.models
    assert len(models) == 2
    assert report.models is models
    scores = models.predict(people).set_index("patient_id")
    own = report.predictions.set_index("patient_id")
    for column in ("p.murmur.Present", "p.outcome.Normal"):
        assert scores[column].to_dict() == own[column].to_dict()
    first = models[0]
    assert (first.fold, first.epoch) == ((0, 0, 0), 1)
    assert sorted(first.held_out) == sorted(own.index[own["fold"] == 0])
    alone = first.predict(people).set_index("patient_id")
    assert alone["p.outcome.Normal"].dropna().to_dict() == {
        patient: own["p.outcome.Normal"][patient] for patient in first.held_out
    }
    assert set(alone.loc[first.held_out, "scored_by"]) == {"r0-f0"}
    monkeypatch.chdir(place)
    of_files = models.predict(frame.rename(columns={"person": "subject"}).head(2))
    assert of_files["scored_by"].tolist() == scores.loc[["p0"], "scored_by"].tolist()
    with pytest.raises(kf.KfoldHsError, match="'some' must be one of class, all"):
        models.predict(people, sets="some")
    assert isinstance(first.network, torch.nn.Module)
    exported = report.export(tmp_path / "bundle")
    again = kf.load_bundle(tmp_path / "bundle").predict(people).set_index("patient_id")
    pd.testing.assert_frame_equal(again, scores)
    assert repr(exported) == "2 fold models of tiny, to predict murmur, outcome"


def test_what_predictions_from_elsewhere_lack_is_named(report: kf.Report, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "elsewhere"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(report.paths.summary.read_text())
    found = kf.read_report(folder)
    assert isinstance(found, kf.Report)
    assert len(found.to_frame()) == len(report.to_frame())
    for look, what in (("history", "history of a training"), ("predictions", "predictions"),
                       ("models", "models")):  # fmt: skip
        with pytest.raises(kf.KfoldHsError, match=f"holds no {what}: .* is not there"):
            getattr(found, look)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(kf.KfoldHsError, match=r"has no comparison\.json and no tune\.json"):
        kf.read_report(tmp_path)
    with pytest.raises(kf.KfoldHsError, match=r"has no summary\.json"):
        kf.Report(tmp_path)


def test_a_report_shows_itself(
    report: kf.Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    headline = report.summary.headline
    assert repr(report).startswith(
        f"Report tiny\n  Accuracy, mean of murmur and outcome: {headline.value:.3f} ("
    )
    assert (headline.target, headline.verdict) == (None, None)
    assert "target" not in repr(report)
    monkeypatch.chdir(report.folder.parents[1])
    assert 'href="reports/tiny/report.html"' in report._repr_html_()
    monkeypatch.chdir(tmp_path)
    assert f'href="{report.page.as_uri()}"' in report._repr_html_()
    assert "SIMULATED" not in report._repr_html_()


def test_names_of_users_are_text_on_a_card(report: kf.Report, tmp_path: Path) -> None:
    content = json.loads(report.paths.summary.read_text())
    content["tasks"] = {"<b>x</b>": content["tasks"]["murmur"]}
    content["simulated"] = True
    folder = tmp_path / "reports" / "other"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(content))
    card: Any = kf.Report(folder)._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in card
    assert "<b>x</b>" not in card
    assert "SIMULATED people" in card
