"""What every fold would meet is told once, before sound is read or before anything is computed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pandas as pd
import pytest
from support.project import TINY, Silent

from kfold_hs.cohort import build
from kfold_hs.config.compose import compose
from kfold_hs.errors import KfoldHsError, StorageError
from kfold_hs.files import room
from kfold_hs.workflows import comparison, cross_validation
from kfold_hs.workflows.options import RunOptions

PLUGIN = """
import kfold_hs

@kfold_hs.register.loss("early_loss")
def loss(log_p, power: float = 1.0):
    raise RuntimeError("no such cost")

@kfold_hs.register.augmentation("early_augment")
def augment(x, rng):
    return x[:, :, 1:]

@kfold_hs.register.features("early_features", n_bands=4, hop_s=0.02)
def features(samples, rate_hz):
    return samples[None]
"""


class Stages(Silent):
    """Remembers what was begun."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many recordings were asked for; none is read."""
    asked: list[int] = []

    def count(paths: list[Path], channel: object, on_progress: object) -> None:
        asked.append(len(paths))
        raise KfoldHsError("sound was read")

    monkeypatch.setattr(build, "inspect_all", count)
    return asked


def fault_of(words: list[str], csv: Path, folder: Path, **options: object) -> tuple[str, list[str]]:
    """The error of a run, and the stages that it began."""
    progress = Stages()
    given = {"root": folder / "out", "device": "cpu", **options}
    own = any(word.startswith("features=") for word in words)
    tiny = [word for word in TINY if not (own and word.startswith("features."))]
    with contextlib.chdir(folder):
        config = compose([*tiny, f"data.path={csv}", *words])
        with pytest.raises(KfoldHsError) as caught:
            cross_validation.run(config, progress, RunOptions(**given))  # type: ignore[arg-type]
    return str(caught.value), progress.stages


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=timm", "model.backbone=test_efficientnet", "model.weights=file",
          "model.weights_file=parts_early.py"], "cannot be loaded"),
        (["plugins=[parts_early]", "loss=early_loss"], "no such cost"),
        (["plugins=[parts_early]", "augment.extra=[early_augment]"], "must keep the shape"),
        (["plugins=[parts_early]", "features=early_features", "augment=none"], "was declared"),
        (["train.backend=compile"], "no nowhere++ -O2 here"),
    ],
)  # fmt: skip
def test_what_only_computing_tells_is_told_before_recordings(
    words: list[str], said: str, shared_table_csv: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CXX", "nowhere++ -O2")
    (tmp_path / "parts_early.py").write_text(PLUGIN)
    text, stages = fault_of(words, shared_table_csv, tmp_path)
    assert said in text
    assert stages == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["split.n_folds=7"], "murmur=Present occurs in 4 persons, murmur=Unknown occurs in 4"),
        (["split.n_folds=7", "split.by=patient"], "but 7 folds need at least 7"),
        (["data.tasks={murmur: {classes: [Present, Absent]}}"], "'Unknown', but the classes are"),
        (["model.covariates=[agee]"], "Did you mean 'age'"),
        (["split.hold_out=clinic", "split.n_folds=null"], "column in split.hold_out"),
    ],
)
def test_what_the_table_tells_is_told_before_sound_is_read(
    words: list[str], said: str, shared_table_csv: Path, tmp_path: Path, unread: list[int]
) -> None:
    text, stages = fault_of(words, shared_table_csv, tmp_path)
    assert said in text
    assert stages == ["recordings"]
    assert unread == []


def test_sound_is_read_where_the_table_is_right(
    shared_table_csv: Path, tmp_path: Path, unread: list[int]
) -> None:
    text, _ = fault_of([], shared_table_csv, tmp_path)
    assert text == "sound was read"
    assert unread == [len(pd.read_csv(shared_table_csv))]


def test_folders_that_cannot_be_written_to(shared_table_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text, stages = fault_of([], shared_table_csv, tmp_path, root=tmp_path / "file" / "out")
    assert f"{tmp_path / 'file'} is a file" in text
    assert "--root DIR" in text
    assert stages == []
    if os.geteuid():  # the super-user may write anywhere
        tmp_path.chmod(0o500)
        assert "not writable" in room.fault_of(tmp_path / "deep" / "er")
        tmp_path.chmod(0o700)


def test_a_disk_without_room_is_told_before_features(
    shared_table_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LEAST_BYTES", 0)
    monkeypatch.setattr(room, "free_bytes", lambda folder: 1_000)
    text, stages = fault_of([], shared_table_csv, tmp_path)
    assert "would be written to" in text
    assert "KFOLD_HS_CACHE" in text
    assert "features" not in stages


def test_folders_of_one_disk_count_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda folder: 100)
    room.check_room({tmp_path: 60, tmp_path / "a" / "b": 40}, "")
    with pytest.raises(StorageError):
        room.check_room({tmp_path: 60, tmp_path / "a" / "b": 41}, "")


def test_a_name_that_is_taken_is_told_at_once(
    shared_table_csv: Path, tmp_path: Path, unread: list[int]
) -> None:
    other = compose([*TINY, f"data.path={shared_table_csv}", "optim.lr=0.5"])
    folder = tmp_path / "out" / "reports" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(other.to_yaml())
    text, stages = fault_of([], shared_table_csv, tmp_path, name="mine")
    assert "optim.lr" in text
    assert (stages, unread) == ([], [])


def test_a_comparison_tries_each_variant_first(shared_table_csv: Path, tmp_path: Path) -> None:
    from kfold_hs.config.sweep import design

    weights = tmp_path / "w.pt"
    weights.write_text("no weights")
    words = [*TINY, f"data.path={shared_table_csv}", "model.weights=none",
             f"model.weights=file model.weights_file={weights}"]  # fmt: skip
    progress = Stages()
    with pytest.raises(KfoldHsError, match="cannot be loaded"):
        comparison.compare(design(words), progress, RunOptions(root=tmp_path, device="cpu"))
    assert progress.stages == []
