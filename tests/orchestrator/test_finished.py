"""Runs in a folder of reports: which of them were tried on the same people and folds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.files.paths import RunPaths, write_json, write_text
from kfold_hs.orchestrator.finished import plan_of, variants_tried
from kfold_hs.splits import Split, stratify


@pytest.fixture(scope="module")
def split(shared_table_csv: Path) -> Split:
    from support.project import TINY

    cohort = read_cohort(compose([*TINY, f"data.path={shared_table_csv}"]).data)
    return stratify(cohort, 2, seed=0, n_repeats=2)


def put(root: Path, name: str, split: Split, *overrides: str) -> None:
    paths = RunPaths(name, root)
    split.write(paths.split)
    write_text(paths.config, compose(overrides).to_yaml())


def first_repeat(split: Split) -> Split:
    folds = {person: each[:1] for person, each in split.folds.items()}
    return dataclasses.replace(split, folds=folds, n_repeats=1)


def test_variants_are_configurations_on_the_same_folds(tmp_path: Path, split: Split) -> None:
    reports = tmp_path / "reports"
    assert variants_tried(reports, split) == {}
    put(tmp_path, "a", split, "optim.lr=1e-3")
    put(tmp_path, "a-again", split, "optim.lr=1e-3", "target=0.9", "judge.margins.cost=1")
    put(tmp_path, "b", split, "optim.lr=2e-3")
    put(tmp_path, "one-repeat", first_repeat(split), "optim.lr=3e-3")
    other = {person: tuple(1 - f for f in each) for person, each in split.folds.items()}
    put(tmp_path, "other-folds", dataclasses.replace(split, folds=other), "optim.lr=4e-3")
    put(tmp_path, "other-people", dataclasses.replace(split, fingerprint="0" * 64))
    (reports / "notes").mkdir()
    found = variants_tried(reports, split)
    assert sorted(found.values()) == [["a", "a-again"], ["b"], ["one-repeat"]]
    assert compose(["optim.lr=2e-3"]).variant_digest in found


def test_more_of_the_same_draws_is_no_further_variant(tmp_path: Path, split: Split) -> None:
    put(tmp_path, "one-repeat", first_repeat(split))
    put(tmp_path, "two-repeats", split, "split.n_repeats=2")
    put(tmp_path, "two-seeds", split, "n_seeds=2")
    on_gpu = RunPaths("gpu", tmp_path)
    split.write(on_gpu.split)
    write_text(on_gpu.config, compose([]).on("cuda").to_yaml())
    same = ["gpu", "one-repeat", "two-repeats", "two-seeds"]
    reports = tmp_path / "reports"
    assert list(variants_tried(reports, split).values()) == [same]
    put(tmp_path, "other-draws", split, "seed=1")  # the luckiest of several can be picked
    assert sorted(variants_tried(reports, split).values()) == [same, ["other-draws"]]


def test_a_plan_of_a_former_version_counts_its_finished_runs_once(
    tmp_path: Path, split: Split
) -> None:
    put(tmp_path, "a", split)
    former = {compose([]).digest: "a", "f" * 64: "never-made"}
    write_json(tmp_path / "reports" / "comparison" / "plan.json", plan_of([split], former))
    found = sorted(variants_tried(tmp_path / "reports", split).values())
    assert found == [["a"], ["never-made"]]


def test_what_cannot_be_read_is_not_forgotten(tmp_path: Path, split: Split) -> None:
    put(tmp_path, "a", split)
    put(tmp_path, "newer", split)
    write_text(RunPaths("newer", tmp_path).config, "a_key_of_tomorrow: 1\n")
    put(tmp_path, "broken", split)
    write_text(RunPaths("broken", tmp_path).split, "{}")
    assert sorted(variants_tried(tmp_path / "reports", split).values()) == [["a"], ["newer"]]
