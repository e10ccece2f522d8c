"""Calls from Python: the runs of the command line, continued by either, and errors of one kind."""

from __future__ import annotations

import inspect
import shlex
import shutil
import subprocess
import sys
import threading
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.project import Silent, kfold_hs
from support.training import Interrupts

import kfold_hs as kf
from kfold_hs.api.progress import watching
from kfold_hs.orchestrator.processes import without_main
from kfold_hs.orchestrator.progress import NullProgress
from kfold_hs.orchestrator.rich_progress import RichProgress


def test_importing_loads_next_to_nothing_and_lists_the_names() -> None:
    code = """
import sys
import kfold_hs as kf
assert not {"torch", "pandas", "pydantic"} & set(sys.modules)
assert {"cross_validate", "Cohort", "errors", "__version__"} <= set(dir(kf))
assert set(kf.__all__) == {name for name in dir(kf) if not name.startswith("_")}
kf.cross_validate, kf.Report, kf.read_cohort
assert "torch" not in sys.modules
try:
    kf.nothing
except AttributeError as error:
    assert str(error) == "module 'kfold_hs' has no attribute 'nothing'"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in kf.__all__:
        assert getattr(kf, name) is getattr(kf, name)


def test_a_call_is_the_run_of_its_command(report: kf.Report, place: Path, tmp_path: Path) -> None:
    for kind in ("reports", "checkpoints"):
        shutil.copytree(place / kind / "tiny", tmp_path / kind / "tiny")
    command = report.summary.provenance.to_json()["command"]
    assert command.startswith("kfold-hs run data=table data.path=")
    assert command.endswith("--name tiny")
    models = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.pt"))]
    done = kfold_hs(*shlex.split(command)[1:], "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = kf.read_report(tmp_path / "reports" / "tiny")
    assert again.result.headline == report.summary.headline
    # What the call left was found: nothing was trained again.
    trained = sorted(path for path in tmp_path.rglob("*.pt") if path.parent.name != "checkpoints")
    assert [path.stat().st_mtime_ns for path in trained] == models


def test_progress_is_shown_where_it_is_asked_for() -> None:
    own = Silent()
    with watching(own) as progress:
        assert progress is own
    for silent in (None, False):  # there is no notebook here
        with watching(silent) as progress:
            assert isinstance(progress, NullProgress)
    with watching(True) as progress:
        assert isinstance(progress, RichProgress)


def test_an_interrupted_call_continues(
    people: kf.Cohort, report: kf.Report, place: Path, tiny: dict[str, Any]
) -> None:
    options = {"root": place, "name": "stopped", **tiny}
    with pytest.raises(KeyboardInterrupt) as stop:
        kf.cross_validate(people, progress=Interrupts(after=3), **options)
    assert "the same call continues" in stop.value.__notes__[0]
    watcher = Silent()
    again = kf.cross_validate(people, progress=watcher, **options)
    assert watcher.rows == [(1, 1)]  # of four epochs, three were kept
    pd.testing.assert_frame_equal(again.predictions, report.predictions)


def test_calls_of_two_threads_take_turns(
    people: kf.Cohort, report: kf.Report, place: Path, tiny: dict[str, Any]
) -> None:
    found: dict[int, kf.Report] = {}

    def call(number: int) -> None:
        name = f"thread{number}"
        found[number] = kf.cross_validate(people, root=place, name=name, **tiny)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in found.values():
        pd.testing.assert_frame_equal(each.predictions, report.predictions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prgress": True}, r"unknown keyword 'prgress'\. Did you mean 'progress'\?"),
        ({"epochs": 2}, r"unknown key 'epochs'.*Did you mean 'train\.epochs'\?"),
        ({"recipe": "lit"}, r"unknown choice for recipe= 'lit'.*'lite'"),
        ({"jobs": 0}, "at least 1 fold"),
        ({"device": "mps"}, "Apple's GPU is not used"),
        ({"device": "gpu"}, "'gpu' is not one of auto, cpu, cuda"),
        ({"name": "a/b"}, "'a/b' cannot name a folder"),
        (
            {"data": {"channel": 1}},
            r"read with other settings: data\.channel \(None there, 1 here\)",
        ),
        ({"overrides": "train.epochs=2"}, "overrides is a list of words"),
        ({"folds": 0}, r"split\.n_folds=0 does not fit"),
    ],
)
def test_what_does_not_fit_is_named(
    people: kf.Cohort, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(kf.errors.ConfigError, match=message):
        kf.cross_validate(people, root=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_cohort_that_nobody_read_is_refused(people: kf.Cohort) -> None:
    with pytest.raises(kf.KfoldHsError, match="of type DataFrame and does not say how it was read"):
        kf.cross_validate(people.patients)  # type: ignore[arg-type]


def test_options_are_in_the_signature_and_in_the_text() -> None:
    for call in (kf.cross_validate, kf.compare, kf.tune):
        shown = inspect.signature(call)
        assert {"name", "root", "device", "jobs", "progress", "folds"} <= set(shown.parameters)
        text = inspect.getdoc(call) or ""
        assert text.index("Parameters\n---") < text.index("\nname : str, optional\n")
        assert text.index("\n**settings\n    Every other keyword") < text.index("Returns\n---")
    assert inspect.signature(kf.tune).parameters["sampler"].default == "tpe"


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"a": {}}, "two variants or more, and has 1"),
        ({"a": {}, "b": {}}, "'a' and 'b' are one configuration"),
        (
            {"a": {"split": {"n_folds": 2}}, "b": {"split": {"n_folds": 3}}},
            r"differ in split\.n_folds \(2 there, 3 here\)",
        ),
        (["sched=cosine"], "variants is of type list: give a dict"),
        ({"a": "sched=cosine", "b": {}}, "'a' is no dict of settings"),
    ],
)
def test_variants_that_cannot_be_compared(people: kf.Cohort, variants: Any, message: str) -> None:
    with pytest.raises(kf.errors.ConfigError, match=message):
        kf.compare(variants, people)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ({"optim.lr": 1}, {}, "is no list"),
        ({}, {}, "the space is empty"),
        ({"optim.lrr": [1, 2]}, {}, r"Did you mean 'optim\.lr'"),
        ("nothing", {}, "unknown space 'nothing'; there is table"),
        ({"optim.lr": [1e-3, 1e-4]}, {"trials": 0}, "at least 1 trial"),
    ],
)
def test_spaces_that_cannot_be_searched(
    people: kf.Cohort, space: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(kf.errors.ConfigError, match=message):
        kf.tune(people, space, **options)


def test_variants_of_different_keys_have_their_names(
    people: kf.Cohort, report: kf.Report, place: Path, tiny: dict[str, Any]
) -> None:
    found = kf.compare(
        {"usual": {}, "pooled": {"predict": {"crop_pool": "max"}}}, people, root=place, **tiny
    )
    assert list(found.result.headline["values"]) == ["usual", "pooled"]
    assert found.result.factors == ["variant"]
    assert list(found.reports) == ["usual"]  # the other is predicted by its models
    mean = found.to_frame().query("task == 'mean'").iloc[0]
    assert (mean["first"], mean["second"]) == ("usual", "pooled")
    assert mean["difference"] == mean["value_second"] - mean["value_first"]
    command = found.result.provenance.to_json()["command"]
    assert command.startswith("kf.compare({'usual': [], 'pooled': ['predict.crop_pool=max']}, ")
    assert f"overrides={[*people.settings]!r}"[:-1] in command


@pytest.mark.slow
@pytest.mark.parametrize("how", ["piped", "script", "-c"])
def test_jobs_from_any_program(how: str, frame: pd.DataFrame, place: Path, tiny: Any) -> None:
    code = f"""
import kfold_hs as kf, pandas as pd
table = pd.read_csv({str(place / "table.csv")!r})
cohort = kf.Cohort.from_frame(table, "outcome", root={str(place)!r}, person="person")
report = kf.cross_validate(cohort, root={str(place)!r}, name="jobs{how}", jobs=2, **{tiny!r})
print("once", report.summary.headline.value)
"""
    script = place / "script.py"
    script.write_text(code)
    words = {"piped": ["-"], "script": [str(script)], "-c": ["-c", code]}[how]
    done = subprocess.run(
        [sys.executable, *words], input=code if how == "piped" else "", text=True, check=False,
        capture_output=True, cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("once") == 1


def test_processes_do_not_read_the_program_again(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", __file__, raising=False)  # xdist's has none
    before = spawn.get_preparation_data("process")
    assert {"init_main_from_path", "init_main_from_name"} & set(before)
    with without_main():
        inside = spawn.get_preparation_data("process")
    assert not {"init_main_from_path", "init_main_from_name"} & set(inside)
    assert spawn.get_preparation_data("process") == before
    assert main.__file__
