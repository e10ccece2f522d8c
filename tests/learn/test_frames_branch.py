"""The frame branch: what it learns, from whom alone, and that it is the same again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support.frame_branches import (
    LEARNS,
    LEAST_AGREEMENT,
    copy_of_built_in,
    fold_of,
    learnt,
    settings,
)

from kfold_hs.errors import CohortError, StorageError, TrainingError
from kfold_hs.files.cache import cache_folder
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import threads
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.frames import cached
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.learn.frames.cached import branch_of
from kfold_hs.learn.frames.decoding import CYCLES_S
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import fit_branch, targets_of


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 people of the built-in cohort; do not change its files."""
    return copy_of_built_in(tmp_path_factory.mktemp("frames") / "cohort")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 people; do not change its files."""
    return copy_of_built_in(tmp_path_factory.mktemp("frames") / "few", 3)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "cache"))
    return cache_folder() / "frames"


def bits(branch: FrameBranch) -> str:
    """Digest of all that a fold learnt."""
    state = branch.to_state()
    found = hashlib.sha256(repr([state["sojourn"], state["frame_s"]]).encode())
    for name, each in sorted(state["net"].items()):
        found.update(name.encode() + each.numpy().tobytes())
    return found.hexdigest()


def test_it_learns_where_heart_sounds_begin_and_who_has_a_murmur(table: Path) -> None:
    fold = fold_of(settings(table, *LEARNS))
    branch = fit_branch(fold)
    agreement, auroc = learnt(fold, branch)
    assert agreement > LEAST_AGREEMENT
    assert auroc > 0.65
    found = branch.cycles(fold.bank, fold.data.held_out[:4])
    assert found.measures["heart_rate_bpm"].between(40, 200).all()
    assert found.measures["quality"].between(0, 1).all()


# From whom it learns


def replaced(table: Path, fold: Fold, folder: Path) -> Path:
    """The cohort with all that belongs to the held-out people replaced but their names."""
    rng, copy = np.random.default_rng(1), folder / "table.csv"
    folder.mkdir()
    (folder / "recordings").mkdir()
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    whose = fold.cohort.patients["patient_id"].iloc[fold.data.patients]
    is_held_out = rows["patient_id"].isin(set(whose))
    for name, out in zip(rows["recording"], is_held_out, strict=True):
        path, marks = folder / name, Path(name).with_suffix(".tsv")
        if not out:
            for each in (Path(name), marks):
                (folder / each).symlink_to(table.parent / each)
            continue
        sound = rng.normal(0, 0.1, rng.integers(8_000, 48_000))
        soundfile.write(path, sound, 4000, subtype="PCM_16")
        (folder / marks).write_text("0.0\t0.7\t1\n0.7\t0.8\t2\n0.8\t1.4\t3\n1.4\t1.5\t4\n")
    others = {"Present": "Absent", "Absent": "Present", "Unknown": "Present", "": ""}
    for column in ("murmur", "murmur_at_site"):
        rows.loc[is_held_out, column] = rows.loc[is_held_out, column].map(others)
    rows.loc[is_held_out, "murmur_timing"] = "Late-systolic"
    rows.to_csv(copy, index=False)
    return copy


@pytest.mark.parametrize("select", ["last", "inner"])
def test_nothing_of_the_held_out_people_has_a_part_in_it(
    few: Path, cache: Path, tmp_path: Path, select: str
) -> None:
    """Sounds, marks, labels and timings replaced: the same weights, and the same place."""
    fold = fold_of(settings(few, f"select={select}", "train.inner_share=0.3"))
    branch, places = bits(fit_branch(fold)), {place(fold)}
    copy = replaced(few, fold, tmp_path / "copy")
    words = [f"select={select}", "train.inner_share=0.3"]
    # The split is stratified on labels: here it is that of the people as they were.
    other = fold_of(settings(copy, *words), split_of=fold.cohort)
    held_out = other.cohort.recordings.iloc[fold.data.held_out]
    assert not set(held_out["sha256"]) & set(fold.cohort.recordings["sha256"])
    assert bits(fit_branch(other)) == branch
    assert {place(other)} == places
    if select == "inner":
        assert len(fold.data.inner)
        assert not set(fold.data.inner) & set(fold.data.train)
    # And it is of the training people: one mark of theirs, and all is another.
    marks = next(copy.parent / f"recordings/{i}.tsv" for i in fold.cohort.recordings.iloc[
        fold.data.train]["recording_id"])  # fmt: skip
    text = marks.read_text().splitlines(keepends=True)
    marks.unlink()
    marks.write_text("".join(text[: len(text) // 2]))
    assert bits(fit_branch(other)) != branch
    assert {place(other)} != places


# The cache


def place(fold: Fold) -> Path:
    """Of its branch in the cache."""
    return cached.place_of(fold.id, fold.config, fold.cohort, targets_of(fold), fold.device)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Fold]:
    """The folds whose branch was trained."""
    trained: list[Fold] = []

    def fit(fold: Fold, targets: FrameTargets) -> FrameBranch:
        trained.append(fold)
        return fit_branch(fold, targets)

    monkeypatch.setattr(cached, "fit_branch", fit)
    return trained


def test_it_is_trained_once_and_shared(few: Path, cache: Path, counted: list[Fold]) -> None:
    fold = fold_of(settings(few))
    branch = branch_of(fold)
    assert branch is not None
    # Everything outside of `frames` and the features may be another.
    other = fold_of(settings(few, "optim.lr=0.01", "train.epochs=2", "model.backbone=resnet10t"))
    for again in (branch_of(fold), branch_of(other)):
        assert again is not None
        assert bits(again) == bits(branch)
    assert len(counted) == 1
    keys = {place(fold)}
    for words in (["frames.lr=0.001"], ["seed=1"], ["features.n_mels=24"], ["frames.task=null"]):
        keys.add(place(fold_of(settings(few, *words))))
    keys.add(place(fold_of(settings(few), 1)))
    with threads(torch.get_num_threads() + 1):  # they decide the last bits
        keys.add(place(fold))
    assert len(keys) == 7
    assert branch_of(fold_of(settings(few, "features.hop_s=0.02"))) is not None
    assert len(counted) == 1


def test_damaged_it_is_made_anew(
    few: Path, cache: Path, counted: list[Fold], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, notes = fold_of(settings(few)), list[str]()
    branch = branch_of(fold)
    assert branch is not None
    (file,) = cache.glob("*/branch.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr("kfold_hs.files.cache.warn", notes.append)
    again = branch_of(fold)
    assert again is not None
    assert bits(again) == bits(branch)
    assert len(counted) == 2
    assert "a frame branch in the cache are damaged" in notes[0]


def test_a_cache_that_cannot_be_written_is_said(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = fold_of(settings(few))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="KFOLD_HS_CACHE=DIR names another folder"):
        branch_of(fold)


def test_it_survives_a_checkpoint(few: Path) -> None:
    fold = fold_of(settings(few))
    branch = fit_branch(fold)
    again = FrameBranch.from_state(branch.to_state(), fold.config, fold.device)
    assert bits(again) == bits(branch)
    row = int(fold.data.held_out[0])
    np.testing.assert_array_equal(again.log_probs(fold.bank, row), branch.log_probs(fold.bank, row))
    np.testing.assert_allclose(np.exp(branch.log_probs(fold.bank, row)).sum(axis=1), 1, atol=1e-5)


# Other features, banks and sizes


def test_a_bank_larger_than_the_memory_gives_the_same(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = fold_of(settings(few, "frames.epochs=2"))
    monkeypatch.setattr(banks, "room_on", lambda device: 1000)
    streamed = fold_of(settings(few, "frames.epochs=2"))
    assert streamed.bank.streamed
    one, other = fit_branch(fold), fit_branch(streamed)
    assert bits(one) == bits(other)
    rows = fold.data.held_out[:2]
    pd.testing.assert_frame_equal(
        one.cycles(fold.bank, rows).measures, other.cycles(streamed.bank, rows).measures
    )


@pytest.mark.parametrize(
    "words",
    [
        "features.normalise=band frames.channels=4 frames.batch_size=2",
        # Longer than any recording, and above the number of recordings.
        "features.normalise=none frames.crop_s=60 frames.batch_size=1000",
        "features=pcen frames.crop_s=1 frames.dropout=0.9",
        "frames.task=null features.hop_s=0.04 features.n_mels=8",
    ],
)  # fmt: skip
def test_it_goes_with_other_settings(words: str, few: Path) -> None:
    fold = fold_of(settings(few, *words.split()))
    branch = fit_branch(fold)
    found = branch.cycles(fold.bank, fold.data.held_out)
    assert np.isfinite(found.measures.to_numpy()).all()
    assert ("murmur" in found.measures) == ("task=null" not in words)
    for decoded, row in zip(found.decoded, fold.data.held_out, strict=True):
        assert len(decoded.states) == fold.bank.on_host[1][row]
        assert decoded.cycle_s in CYCLES_S


def test_a_rate_at_which_nothing_is_learnt_is_said_or_gives_numbers(few: Path) -> None:
    fold = fold_of(settings(few, "frames.lr=10", "frames.epochs=3"))
    found = fit_branch(fold).cycles(fold.bank, fold.data.held_out).measures
    assert np.isfinite(found.to_numpy()).all()


def test_a_loss_that_is_no_number_is_said(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = fold_of(settings(few))
    monkeypatch.setattr(
        torch.nn.utils,
        "clip_grad_norm_",
        lambda weights, _: next(iter(weights)).data.fill_(torch.inf),
    )
    with pytest.raises(TrainingError, match=r"fold 0: .*epoch 1 of 1.*Lower frames\.lr=0\.003"):
        fit_branch(fold)


# Odd cohorts


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """The same people; its files may be changed."""
    return copy_of_built_in(tmp_path / "odd", 3)


def test_short_silent_and_long_recordings(odd: Path) -> None:
    sounds = sorted((odd.parent / "recordings").glob("*.wav"))
    seconds = [0.1, 0.5, 1.0, 65.0]
    for path, length in zip(sounds, seconds, strict=False):
        noise = np.random.default_rng(0).normal(0, 0.05, round(4000 * length))
        soundfile.write(path, noise, 4000, subtype="PCM_16")
    soundfile.write(sounds[4], np.zeros(8000), 4000, subtype="PCM_16")
    for path in sounds[:5]:
        path.with_suffix(".tsv").write_text("0 0.03 1\n0.03 0.06 2\n0.06 0.08 3\n0.08 0.1 4\n")
    for number in (0, 1):
        fold = fold_of(settings(odd), number)
        found = fit_branch(fold).cycles(fold.bank, np.arange(fold.cohort.n_recordings))
        assert np.isfinite(found.measures.to_numpy()).all()


def test_only_those_with_marks_are_learnt_from_and_some_are_needed(odd: Path) -> None:
    fold = fold_of(settings(odd))
    ids = fold.cohort.recordings["recording_id"].iloc[fold.data.train].tolist()
    marks = [odd.parent / "recordings" / f"{i}.tsv" for i in ids]
    for path in marks[2:]:
        path.unlink()
    assert np.isfinite(fit_branch(fold).cycles(fold.bank, [0]).measures.to_numpy()).all()
    marks[1].write_text("0 3 0\n")
    with pytest.raises(CohortError, match=rf"fold 0: 1 of {len(ids)} training.*frames=none"):
        fit_branch(fold)
    for path in marks[:2]:
        path.write_text("0.2 0.3 1\n")
    with pytest.raises(CohortError, match=r"S1, systole, S2 and diastole all marked"):
        fit_branch(fold)


def test_times_that_no_heart_has(odd: Path) -> None:
    for path in (odd.parent / "recordings").glob("*.tsv"):
        path.write_text("0 4 1\n4 4.001 2\n4.001 4.002 3\n4.002 8 4\n2 3 1\n")
    fold = fold_of(settings(odd))
    found = fit_branch(fold).cycles(fold.bank, fold.data.held_out)
    assert np.isfinite(found.measures.to_numpy()).all()
