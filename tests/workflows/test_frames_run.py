"""Runs with a frame branch: what is written, what is shared, what is refused."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from support.frame_branches import FRAMES, copy_of_built_in, settings, table_words
from support.project import TINY, Silent, write_table
from support.training import Interrupts

from kfold_hs.cli.main import cli
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.files.paths import RunPaths
from kfold_hs.orchestrator.context import RunInputs
from kfold_hs.predictions import cycle
from kfold_hs.predictions.segmentation import by_recording, read_segmentation_table
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split
from kfold_hs.splits.make import split_of
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.evaluation import evaluate
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.search.nested import nested
from kfold_hs.workflows.search.spec import Search, SearchOptions

STATES_ALONE = [
    "data=table", "data.person_column=person_id", "frames.task=null",
    "data.tasks={outcome: {classes: [Abnormal, Normal], stack: [outcome, cycle]}}",
]  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 people of the built-in cohort; do not change its files."""
    return copy_of_built_in(tmp_path_factory.mktemp("frames") / "few", 3)


def train(table: Path, root: Path, *words: str, listener: Silent | None = None) -> RunPaths:
    options = RunOptions(name="r", root=root, device="cpu")
    return run(settings(table, *words), listener or Silent(), options).paths


@pytest.fixture(scope="module")
def two_seeds(table: Path, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """Two seeds, two epochs."""
    return train(table, tmp_path_factory.mktemp("whole"), "train.epochs=2", "n_seeds=2")


def test_a_run_says_of_everybody_what_their_hearts_do(two_seeds: RunPaths, table: Path) -> None:
    rows = Predictions.read(two_seeds.predictions)
    columns = cycle.columns_of(rows.table)
    wanted = {cycle.column(name, pool) for name, pools in cycle.POOLS.items() for pool in pools}
    assert set(columns) == {*wanted, cycle.column("n_recordings")}
    assert rows.table[columns].notna().all(axis=None)
    patients = rows.where(level="patient").table
    assert patients["cycle.n_recordings"].max() > 1
    one = rows.where(level="recording").table
    assert (one["cycle.n_recordings"] == 1).all()
    patients = patients[patients["epoch"] == 1]  # recordings are kept of the epoch that counts
    most = one.groupby(["patient_id", "seed", "epoch"])["cycle.murmur.max"].max()
    of_patients = patients.set_index(["patient_id", "seed", "epoch"])["cycle.murmur.max"]
    pd.testing.assert_series_equal(of_patients.sort_index(), most.sort_index())
    # The numbers are those of the seed's own branch.
    assert patients.groupby("patient_id")["cycle.murmur.max"].nunique().min() == 2
    found = read_segmentation_table(two_seeds.segmentation)
    of_seed = by_recording(found[found["seed"] == 0])
    assert sorted(of_seed) == sorted(set(one["recording_id"]))
    for each in of_seed.values():
        assert each.start_s[0] == 0
        assert (each.start_s[1:] == each.end_s[:-1]).all()
    summary = two_seeds.summary.read_text()
    assert '"cycle"' in summary


def test_it_moves_no_other_number(two_seeds: RunPaths, table: Path, tmp_path: Path) -> None:
    plain = train(table, tmp_path, "train.epochs=2", "frames=none",
                  "frames.epochs=0", "frames.channels=64", "frames.crop_s=6",
                  "frames.batch_size=32")  # fmt: skip
    rows, others = Predictions.read(plain.predictions), of_first_seed(two_seeds)
    pd.testing.assert_frame_equal(rows.table, others[list(rows.table.columns)], check_exact=True)
    assert not plain.segmentation.exists()
    assert "cycle.murmur.max" not in rows.table


def test_after_a_kill_the_same_bits(two_seeds: RunPaths, table: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(table, tmp_path, "train.epochs=2", listener=Interrupts(after=3))
    again = train(table, tmp_path, "train.epochs=2")
    found = Predictions.read(again.predictions).table
    pd.testing.assert_frame_equal(found, of_first_seed(two_seeds), check_exact=True)
    found, wanted = (read_segmentation_table(each.segmentation) for each in (again, two_seeds))
    wanted = wanted[wanted["seed"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def of_first_seed(paths: RunPaths) -> pd.DataFrame:
    """A seed of a fold is what a run of one seed trains."""
    table = Predictions.read(paths.predictions).table
    return table[table["seed"] == 0].reset_index(drop=True)


def assert_same(one: RunPaths, other: RunPaths) -> None:
    for read, name in ((lambda p: Predictions.read(p).table, "predictions"),
                       (read_segmentation_table, "segmentation")):  # fmt: skip
        pd.testing.assert_frame_equal(
            read(getattr(one, name)), read(getattr(other, name)), check_exact=True
        )


@pytest.mark.slow
def test_two_processes_give_the_same_bits(
    two_seeds: RunPaths, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "cache"))
    words = [*FRAMES, *table_words(table), "train.epochs=2", "n_seeds=2", "train.threads=1"]
    words += ["--root", str(tmp_path), "--name", "r", "--device", "cpu", "--folds", "2"]
    for jobs in ("1", "2"):
        words[words.index("r") if jobs == "1" else words.index("r1")] = f"r{jobs}"
        done = CliRunner().invoke(cli, ["run", "--jobs", jobs, *words])
        assert done.exit_code == 0, done.output
        monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / f"cache{jobs}"))
    assert_same(RunPaths("r1", tmp_path), RunPaths("r2", tmp_path))


@pytest.mark.slow
def test_variants_with_and_without_share_the_network(tmp_path: Path) -> None:
    copy = copy_of_built_in(tmp_path / "few", 3)
    plain = [w for w in FRAMES if not w.startswith(("frames", "split.n_folds"))]
    typed = ["compare", "frames.epochs=0,1", "--name", "c", "--folds", "2",
             "--root", str(tmp_path), "--device", "cpu", *plain, *table_words(copy)]  # fmt: skip
    done = CliRunner().invoke(cli, typed)
    assert done.exit_code == 0, done.output
    (kept,) = [
        path for path in (tmp_path / "reports").rglob("*.parquet")
        if cycle.columns_of(Predictions.read(path).table) and "scored" not in path.name
    ]  # fmt: skip
    digests, before = Predictions.digests(kept), kept.read_bytes()
    assert "marks" in digests
    assert CliRunner().invoke(cli, typed).exit_code == 0
    assert kept.read_bytes() == before
    marks = copy.parent / pd.read_csv(copy)["recording"][0].replace(".wav", ".tsv")
    marks.write_text("".join(marks.read_text().splitlines(keepends=True)[:-4]))
    done = CliRunner().invoke(cli, typed)
    assert done.exit_code == 0, done.output
    assert Predictions.digests(kept)["marks"] != digests["marks"]


@pytest.mark.slow
def test_patients_as_examples_and_the_epoch_that_inner_people_choose(
    table: Path, tmp_path: Path
) -> None:
    for number, words in enumerate(
        (
            ["train.level=patient", "train.sites_per_patient=2", "features.normalise=band"],
            ["select=inner", "train.inner_share=0.3"],
        )
    ):
        done = train(table, tmp_path / str(number), *words)
        rows = Predictions.read(done.predictions)
        assert rows.table[cycle.columns_of(rows.table)].notna().all(axis=None)


@pytest.mark.slow
def test_other_tasks_than_murmurs(table: Path, tmp_path: Path) -> None:
    """Nothing says what a murmur is: states alone."""
    config = compose([*FRAMES, *STATES_ALONE, f"data.path={table}"])
    done = run(config, Silent(), RunOptions(name="r", root=tmp_path, device="cpu")).paths
    assert "cycle.s1_db.mean" in Predictions.read(done.predictions).table
    assert "cycle.murmur.max" not in Predictions.read(done.predictions).table


def test_nobody_is_segmented(tmp_path: Path) -> None:
    path = write_table(tmp_path, n_patients=8)
    config = compose([*TINY, f"data.path={path}", "frames=cycle"])
    told = r"frames\.epochs=10 needs segmentations.*none of the 16.*frames=none.*p0_0\.tsv"
    with pytest.raises(CohortError, match=told):
        run(config, Silent(), RunOptions(root=tmp_path, device="cpu"))


def test_evaluated_as_a_table_it_is_as_without(two_seeds: RunPaths, tmp_path: Path) -> None:
    """What is known of a heart is no probability of anything, whoever reads the table."""
    table = pd.read_parquet(two_seeds.predictions)
    columns = cycle.columns_of(table)
    assert columns
    found = []
    for name, each in (("with", table), ("without", table.drop(columns=columns))):
        each.to_parquet(tmp_path / f"{name}.parquet")
        source = tmp_path / f"{name}.parquet"
        done = evaluate(source, root=tmp_path, name=name, band_resamples=0)
        scored = Predictions.read(done.paths.report_folder / "scored.parquet")
        assert not cycle.columns_of(scored.table)
        found.append((scored.table, done.summary.tasks))
    pd.testing.assert_frame_equal(found[0][0], found[1][0], check_exact=True)
    assert found[0][1] == found[1][1]


# Folds of which too little is marked


def keep_marks(table: Path, kept: Collection[str]) -> None:
    """Remove the segmentations of all recordings but those of some persons."""
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    for name, person in zip(rows["recording"], rows["person_id"], strict=True):
        if person not in kept:
            (table.parent / name).with_suffix(".tsv").unlink()


def persons_of(split: Split, repeat: int, fold: int) -> list[str]:
    return [person for person, folds in split.folds.items() if folds[repeat] == fold]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """24 people; its files may be changed."""
    return copy_of_built_in(tmp_path / "odd")


def test_a_fold_without_marks_is_refused_before_another_is_trained(
    odd: Path, tmp_path: Path
) -> None:
    words = ["split.n_repeats=2"]
    config = settings(odd, *words)
    split = split_of(config, read_cohort(config.data))
    keep_marks(odd, persons_of(split, 1, 0))
    said = r"repeat 1, fold 0: 0 of \d+ training recordings are segmented.*Set frames=none"
    with pytest.raises(CohortError, match=said):
        train(odd, tmp_path, *words)
    plain = [word for word in FRAMES if not word.startswith(("frames.epochs", "split.n_folds"))]
    typed = ["frames.epochs=0,1", "--folds", "2", "--repeats", "2", "--root", str(tmp_path),
             "--device", "cpu", *(w for w in plain if not w.startswith("frames")),
             *table_words(odd)]  # fmt: skip
    for command in (["compare"], ["compare", "--dry-run"]):
        done = CliRunner().invoke(cli, [*command, *typed])
        assert re.search(said, str(done.exception)), done.output
    assert not list(tmp_path.rglob("*.pt"))
    # Set aside to choose the epoch, people are not trained on.
    with pytest.raises(CohortError, match="repeat 1, fold 0: 0 of"):
        RunInputs(read_cohort(config.data), split).check_folds(settings(odd, "select=inner"))
    off = compose([*TINY, *table_words(odd)])
    RunInputs(read_cohort(config.data), split).check_folds(off)


def test_a_fold_within_a_fold_is_refused_before_any_search(odd: Path, tmp_path: Path) -> None:
    words = [*FRAMES, *STATES_ALONE, f"data.path={odd}"]
    config = compose(words)
    split = split_of(config, read_cohort(config.data))
    keep_marks(odd, [persons_of(split, 0, fold)[0] for fold in (0, 1)])
    RunInputs(read_cohort(config.data), split).check_folds(config)
    search = Search.of([*words, "optim.lr=0.01,0.001"], SearchOptions(sampler="grid"))
    with pytest.raises(CohortError, match=r"within repeat 0, fold 0: repeat 0, fold \d: \d of"):
        nested(search, Silent(), RunOptions(root=tmp_path, device="cpu"), inner_folds=2)
    assert not list(tmp_path.rglob("*.pt"))


def test_whole_hearts_are_marked_or_nothing_is_trained(odd: Path) -> None:
    config = settings(odd)
    for path in (odd.parent / "recordings").glob("*.tsv"):
        path.write_text("0.2 0.3 1\n")
    cohort = read_cohort(config.data)
    inputs = RunInputs(cohort, split_of(config, cohort))
    with pytest.raises(CohortError, match=r"repeat 0, fold 0: in none of \d+ segmented.*all mark"):
        inputs.check_folds(config)


def test_the_best_recipe_where_nothing_is_marked(cinc2016: Path, tmp_path: Path) -> None:
    words = ["data=cinc2016", f"data.root={cinc2016}", "recipe=best"]
    with pytest.raises(ConfigError, match=r"frames\.task=murmur is none of.*outcome.*frames=none"):
        compose(words)
    with pytest.raises(CohortError, match=r"none of the 86 recordings.*Set frames=none"):
        run(compose([*words, "frames.task=null"]), Silent(), RunOptions(root=tmp_path))
    assert not compose([*words, "frames=none"]).frames.is_on
