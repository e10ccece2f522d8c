"""`kfold-hs compare`, as a user types it: runs of their own, one split, verdicts, a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from support.hparams import metrics_of, read
from support.project import TINY, Silent
from support.traced import check

from kfold_hs.cli.main import cli
from kfold_hs.config.sweep import design
from kfold_hs.errors import ConfigError, UnfinishedError
from kfold_hs.files.paths import RunPaths
from kfold_hs.orchestrator.finished import variants_tried
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import FORMATS
from kfold_hs.splits import Split
from kfold_hs.workflows.comparison import compare
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

# A key that stands there twice would make variants.
BASE = [word for word in TINY if not word.startswith(("train.epochs", "split.n_folds"))]
TIMES = {"seconds", "joules"}
SMALL = [*BASE, "train.epochs=1", "split.n_repeats=2"]


def command(root: Path, table_csv: Path, *words: str) -> Result:
    shared = ["--folds", "2", "--name", "c", "--root", str(root), f"data.path={table_csv}", *SMALL]
    return CliRunner().invoke(cli, ["compare", *words, *shared])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder in which two schedules were compared by the command line, as `c`."""
    folder = tmp_path_factory.mktemp("compare")
    done = command(folder, shared_table_csv, "sched=onecycle", "sched=cosine")
    assert done.exit_code == 0, done.output
    assert "variant 2 of 2: sched=cosine" in done.stderr
    assert "murmur: sched=cosine against sched=onecycle" in done.stdout
    assert "Accuracy, mean of murmur and outcome: " in done.stdout
    assert f"Comparison: {folder}/reports/c/comparison.html" in done.stdout
    return folder


def content(folder: Path) -> dict:
    return json.loads((folder / "reports" / "c" / "comparison.json").read_text())


def test_every_variant_is_a_run_of_its_own_on_one_split(compared: Path) -> None:
    found = content(compared)
    assert [each["name"] for each in found["variants"]] == ["sched=onecycle", "sched=cosine"]
    assert found["baseline"] == "sched=onecycle"
    assert found["n_tried"] == 2
    tables = []
    for each in found["variants"]:
        paths = RunPaths(each["run"], compared)
        summary = json.loads(paths.summary.read_text())
        assert summary["split"]["digest"] == found["split"]["digest"]
        assert re.match(r"kfold-hs run .*sched=(cosine|onecycle)", summary["provenance"]["command"])
        metrics, task = found["tasks"]["murmur"], summary["tasks"]["murmur"]
        decided = {f"{name}_decided": m for name, m in task["decided"].items()}
        assert set(decided) == {"weighted_accuracy_decided", "cost_decided"}
        of_run = {name: m["value"] for name, m in {**task["metrics"], **decided}.items()}
        assert {k: m["values"][each["name"]] for k, m in metrics.items()} == pytest.approx(of_run)
        tables.append(Predictions.read(paths.predictions).table)
    keys = ["repeat", "seed", "fold", "epoch", "patient_id"]
    pd.testing.assert_frame_equal(tables[0][keys], tables[1][keys])


