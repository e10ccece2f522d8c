"""The job of `kfold-hs run --folds 5`, written the ways that users write it now.

    python tests/bench/contenders.py loop|skorch|lightning TABLE BACKBONE EPOCHS

From a table of WAV recordings to the out-of-fold AUROC of a person-grouped 5-fold
cross-validation, which is printed last. All train the same network on crops of 256 frames of the
same log-mel features, one a recording an epoch, in batches of 32, by AdamW, OneCycle to 1e-3 and
weighted cross-entropy, without augmentation, and predict every fold's held-out recordings from all
of their crops after every epoch; skorch inside scikit-learn's `cross_validate` does so after the
last one only, which is less work.

Needs the extra `bench`.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import timm
import torch
import torchaudio
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_validate
from torch import nn
from torch.utils.data import DataLoader, Dataset

CROP, BATCH, LR, FOLDS = 256, 32, 1e-3, 5
CLASSES = ["Present", "Unknown", "Absent"]
WEIGHTS = torch.tensor([3.0, 2.0, 1.0])


@dataclass(frozen=True)
class Job:
    """How the job is done; on a GPU in bfloat16.

    n_folds : how many of the five folds are trained
    """

    device: str = "cpu"
    n_workers: int = 2
    n_folds: int = FOLDS

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")


HERE = Job()


class Recordings:
    """The table: files, labels and persons of all recordings."""

    def __init__(self, path: Path, job: Job = HERE) -> None:
        self.job = job
        table = pd.read_csv(path)
        self.files = [path.parent / name for name in table["recording"]]
        self.y = np.array([CLASSES.index(label) for label in table["murmur"]])
        self.patients = table["patient_id"].to_numpy()
        self.persons = table["person_id"].to_numpy()
        self.n_patients = len(set(self.patients))

    def folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rule = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
        return islice(rule.split(self.files, self.y, self.persons), self.job.n_folds)

    def auroc(self, scores: np.ndarray) -> float:
        """Of Present, over patients; a patient is the mean of its recordings."""
        each = pd.DataFrame({"p": self.patients, "y": self.y == 0, "score": scores})
        each = each.dropna().groupby("p")  # of the folds that were trained
        return float(roc_auc_score(each["y"].max(), each["score"].mean()))


class LogMel(nn.Module):
    """(n_samples,) -> (64, n_frames), mean 0 and variance 1."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            4000, n_fft=512, win_length=200, hop_length=80, f_min=20, f_max=1000, n_mels=64
        )
        self.db = torchaudio.transforms.AmplitudeToDB(top_db=80)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        level = self.db(self.mel(wave))
        return (level - level.mean()) / level.std()


def read(path: Path, features: LogMel) -> torch.Tensor:
    samples, _ = soundfile.read(path, dtype="float32")
    return features(torch.from_numpy(samples))


def random_crop(x: torch.Tensor) -> torch.Tensor:
    start = int(torch.randint(max(1, x.shape[1] - CROP + 1), ()))
    return padded(x[:, start : start + CROP])[None]


