"""What a fold writes for TensorBoard, one event file a fold.

Loss/train, Loss/val, Accuracy/<task>, LearningRate, by epoch (from 1), and the
configuration as text.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class TensorBoardTracker:
    """Scalars of one fold.

    Parameters
    ----------
    folder : Path
        The fold's own folder of events.
    config_yaml : str
        The run's configuration.
    start_epoch : int
        First epoch that will be written, from 0. At 0 what lies there is removed; later,
        TensorBoard is told to forget what an interrupted run wrote past it.
    """

    def __init__(self, folder: Path, config_yaml: str, start_epoch: int) -> None:
        if start_epoch == 0:
            shutil.rmtree(folder, ignore_errors=True)
        purge = start_epoch + 1 if start_epoch else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        if start_epoch == 0:
            self._writer.add_text("config", f"```yaml\n{config_yaml}\n```")

    def epoch(self, row: Mapping[str, float]) -> None:
        """Write one row of the history (see `kfold_hs.learn.fit`)."""
        step = int(row["epoch"]) + 1
        self._writer.add_scalar("Loss/train", row["train_loss"], step)
        self._writer.add_scalar("Loss/val", row["val_loss"], step)
        for name, value in row.items():
            if name.startswith("acc."):
                self._writer.add_scalar(f"Accuracy/{name.removeprefix('acc.')}", value, step)
        self._writer.add_scalar("LearningRate", row["lr"], step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
