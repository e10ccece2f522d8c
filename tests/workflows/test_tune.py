"""`kfold-hs tune`, as a user types it: trials that are runs, a study to go on with, the best."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.commands import COMMAND
from support.project import TINY, Silent
from support.traced import check

from kfold_hs.cli.main import cli
from kfold_hs.config.space import Space
from kfold_hs.errors import ClusterError, ConfigError, TrainingError
from kfold_hs.files.paths import RunPaths, TunePaths, write_json
from kfold_hs.orchestrator import processes, sequential
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import FORMATS
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.search import tuning
from kfold_hs.workflows.search.spec import Search, SearchOptions
from kfold_hs.workflows.search.study import Study
from kfold_hs.workflows.search.trials import COMPLETE, FAILED, STOPPED, not_yet

BASE = [word for word in TINY if not word.startswith(("train.epochs", "split.n_folds"))]
ONCE = [*BASE, "train.epochs=1", "track=[]"]
SPACE = Space("mine", (), {"optim.lr": (1e-3, 1e-2), "sched": ("onecycle", "cosine", "linear")})


def command(root: Path, table_csv: Path, *words: str) -> Result:
    shared = ["--folds", "2", "--name", "t", "--root", str(root), f"data.path={table_csv}", *ONCE]
    return CliRunner().invoke(cli, ["tune", *words, *shared])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder in which two rates and two pools were searched by the command line, as `t`."""
    folder = tmp_path_factory.mktemp("tune")
    words = ["optim.lr=1e-3,1e-2", "predict.patient_pool=mean,max", "--sampler", "grid"]
    done = command(folder, shared_table_csv, *words, "--trials", "3")
    assert done.exit_code == 0, done.output
    assert "trial 1 of 3: optim.lr=0.001 predict.patient_pool=mean" in done.stderr
    assert "Best of 3: " in done.stdout
    assert f"Search: {folder}/reports/t/tune.html" in done.stdout
    return folder


def content(folder: Path) -> dict:
    return json.loads((folder / "reports" / "t" / "tune.json").read_text())


def test_every_trial_is_a_run_and_the_best_is_corrected(tuned: Path) -> None:
    found = content(tuned)
    assert [each["state"] for each in found["trials"]] == [COMPLETE] * 3
    # The second differs from the first in what predicting reads alone, and trained nothing.
    first, second, third = found["trials"]
    assert second["predicted_with"] == first["run"]
    assert sorted(p.parent.name for p in tuned.glob("reports/*/summary.json")) == sorted(
        [first["run"], third["run"]]
    )
    summary = json.loads(RunPaths(third["run"], tuned).summary.read_text())
    values = [task["metrics"]["accuracy"]["value"] for task in summary["tasks"].values()]
    assert third["value"] == pytest.approx(sum(values) / len(values))
    assert summary["split"]["digest"] == found["split"]["digest"]
    winner = found["winner"]
    assert winner["value"] == max(each["value"] for each in found["trials"])
    assert winner["estimate"]["value"] == pytest.approx(winner["value"])
    assert winner["corrected"]["low"] <= winner["corrected"]["value"] <= winner["corrected"]["high"]
    assert found["n_tried"] == 3
    assert winner["command"].startswith("kfold-hs run ")