def all_crops(x: torch.Tensor) -> torch.Tensor:
    room = max(0, x.shape[1] - CROP)
    starts = np.linspace(0, room, -(-room // CROP) + 1).round().astype(int)
    return torch.stack([padded(x[:, start : start + CROP]) for start in starts])[:, None]


def padded(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.pad(x, (0, CROP - x.shape[1]))


def network(backbone: str) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(backbone, in_chans=1, num_classes=len(CLASSES), drop_rate=0.2)


class Sounds(Dataset):  # type: ignore[type-arg]
    """Examples: a random crop of a recording, or all of its crops; `get` gives its features."""

    def __init__(
        self, recordings: Recordings, rows: np.ndarray, get: Callable[[int], Any], train: bool
    ) -> None:
        self.recordings, self.rows, self.get, self.train = recordings, rows, get, train

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, k: int) -> tuple[torch.Tensor, int]:
        row = int(self.rows[k])
        x = self.get(row)
        return random_crop(x) if self.train else all_crops(x), int(self.recordings.y[row])


def together(items: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """A batch of all crops of recordings, their labels, and how many crops each has."""
    crops, labels = zip(*items, strict=True)
    return torch.cat(crops), torch.tensor(labels), [len(each) for each in crops]


def loaders(
    recordings: Recordings, train: np.ndarray, held_out: np.ndarray, get: Callable[[int], Any]
) -> tuple[DataLoader, DataLoader]:  # type: ignore[type-arg]
    return (
        DataLoader(
            Sounds(recordings, train, get, True), BATCH, shuffle=True, drop_last=True,
            num_workers=recordings.job.n_workers, persistent_workers=True,
            pin_memory=recordings.job.device == "cuda",
        ),
        DataLoader(
            Sounds(recordings, held_out, get, False), BATCH, collate_fn=together,
            num_workers=recordings.job.n_workers, persistent_workers=True,
            pin_memory=recordings.job.device == "cuda",
        ),
    )  # fmt: skip


def present(logits: torch.Tensor, counts: list[int]) -> np.ndarray:
    """P(Present) of recordings, the mean of their crops."""
    found = logits.float().softmax(1)[:, 0].cpu()
    return np.array([float(each.mean()) for each in found.split(counts)])


def loop(recordings: Recordings, backbone: str, epochs: int) -> float:
    """A Dataset that reads and transforms in `__getitem__`, and a loop over folds."""
    features, job = LogMel(), recordings.job
    scores = np.full(len(recordings.y), np.nan)
    criterion = nn.CrossEntropyLoss(WEIGHTS).to(job.device)
    for train, held_out in recordings.folds():
        batches, heard = loaders(
            recordings, train, held_out, lambda row: read(recordings.files[row], features)
        )
        model = network(backbone).to(job.device)
        optimizer = torch.optim.AdamW(model.parameters(), LR)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LR, epochs=epochs, steps_per_epoch=len(batches)
        )
        for _ in range(epochs):
            model.train()
            for x, y in batches:
                optimizer.zero_grad()
                with job.autocast():
                    logits = model(x.to(job.device, non_blocking=True))
                criterion(logits.float(), y.to(job.device, non_blocking=True)).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                schedule.step()
            model.eval()
            with torch.no_grad(), job.autocast():
                each = [present(model(x.to(job.device)), counts) for x, _, counts in heard]
        scores[held_out] = np.concatenate(each)
    return recordings.auroc(scores)


def skorch(recordings: Recordings, backbone: str, epochs: int) -> float:
    """skorch's classifier in scikit-learn's `cross_validate`, on arrays that lie in memory.

    An array has one row a recording, so that it holds the first crop of each, and that is
    what is learnt from and what is scored.
    """
    from skorch import NeuralNetClassifier
    from skorch.callbacks import GradientNormClipping, LRScheduler

    features = LogMel()
    x = np.stack([padded(read(f, features)[:, :CROP])[None].numpy() for f in recordings.files])
    net = NeuralNetClassifier(
        network,
        module__backbone=backbone,
        criterion=nn.CrossEntropyLoss,
        criterion__weight=WEIGHTS,
        optimizer=torch.optim.AdamW,
        lr=LR,
        max_epochs=epochs,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        iterator_train__drop_last=True,
        train_split=None,
        verbose=0,
        callbacks=[
            GradientNormClipping(5.0),
            LRScheduler(
                torch.optim.lr_scheduler.OneCycleLR, max_lr=LR, epochs=epochs, step_every="batch",
                steps_per_epoch=int(len(x) * (1 - 1 / FOLDS)) // BATCH + 1,
            ),
        ],
    )  # fmt: skip
    found = cross_validate(
        net, x, recordings.y, cv=list(recordings.folds()), error_score="raise",
        scoring=make_scorer(_present_auroc, response_method="predict_proba"),
    )  # fmt: skip
    return float(found["test_score"].mean())


def _present_auroc(y: np.ndarray, prob: np.ndarray) -> float:
    return float(roc_auc_score(y == 0, prob[:, 0]))


def lightning(recordings: Recordings, backbone: str, epochs: int) -> float:
    """Lightning's Trainer in a loop over folds, on features that lie in memory."""
    import lightning as L  # noqa: N812
    from lightning.pytorch.loggers import CSVLogger

    class Module(L.LightningModule):
        def __init__(self, n_batches: int) -> None:
            super().__init__()
            self.net, self.n_batches = network(backbone), n_batches
            self.criterion = nn.CrossEntropyLoss(WEIGHTS)
            self.found: list[np.ndarray] = []

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            loss: torch.Tensor = self.criterion(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def on_validation_epoch_start(self) -> None:
            self.found = []

        def validation_step(self, batch: Any, _: int) -> None:
            x, _, counts = batch
            self.found.append(present(self.net(x), counts))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), LR)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, LR, epochs=epochs, steps_per_epoch=self.n_batches
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    warnings.filterwarnings("ignore")
    features = LogMel()
    job, bank = recordings.job, [read(path, features) for path in recordings.files]
    scores = np.full(len(recordings.y), np.nan)
    with tempfile.TemporaryDirectory() as folder:
        for train, held_out in recordings.folds():
            batches, heard = loaders(recordings, train, held_out, bank.__getitem__)
            module = Module(len(batches))
            trainer = L.Trainer(
                max_epochs=epochs, accelerator=job.device, gradient_clip_val=5.0, devices=1,
                precision="bf16-mixed" if job.device == "cuda" else "32-true",
                logger=CSVLogger(folder), default_root_dir=folder, num_sanity_val_steps=0,
                enable_progress_bar=False, enable_model_summary=False,
            )  # fmt: skip
            trainer.fit(module, batches, heard)
            scores[held_out] = np.concatenate(module.found)
    return recordings.auroc(scores)


CONTENDERS = {"loop": loop, "skorch": skorch, "lightning": lightning}


if __name__ == "__main__":
    name, table, backbone, epochs = sys.argv[1:]
    print(CONTENDERS[name](Recordings(Path(table)), backbone, int(epochs)))
