"""Damaged files, links, no home: folders as people leave them; with a sample of the campaign."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from support.project import kfold_hs, write_table

from kfold_hs.cli.main import _unforeseen
from kfold_hs.errors import StorageError
from kfold_hs.files import stored
from kfold_hs.files.cache import cache_folder
from kfold_hs.files.paths import FoldId, RunPaths, whose

sys.path.append(str(Path(__file__).parents[1] / "robustness"))
from damage import COMMANDS, SETTINGS, TRACE, Said, campaign, judge


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run `a`, whose data and cache lie beside it."""
    root = tmp_path_factory.mktemp("damage") / "base"
    root.mkdir()
    write_table(root, n_patients=8, n_recordings=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFOLD_HS_CACHE", str(root / "cache"))
        done = kfold_hs("run", "--name", "a", *SETTINGS, cwd=root)
    assert done.returncode == 0, done.stderr
    return root


def test_a_sample_of_the_campaign(base: Path) -> None:
    before = os.environ["KFOLD_HS_CACHE"]
    chosen = [each for each in COMMANDS if each.name == "report of a run"]
    try:
        table, bad = campaign(base, chosen, flips=1, seed=0, most=12)
    finally:
        os.environ["KFOLD_HS_CACHE"] = before
    assert bad == []
    assert sum(count.total() for count in table.values()) == 24


@pytest.mark.parametrize("linked", ["reports", "reports/a", "checkpoints", "."])
def test_links_are_not_followed_to_where_the_rest_is_not(
    base: Path, tmp_path: Path, linked: str
) -> None:
    root = tmp_path / "here"
    shutil.copytree(base, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    if linked == ".":
        root.symlink_to(tmp_path / "copy")
    else:
        (tmp_path / "copy").rename(root)
        elsewhere = tmp_path / "elsewhere" / "deep"
        elsewhere.mkdir(parents=True)
        (root / linked).rename(elsewhere / "moved")
        (root / linked).symlink_to(elsewhere / "moved")
    run = RunPaths("a", root)
    places = [(root, Path("reports/a")), (root, Path("reports/a/")), (tmp_path, run.report_folder),
              (root / "reports", Path("a")), (root / "reports", Path("../reports/a"))]  # fmt: skip
    for number, (where, folder) in enumerate(places):
        with contextlib.chdir(where), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PWD", str(where))
            name, found, reports = whose(folder)
            assert (name, reports) == ("a", "reports")
            assert RunPaths(name, found).fold(FoldId(0, 0, 0)).last_model.exists(), (where, folder)
            if number == 0:
                assert kfold_hs("report", folder, cwd=where).returncode == 0
    with contextlib.chdir(run.report_folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PWD", str(run.report_folder))  # as a shell has it after `cd`
        assert RunPaths(*whose(Path())).fold(FoldId(0, 0, 0)).last_model.exists()


def test_damaged_files_of_other_runs_are_told_and_end_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    shutil.copytree(base, root)
    monkeypatch.setenv("KFOLD_HS_CACHE", str(root / "cache"))
    for name in ("empty", "cut", "binary"):
        shutil.copytree(root / "reports" / "a", root / "reports" / name)
        config = root / "reports" / name / "config.yaml"
        raw = config.read_bytes()
        config.write_bytes({"empty": b"", "cut": raw[:90], "binary": b"\0\xff" + raw}[name])
    for name in ("c", "t"):
        (root / "reports" / name).mkdir()
        file = {"c": "comparison.json", "t": "tune.json"}[name]
        (root / "reports" / name / file).write_text("[" * 100_000 if name == "c" else "{}")
    stored.warn.cache_clear()
    done = kfold_hs("run", "--name", "a", *SETTINGS, cwd=root)
    assert done.returncode == 0, done.stderr
    told = " ".join(caplog.messages)
    for name in ("empty", "cut", "binary"):
        assert f"reports/{name}/config.yaml" in told
    assert "left out of the count of variants tried: cannot read the results reports/c/" in told
    assert "reports/t" in told


def test_without_a_home_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KFOLD_HS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(StorageError, match="KFOLD_HS_CACHE=DIR"):
        cache_folder()


def test_a_cache_that_is_a_file_is_named(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "cache"))
    done = kfold_hs("run", "--name", "z", *SETTINGS, "--root", tmp_path, cwd=base)
    assert done.returncode == 1
    assert "KFOLD_HS_CACHE" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [KeyError("x"), ValueError(""), FileNotFoundError(2, "no", "f")])
def test_an_unforeseen_error_names_itself_and_the_campaign_counts_it(error: Exception) -> None:
    text = f"kfold-hs: {_unforeseen(error)}"
    assert type(error).__name__ in text
    assert "--debug" in text
    assert judge(Said(1, text), Said(0, "", "whole"), checked=True, in_page=False) == TRACE