@pytest.mark.parametrize("key", [*not_yet("x"), "number", "params"])
def test_a_record_that_lacks_something_is_made_anew(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = TunePaths("t", tmp_path)
    with Study(paths, SPACE, "grid", True, 0) as study:
        ticket = study.next(6)
        assert ticket is not None
        with ticket.handle:
            study.finish(ticket, {**not_yet("x"), "state": COMPLETE, "value": 0.5})
        assert len(study.records()) == 1
        whole = json.loads(paths.trial(0).read_text())
        write_json(paths.trial(0), {each: whole[each] for each in whole if each != key})
        assert study.records() == []
    assert "0.json is damaged" in caplog.text
    assert key in caplog.text


OTHER_TYPES: list[Any] = [None, True, 8, 0.5, "x", [1], [[1]], {"a": 1}, []]


@pytest.mark.parametrize("key", [*not_yet("x"), "number", "params", "optim.lr", "sched"])
def test_a_record_with_another_type_inside_is_made_anew(tmp_path: Path, key: str) -> None:
    paths = TunePaths("t", tmp_path)
    with Study(paths, SPACE, "grid", True, 0) as study:
        ticket = study.next(6)
        assert ticket is not None
        outcome = {
            **not_yet("x"), "state": COMPLETE, "value": 0.5, "run": "r", "digest": "d",
            "command": "kfold-hs run", "honest": True, "predicted_with": "q", "cause": "c",
        }  # fmt: skip
        with ticket.handle:
            study.finish(ticket, outcome)
        whole = json.loads(paths.trial(0).read_text())
        inside = whole["params"] if key in whole["params"] else whole
        may_be_nothing = {"cause", "run", "digest", "predicted_with", "honest", "command"}
        for other in OTHER_TYPES:
            if type(other) is type(inside[key]) or (other is None and key in may_be_nothing):
                continue
            changed = json.loads(json.dumps(whole))
            (changed["params"] if inside is not whole else changed)[key] = other
            write_json(paths.trial(0), changed)
            assert study.records() == [], other
            assert not paths.trial(0).exists()


def test_the_page_opens_offline_and_says_the_same(tuned: Path) -> None:
    page = (tuned / "reports" / "t" / "tune.html").read_text()
    assert content(tuned)["sentence"] in page
    assert page.count('data-figure="') == 1 + (content(tuned)["importances"] is not None)
    without_plotly = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!data:|#)", without_plotly)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page)[1])  # type: ignore[index]
    lines = [each for each in figures["parallel"]["data"] if each["mode"] == "lines+markers"]
    assert figures["parallel"]["layout"]["xaxis"]["ticktext"] == [
        "optim.<br>lr", "predict.<br>patient_<br>pool", "accuracy,<br>mean of murmur and outcome",
    ]  # fmt: skip
    assert all(each["x"] == [0, 1, 2] for each in lines)
    best = max(content(tuned)["trials"], key=lambda each: (each["value"], -each["number"]))
    assert lines[-1]["name"] == f"trial {best['number']}"
    assert {each["name"] for each in lines} == {"trial 0", "trial 1", "trial 2"}


def test_every_number_of_the_tables_says_where_it_stands(tuned: Path) -> None:
    page = (tuned / "reports" / "t" / "tune.html").read_text()
    # Two folds of a few people: some intervals would hold all that is possible, and are words.
    assert check(page, content(tuned), FORMATS) >= 10


def test_the_same_command_goes_on_and_trains_nothing_again(
    tuned: Path, shared_table_csv: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in tuned.rglob("r0-*/*.pt")}
    words = ["optim.lr=1e-3,1e-2", "predict.patient_pool=mean,max", "--sampler", "grid"]
    done = command(tuned, shared_table_csv, *words, "--json", "-q")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found == content(tuned)
    assert [each["state"] for each in found["trials"]] == [COMPLETE] * 4
    assert {p: p.stat().st_mtime_ns for p in tuned.rglob("r0-*/*.pt")} == before
    other = command(tuned, shared_table_csv, "optim.lr=1e-3,1e-1")
    assert isinstance(other.exception, ConfigError)
    assert "exists with another space" in str(other.exception)


@pytest.mark.parametrize("command_of", ["tune", pytest.param("nested", marks=pytest.mark.slow)])
def test_jobs_come_to_where_folds_are_trained(
    shared_table_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_of: str
) -> None:
    asked = []

    def train(*args: Any, n_jobs: int) -> None:
        asked.append(n_jobs)
        sequential.train(*args)

    monkeypatch.setattr(processes, "train", train)
    words = ["--jobs", "3", "--trials", "1", "--folds", "2", "--root", str(tmp_path), "-q"]
    words += ["optim.lr=1e-3,1e-2", f"data.path={shared_table_csv}", *ONCE]
    typed = {"tune": ["tune"], "nested": ["run", "--nested", "--inner-folds", "2"]}[command_of]
    done = CliRunner().invoke(cli, [*typed, *words])
    assert done.exit_code == 0, done.output
    # Nested: an inner search in each of two outer folds, and the folds of what they chose.
    assert asked == [3] if command_of == "tune" else 3 <= len(asked) <= 4 and set(asked) == {3}


@pytest.mark.slow
def test_folds_at_once_are_the_same_bits(
    tuned: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    words = ["optim.lr=1e-3,1e-2", "predict.patient_pool=mean,max", "--sampler", "grid"]
    done = command(tmp_path, shared_table_csv, *words, "--trials", "1", "--jobs", "2")
    assert done.exit_code == 0, done.output
    (mine,), theirs = content(tmp_path)["trials"], content(tuned)["trials"][0]
    assert (mine["run"], mine["value"]) == (theirs["run"], theirs["value"])
    tables = [
        Predictions.read(RunPaths(mine["run"], root).predictions).table
        for root in (tuned, tmp_path)
    ]
    assert tables[0].equals(tables[1])


@pytest.mark.slow
def test_two_commands_of_several_folds_at_once_share_the_trials(
    tuned: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    words = ["optim.lr=1e-3,1e-2", "predict.patient_pool=mean,max", "--sampler", "grid"]
    words += ["--jobs", "2", "--folds", "2", "--name", "t", "--root", str(tmp_path)]
    words += [f"data.path={shared_table_csv}", *ONCE]
    typed = [*COMMAND, "tune", *words]
    both = [subprocess.Popen(typed, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=900)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    found = content(tmp_path)
    assert [each["state"] for each in found["trials"]] == [COMPLETE] * 4
    shared = [sum(f"trial {place} of 4" in each for each in told) for place in range(1, 5)]
    assert shared == [1] * 4  # nobody tried what the other one did
    whole = {each["number"]: each["value"] for each in content(tuned)["trials"]}
    assert whole.items() <= {each["number"]: each["value"] for each in found["trials"]}.items()


def test_a_cluster_that_is_not_there_is_no_trials_fault(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    words = ["optim.lr=1e-3,1e-2", "--executor", "ray", "--address", "127.0.0.1:1"]
    done = command(tmp_path, shared_table_csv, *words)
    assert isinstance(done.exception, ClusterError)
    assert not list(tmp_path.glob("reports/t/trials/*"))


def test_a_trial_that_fails_does_not_end_the_others(shared_table_csv: Path, tmp_path: Path) -> None:
    shared = [word for word in ONCE if not word.startswith("features.n_mels")]
    words = [*shared, f"data.path={shared_table_csv}", "split.n_folds=2"]
    # 24 of 16 bands: a fault of two values together, which no check of each can see.
    words += ["features.n_mels=24,16", "train.first_n_mels=16,24"]
    search = Search.of(
        words, SearchOptions(objective="outcome.log_loss", sampler="grid", n_trials=9)
    )
    listener = Silent()
    found = tuning.tune(search, listener, RunOptions(root=tmp_path, device="cpu")).result.to_json()
    assert [each["state"] for each in found["trials"]] == [COMPLETE, COMPLETE, COMPLETE, FAILED]
    assert "bands grow, they do not shrink" in found["trials"][3]["cause"]
    assert "failed" in listener.notes[-1]
    values = [each["value"] for each in found["trials"][:3]]
    assert found["winner"]["value"] == min(values)
    assert re.fullmatch(r"tune-table-[0-9a-f]{8}", found["name"])
    assert found["objective"]["label"] == "outcome log loss"


def test_ctrl_c_and_the_same_command_goes_on_with_the_trial(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    class Impatient(Silent):
        def fold(self, place: object, state: str, note: str = "") -> None:
            super().fold(place, state, note)
            if self.states == ["start", "done", "start"]:
                raise KeyboardInterrupt

    words = [*ONCE, f"data.path={shared_table_csv}", "split.n_folds=2", "optim.lr=1e-3,1e-2"]
    search = Search.of(words, SearchOptions(objective="accuracy", sampler="random", n_trials=1))
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(search, Impatient(), RunOptions(name="t", root=tmp_path, device="cpu"))
    listener = Silent()
    found = tuning.tune(
        search, listener, RunOptions(name="t", root=tmp_path, device="cpu")
    ).result.to_json()
    assert listener.states == ["found", "start", "done"]
    assert [each["number"] for each in found["trials"]] == [0]


def test_where_no_trial_can_be_finished(shared_table_csv: Path, tmp_path: Path) -> None:
    words = [*ONCE, f"data.path={shared_table_csv}", "split.n_folds=2", "optim.lr=10,9"]
    words += ["train.grad_clip=0", "optim.beta2=0", "loss.label_smoothing=0.9", "train.epochs=4"]
    words.remove("train.epochs=1")
    search = Search.of(words, SearchOptions(objective="accuracy", sampler="grid", n_trials=1))
    with pytest.raises(TrainingError, match=r"none of 1 trials could be finished\. optim\.lr=10: "):
        tuning.tune(search, Silent(), RunOptions(root=tmp_path, device="cpu"))


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_several_processes_share_the_points(tmp_path: Path, sampler: str) -> None:
    paths = TunePaths("t", tmp_path)
    seen, open_ones = [], contextlib.ExitStack()
    one, two = (Study(paths, SPACE, sampler, True, 0) for _ in range(2))
    with open_ones, one, two:
        for turn, study in enumerate([one, two, two, one, two, one]):
            ticket = study.next(6)
            assert ticket is not None
            seen.append(tuple(ticket.point.values()))
            assert ticket.place == turn + 1
            if turn % 2:  # the others are still at work when the next one is asked for
                with ticket.handle:
                    study.finish(ticket, {**not_yet("x"), "state": COMPLETE, "value": float(turn)})
            else:
                open_ones.enter_context(ticket.handle)
        assert one.next(6) is None
        assert one.n_running() == 3
        assert len(two.records()) == 3
    points = list(SPACE.points())
    assert len(set(seen)) == 6
    assert set(seen) == {tuple(point.values()) for point in points}
    if sampler == "grid":
        assert seen == [tuple(point.values()) for point in points]


def test_a_trial_that_nobody_holds_is_gone_on_with(tmp_path: Path) -> None:
    paths = TunePaths("t", tmp_path)
    with Study(paths, SPACE, "random", False, 0) as study:
        lost = study.next(3)
        assert lost is not None
        lost.handle.lock.release()  # as when its process ends
        again = study.next(3)
        assert again is not None
        assert (again.number, again.point) == (lost.number, lost.point)
        with again.handle:
            study.finish(again, {**not_yet("x"), "state": STOPPED})
        assert [each.state for each in study.records()] == [STOPPED]
        assert study.importances() is None
        other = study.next(3)
        assert other is not None
        assert other.number > lost.number
        other.handle.lock.release()


def test_importances_find_the_key_that_matters(tmp_path: Path) -> None:
    with Study(TunePaths("t", tmp_path), SPACE, "grid", True, 0) as study:
        while (ticket := study.next(6)) is not None:
            value = 100 * ticket.point["optim.lr"] + 0.01 * len(str(ticket.point["sched"]))
            with ticket.handle:
                study.finish(ticket, {**not_yet("x"), "state": COMPLETE, "value": value})
        found = study.importances()
    assert found is not None
    assert list(found) == ["optim.lr", "sched"]
    assert found["optim.lr"] > 0.9
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["seed=1,2"], "differ in seed"),
        (["optim.lr=-1,1e-3"], "does not fit"),
        (["optim.lr=1e-3,1e-2", "--trials", "0"], "at least 1 trial"),
        (["optim.lr=1e-3,1e-2", "--objective", "acuracy"], "Did you mean 'accuracy'"),
        (["--space", "tabel"], "Did you mean 'table'"),
        (["--space", "no.yaml"], r"cannot read the space 'no\.yaml"),
        (["optim.lr=1e-3,1e-2", "optim.lr=1e-4,1e-5"], "is given twice"),
    ],
)
def test_what_cannot_be_searched(
    shared_table_csv: Path, tmp_path: Path, words: list[str], match: str
) -> None:
    done = command(tmp_path, shared_table_csv, *words)
    assert isinstance(done.exception, ConfigError)
    assert re.search(match, str(done.exception))
    assert not list(tmp_path.glob("reports/*"))


def test_without_optuna_the_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'kfold-hs\[tune\]'"):
        Study(TunePaths("t", tmp_path), SPACE, "grid", True, 0)


def test_a_space_of_a_file_and_of_a_command_line(tmp_path: Path) -> None:
    from kfold_hs.config.space import find_space

    file = tmp_path / "mine.yaml"
    file.write_text("with: [loss=focal]\nspace: {loss.gamma: [1, 2], sched: [onecycle, cosine]}")
    fixed, found = find_space(["train.epochs=2", "sched=linear,step"], str(file))
    assert fixed == ["train.epochs=2"]
    assert (found.name, found.shared) == ("mine", ("loss=focal",))
    assert found.choices == {"loss.gamma": (1, 2), "sched": ("linear", "step")}
    assert find_space(["seed=1"])[1].name == "table"
    file.write_text("a: [")
    with pytest.raises(ConfigError, match="cannot read the space"):
        find_space([], str(file))
