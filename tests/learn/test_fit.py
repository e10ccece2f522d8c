"""A real, tiny training: repeatable to the bit, resumable, and honest about its files."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.project import Silent
from support.training import Interrupts, check_resumed, config, fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError, StorageError, TrainingError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.examples import make_targets, sampling_weights
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.models.network import HeartSoundNet, make_model
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import stratify


@pytest.fixture(scope="module")
def plain(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPaths, Predictions]:
    """What `TINY` trains and predicts; do not change its files."""
    return fit(cohort, tmp_path_factory.mktemp("plain"))


EVERYTHING = [
    "train.average=ema",
    "train.average_decay=0.8",
    "train.sampling=joint",
    "select=best",
    "loss=focal",
]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([], id="plain", marks=pytest.mark.slow),
        pytest.param(EVERYTHING, id="everything"),
    ],
)
def test_same_seed_same_bits_in_one_go_or_interrupted(
    cohort: Cohort, plain: tuple[RunPaths, Predictions], tmp_path: Path, more: list[str]
) -> None:
    once = fit(cohort, tmp_path / "once", *more)[1] if more else plain[1]
    _, twice = fit(cohort, tmp_path / "twice", *more)
    assert twice.table.equals(once.table)
    for after in (1, 3, 4, 6):
        root = tmp_path / f"after{after}"
        with pytest.raises(KeyboardInterrupt):
            fit(cohort, root, *more, listener=Interrupts(after))
        listener = Silent()
        _, resumed = fit(cohort, root, *more, listener=listener)
        assert len(listener.rows) == 6 - after  # no epoch is trained again
        assert resumed.table.equals(once.table)


RECIPES = {
    "averaged": ["train.average=swa", "train.average_start=0.3", "train.average_update_bn=true",
                 "train.epochs=4", "sched=plateau", "sched.patience=0"],
    "grown": ["train.first_crop_frames=16", "train.accumulate=2", "augment.cutmix_alpha=1.0"],
    "stretched": ["augment.stretch=0.1", "sched=restarts", "sched.n_cycles=2",
                  "augment.cutmix_axis=band", "augment.cutmix_alpha=0.5"],
    "weighed": ["train.sampling=patient", "loss.class_weights=effective", "sched=step",
                "loss.task_weights={outcome: 0.5}", "loss.ordinal_smoothing=true"],
    "cycled": ["sched.cycle_momentum=true", "predict.n_shifts=3", "predict.patient_pool=noisy_or",
               "train.average=ema", "train.average_decay=0.9", "loss.class_weights=challenge"],
    "beside": ["model.covariates=[age]", "model.pool=gem", "augment.mixup_alpha=0.5"],
    "attended": ["features=pcen", "model.pool=attention", "model.hidden=32", "sched=constant"],
    "louder": ["features.normalise=none", "augment.gain_db=6", "augment.band_stops=1",
               "predict.gains_db=[-3,0,3]"],
    "plain": ["augment.noise_share=0.5", "sched=linear", "predict.patient_pool=mean_logit",
              "loss=focal"],
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_every_part_of_the_recipe_trains_and_resumes(
    cohort: Cohort, plain: tuple[RunPaths, Predictions], tmp_path: Path, name: str
) -> None:
    words = RECIPES[name]
    _, whole = check_resumed(cohort, tmp_path, *words, folds=1)
    assert not whole.table.equals(plain[1].where(fold=0).table)


@pytest.mark.parametrize(("more", "filled"), [([], [False, True]), (["select=best"], [True] * 2)])
def test_epochs_that_may_be_kept_are_predicted_in_whole_batches(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    filled: list[bool],
) -> None:
    sizes: list[int] = []
    embed = HeartSoundNet.embed

    def heard(self: HeartSoundNet, x: torch.Tensor, n_bands: int | None = None) -> torch.Tensor:
        if not self.training:
            sizes.append(len(x))
        return embed(self, x, n_bands)

    monkeypatch.setattr(HeartSoundNet, "embed", heard)
    fit(cohort, tmp_path, "train.epochs=2", *more)
    batches = len(sizes) // 4  # two folds of two epochs
    whole = [size == config().predict.batch_size for size in sizes[batches - 1 :: batches]]
    assert whole == filled * 2


def test_another_seed_other_bits(
    cohort: Cohort, plain: tuple[RunPaths, Predictions], tmp_path: Path
) -> None:
    one, (_, two) = plain[1], fit(cohort, tmp_path, "seed=1")
    assert not np.allclose(one.y_prob("murmur"), two.y_prob("murmur"))


def test_a_finished_fold_is_not_trained_again(cohort: Cohort, tmp_path: Path) -> None:
    paths, _ = fit(cohort, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in paths.checkpoint_folder.rglob("*.pt")}
    listener = Silent()
    fit(cohort, tmp_path, listener=listener)
    assert listener.states == ["found", "found"]
    assert {p: p.stat().st_mtime_ns for p in paths.checkpoint_folder.rglob("*.pt")} == before


def test_folds_of_another_configuration_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    fit(cohort, tmp_path, digest="one")
    with pytest.raises(TrainingError, match=r"belongs to the config one, and this run has two"):
        fit(cohort, tmp_path, digest="two")


def test_resuming_another_configuration_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, tmp_path, digest="one", listener=Interrupts(2))
    with pytest.raises(TrainingError, match=r"resume\.pt belongs to the config one"):
        fit(cohort, tmp_path, digest="two")


def test_files_of_a_fold(cohort: Cohort, plain: tuple[RunPaths, Predictions]) -> None:
    paths, predictions = plain
    files = paths.fold(FoldId(0, 0, 1))
    assert sorted(p.name for p in files.folder.iterdir()) == [
        ".sha256",
        "best_model.pt",
        "history.csv",
        "last.pt",
        "predictions.parquet",
    ]
    history = pd.read_csv(files.history)
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["kept"].tolist() == [False, False, True]  # select=last
    mean = history[["acc.murmur", "acc.outcome"]].mean(axis=1)
    ranked = history.assign(mean=mean).sort_values(["mean", "val_loss"], ascending=[False, True])
    best = int(ranked["epoch"].iloc[0])
    assert history["best"].tolist() == [epoch == best for epoch in range(3)]

    content = torch.load(files.best_model, weights_only=True)
    assert content["epoch"] == best
    assert content["val_acc"] == pytest.approx(mean[best])
    assert content["config"] == config().as_dict()
    assert content["digests"] == {"config": "d"}
    model = make_model(config().model, cohort.tasks, 0)
    model.load_state_dict(content["model_state_dict"])
    assert content["optimizer_state_dict"]["param_groups"][0]["weight_decay"] == 0.01
    assert content["optimizer_state_dict"]["param_groups"][1]["weight_decay"] == 0.0

    # Every epoch's patients are kept, the recordings of the kept epoch only.
    patients = predictions.where(level="patient", fold=1)
    assert set(patients.table["epoch"]) == {0, 1, 2}
    accuracy = np.mean(
        patients.where(epoch=2).y_prob("murmur").argmax(1)
        == patients.where(epoch=2).y_true("murmur")
    )
    assert accuracy == pytest.approx(history["acc.murmur"][2])
    recordings = predictions.where(level="recording", fold=1)
    assert set(recordings.table["epoch"]) == {2}
    assert recordings.table["recording_id"].is_unique


def test_held_out_people_are_never_trained_on(cohort: Cohort) -> None:
    folds = stratify(cohort, 2, 0).fold_of_patients(cohort, 0)
    person_of = cohort.person_of
    for fold in range(2):
        data = FoldData.of(cohort, folds, fold)
        owner = cohort.recordings["patient_id"].to_numpy()
        trained = {person_of[patient] for patient in owner[data.train]}
        held_out = {person_of[patient] for patient in owner[data.held_out]}
        assert not trained & held_out
        assert len(data.train) + len(data.held_out) == cohort.n_recordings
        assert set(cohort.patients["patient_id"].iloc[data.patients]) == set(owner[data.held_out])


def test_it_learns_what_can_be_heard(cohort: Cohort, tmp_path: Path) -> None:
    _, predictions = fit(cohort, tmp_path, "train.epochs=12", "optim.lr=5e-3", "augment=none")
    last = predictions.where(level="patient", epoch=11)
    score, heard = last.y_prob("murmur")[:, 0], last.y_true("murmur") == 0
    assert score[heard].mean() > score[~heard].mean() + 0.2


def test_tensorboard_tags(plain: tuple[RunPaths, Predictions]) -> None:
    paths, _ = plain
    events = EventAccumulator(str(paths.tensorboard(FoldId(0, 0, 0))))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "Loss/train",
        "Loss/val",
        "Accuracy/murmur",
        "Accuracy/outcome",
        "LearningRate",
    }
    history = pd.read_csv(paths.fold(FoldId(0, 0, 0)).history)
    scalars = events.Scalars("Loss/val")
    assert [event.step for event in scalars] == [1, 2, 3]
    np.testing.assert_allclose([event.value for event in scalars], history["val_loss"], rtol=1e-6)
    assert "config/text_summary" in events.Tags()["tensors"]
    assert {"PrecisionRecall/murmur", "PrecisionRecall/outcome"} <= set(events.Tags()["tensors"])
    assert set(events.Tags()["images"]) == {"Confusion/murmur", "Confusion/outcome"}
    (image,) = events.Images("Confusion/murmur")
    assert (image.step, image.width, image.height) == (3, 120 + 3 * 96, 64 + 3 * 96)


def test_tensorboard_sessions_of_a_variant_share_a_group(
    plain: tuple[RunPaths, Predictions],
) -> None:
    paths, _ = plain
    starts = []
    for fold in range(2):
        events = EventAccumulator(str(paths.tensorboard(FoldId(0, 0, fold))))
        events.Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        starts.append(plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info)
        assert events.SummaryMetadata("_hparams_/session_end_info") is not None
    assert {start.group_name for start in starts} == {"run"}
    assert starts[0].hparams["optim.lr"].number_value == config().optim.lr
    assert starts[0].hparams["sched.kind"].string_value == "onecycle"


def test_tensorboard_after_an_interruption_has_every_epoch_once(
    cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, tmp_path, listener=Interrupts(2))
    paths, _ = fit(cohort, tmp_path)
    events = EventAccumulator(str(paths.tensorboard(FoldId(0, 0, 0))))
    events.Reload()
    assert [event.step for event in events.Scalars("Loss/train")] == [1, 2, 3]


def test_a_full_disk_under_tensorboard_is_told_and_resumed(
    cohort: Cohort,
    plain: tuple[RunPaths, Predictions],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    written: list[bytes] = []

    def write(self: RecordWriter, data: bytes) -> None:
        written.append(data)
        if len(written) > 10:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(RecordWriter, "write", write)
        with pytest.raises(StorageError, match=r"tensorboard/r0-s0-f0: No space left .*track=\[\]"):
            fit(cohort, tmp_path / "full")
    assert "Traceback" not in capfd.readouterr().err
    listener = Silent()
    _, parts = fit(cohort, tmp_path / "full", listener=listener)
    # Two epochs of fold 0 were saved before they were written; one, if the writer was still busy.
    assert listener.rows[0] in {(0, 1), (0, 2)}
    pd.testing.assert_frame_equal(parts.table, plain[1].table, check_exact=True)


def test_a_diverging_fold_is_named_and_the_others_go_on(cohort: Cohort, tmp_path: Path) -> None:
    listener = Silent()
    with pytest.raises(TrainingError, match=r"2 of 2 folds.*step 1, diverges.*optim\.lr=10"):
        fit(cohort, tmp_path, "optim.lr=10", "train.grad_clip=0", "optim.beta2=0",
            "train.epochs=12", "loss.label_smoothing=0.9", listener=listener)  # fmt: skip
    assert listener.states == ["start", "failed", "start", "failed"]


def test_a_recording_keeps_its_own_label_only_when_asked(cohort: Cohort) -> None:
    own = pd.Series([None] * cohort.n_recordings, dtype=object)
    own[0] = "Absent"  # of the Present patient p0
    with_own = dataclasses.replace(cohort, recordings=cohort.recordings.assign(murmur=own))
    device = torch.device("cpu")
    for words, first in (
        ([], [0, 0, 1]),
        (["train.site_labels=false"], [1, 0, 0]),
        (["train.level=patient"], [1, 0, 0]),
    ):
        targets = make_targets(with_own, config(*words).train, device)
        assert targets["murmur"][:2].tolist() == [first, [1, 0, 0]]


def test_sampling_evens_out_the_classes(cohort: Cohort) -> None:
    rows = np.arange(cohort.n_recordings)
    labels = cohort.recordings["patient_id"].map(cohort.patients.set_index("patient_id")["murmur"])
    weights = sampling_weights("murmur", cohort, rows)
    assert weights is not None
    shares = pd.Series(weights).groupby(labels.to_numpy()).sum()
    np.testing.assert_allclose(shares, 1 / 3)
    assert sampling_weights("shuffle", cohort, rows) is None
    with pytest.raises(ConfigError, match=r"train\.sampling 'murmer'.*Did you mean 'murmur'"):
        sampling_weights("murmer", cohort, rows)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "resume.pt").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"cannot read the checkpoint .*resume\.pt"):
        checkpoint.load(tmp_path / "resume.pt")


@pytest.mark.slow
def test_wandb_writes_offline_runs_of_one_group(
    cohort: Cohort, plain: tuple[RunPaths, Predictions], tmp_path: Path
) -> None:
    """Nothing leaves the machine: the runs lie on the disk, and hold every epoch."""
    paths, tracked = fit(cohort, tmp_path, "track=[tensorboard,wandb]")
    pd.testing.assert_frame_equal(tracked.table, plain[1].table)  # tracking changes nothing
    files = sorted((paths.report_folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    names = set()
    for file in files:
        content = file.read_bytes()  # protobuf records one after another, strings as they are
        for tag in (b"Loss/train", b"Accuracy/murmur", b"LearningRate"):
            assert content.count(tag) >= 3
        assert b"optim.lr" in content
        assert b"Confusion/murmur_table" in content
        names |= {name for name in (b"run-r0-s0-f0", b"run-r0-s0-f1") if name in content}
    assert len(names) == 2