def without_times(value: object) -> object:
    """What does not measure the execution itself."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("n_epochs", [2, 6])
def test_runs_of_an_interrupted_comparison_are_those_of_one_that_was_not(
    compared: Path, shared_table_csv: Path, tmp_path: Path, n_epochs: int
) -> None:
    """Interrupted in the first or the second variant, whose run is there already or is not."""
    words, left = ("sched=onecycle", "sched=cosine"), [n_epochs]

    def epoch(self: RichProgress, place: object, row: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RichProgress, "epoch", epoch)
        assert command(tmp_path, shared_table_csv, *words).exit_code != 0
    for _ in range(2):  # and once more, when all of it is finished
        assert command(tmp_path, shared_table_csv, *words).exit_code == 0
        for each in content(compared)["variants"]:
            once, again = (
                json.loads(RunPaths(each["run"], root).summary.read_text())
                for root in (compared, tmp_path)
            )
            assert once["tried"]["n_variants"] == 2
            for summary in (once, again):
                del summary["provenance"]
            assert without_times(again) == without_times(once)


def test_verdicts_and_flips_of_the_pair(compared: Path) -> None:
    found = content(compared)
    (pair,) = found["tasks"]["outcome"]["accuracy"]["pairs"]
    values = found["tasks"]["outcome"]["accuracy"]["values"]
    apart = values["sched=cosine"] - values["sched=onecycle"]
    assert pair["difference"]["value"] == pytest.approx(apart)
    (flips,) = found["flips"]["outcome"]
    assert (flips["only_second"] - flips["only_first"]) / flips["n_rows"] == pytest.approx(apart)
    assert len(found["sentences"]) == 1


def test_learning_curves_of_both_are_means_of_their_folds(compared: Path) -> None:
    found = content(compared)
    for each in found["variants"]:
        history = pd.read_csv(RunPaths(each["run"], compared).history)
        learnt = found["learning"][each["name"]]
        mean = history.groupby("epoch")["train_loss"].mean()
        assert learnt["epochs"] == [epoch + 1 for epoch in mean.index]
        assert learnt["columns"]["train_loss"]["mean"] == pytest.approx(mean.tolist())


def test_the_page_opens_offline_and_says_the_same(compared: Path) -> None:
    page = (compared / "reports" / "c" / "comparison.html").read_text()
    for sentence in content(compared)["sentences"]:
        assert sentence.split(" (")[0] in page
    assert "Bayesian correlated t-test, margin 0.010" in page
    page, figures = page.split('<script type="application/json" id="figures">')  # then Plotly
    assert page.count("<svg") == sum(
        m["pairs"][0]["difference"]["low"] is not None
        for metrics in content(compared)["tasks"].values()
        for m in metrics.values()
    )
    assert "<script" not in page
    assert '"name": "sched=cosine"' in figures
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_every_number_of_the_tables_says_where_it_stands(compared: Path) -> None:
    page = (compared / "reports" / "c" / "comparison.html").read_text()
    assert check(page, content(compared), FORMATS) > 100


def test_the_same_command_trains_nothing_again(compared: Path, shared_table_csv: Path) -> None:
    trained = [p for p in compared.rglob("*.pt") if p.parent.name != "checkpoints"]
    before = {p: p.stat().st_mtime_ns for p in trained}
    done = command(compared, shared_table_csv, "sched=onecycle,cosine", "--json", "-q")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found == content(compared)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_what_only_predicting_reads_trains_nothing(shared_table_csv: Path, tmp_path: Path) -> None:
    words = [*BASE, f"data.path={shared_table_csv}", "split.n_folds=2", "train.epochs=1"]
    words += ["model.covariates=[age]", "features.normalise=band"]
    choices = ["predict.patient_pool=max", "predict.patient_pool=mean predict.crop_overlap=0.5"]
    found = compare(design([*words, *choices]), Silent(), RunOptions(root=tmp_path, device="cpu"))
    first, second = found.result.to_json()["variants"]
    assert (first["predicted_with"], second["predicted_with"]) == (None, first["run"])
    assert list(found.result.to_json()["learning"]) == [
        first["name"]
    ]  # the other one learnt nothing
    assert [p.parent.name for p in tmp_path.glob("reports/*/summary.json")] == [first["run"]]
    table = Predictions.read(found.paths.predictions(second["run"])).table
    # To the bit what a training of its own gives.
    variant = design([*words, *choices]).variants[1]
    own = run(variant.config, Silent(), RunOptions(root=tmp_path / "own", device="cpu"))
    trained = Predictions.read(own.paths.predictions)
    kept = trained.table[trained.table["epoch"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, kept, check_exact=True)
    # Nothing is predicted twice, and a run that exists is taken before the models of another.
    before = found.paths.predictions(second["run"]).stat().st_mtime_ns
    again = compare(design([*words, *choices]), Silent(), RunOptions(root=tmp_path, device="cpu"))
    assert found.paths.predictions(second["run"]).stat().st_mtime_ns == before
    assert again.result.to_json()["headline"] == found.result.to_json()["headline"]
    assert len(variants_tried(tmp_path / "reports", Split.read(own.paths.split))) == 2


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kfold_hs.workflows.comparison.compare", interrupted)
    result = CliRunner().invoke(cli, ["compare", "sched=onecycle,cosine"])
    assert result.exit_code == 130
    assert "To continue, repeat" in result.output


@pytest.mark.slow
def test_crossed_factors_have_effects_and_another_name(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    words = [*BASE, f"data.path={shared_table_csv}", "split.n_folds=2", "train.epochs=1"]
    words += ["optim.lr=1e-3,1e-2", "loss.label_smoothing=0,0.2"]
    found = compare(design(words), Silent(), RunOptions(root=tmp_path, device="cpu"))
    assert re.fullmatch(r"compare-table-[0-9a-f]{8}", found.result.to_json()["name"])
    effects = found.result.to_json()["headline"]["effects"]
    assert [each["kind"] for each in effects] == ["main", "main", "interaction"]
    assert len(found.result.to_json()["headline"]["pairs"]) == 6
    page = found.paths.page.read_text()
    assert "Effects of each factor" in page
    assert "4 variants were tried on this split" in page
    with pytest.raises(ConfigError, match="is the folder of a run"):
        compare(
            design(words),
            Silent(),
            RunOptions(root=tmp_path, name=found.result.to_json()["variants"][0]["run"]),
        )


def test_a_variant_that_diverges_does_not_end_the_others(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    words = [*BASE, f"data.path={shared_table_csv}", "split.n_folds=2", "train.epochs=4"]
    words += ["train.grad_clip=0", "optim.beta2=0", "loss.label_smoothing=0.9", "optim.lr=10,1e-3"]
    with pytest.raises(UnfinishedError, match=r"1 of 2 variants are not finished\. optim\.lr=10: "):
        compare(design(words), Silent(), RunOptions(root=tmp_path, device="cpu"))
    assert len(list(tmp_path.glob("reports/*/summary.json"))) == 1


def test_tensorboard_shows_the_variants_with_all_main_metrics(compared: Path) -> None:
    """What is compared comes first, then the headline and every metric of every task."""
    result = content(compared)
    experiment, rows = read(compared / "reports" / "c" / "tensorboard")
    names = [each.name for each in experiment.hparam_infos]
    first = [each.name for each in experiment.hparam_infos if each.differs]
    assert names[: len(first)] == first
    assert first == ["sched.kind"]
    assert "optim.lr" in names[len(first) :]
    tags = [f"{task}/{name}" for task, found in result["tasks"].items() for name in found]
    assert [each.name.tag for each in experiment.metric_infos] == ["Headline", *tags]
    by_run = {row.name: row for row in rows}
    assert len(rows) == 2
    for variant in result["variants"]:
        row = by_run[variant["run"]]
        assert f"sched={row.hparams['sched.kind'].string_value}" == variant["name"]
        found = metrics_of(row)
        values = {"Headline": result["headline"]["values"][variant["name"]]}
        for task, metrics in result["tasks"].items():
            values |= {f"{task}/{k}": m["values"][variant["name"]] for k, m in metrics.items()}
        assert found == pytest.approx({k: v for k, v in values.items() if v is not None})


def test_tensorboard_shows_a_run_as_one_row(compared: Path) -> None:
    """Its folds and the whole; in a folder of several runs, what differs comes first."""
    runs = [each["run"] for each in content(compared)["variants"]]
    paths = RunPaths(runs[0], compared)
    summary = json.loads(paths.summary.read_text())
    experiment, (row,) = read(paths.report_folder / "tensorboard")
    assert (row.name, len(row.sessions)) == (runs[0], 5)  # four folds, and out of fold
    found = metrics_of(row)
    assert {"Loss/val", "Accuracy/murmur", "Headline", "Headline.low", "murmur/auroc"} <= set(found)
    assert found["Headline"] == pytest.approx(summary["headline"]["value"])
    for task, each in summary["tasks"].items():
        for name, metric in each["metrics"].items():
            for key, end in (("", "value"), (".low", "low"), (".high", "high")):
                known = metric[end]
                assert found.get(f"{task}/{name}{key}") == (known and pytest.approx(known))
    assert {each.name.tag for each in experiment.metric_infos} >= set(found)
    experiment, rows = read(compared / "reports")
    assert {row.name for row in rows} >= set(runs)
    assert experiment.hparam_infos[0].name.startswith("sched.")
