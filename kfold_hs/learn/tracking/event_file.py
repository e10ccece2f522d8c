"""An event file of TensorBoard, written in place and in order.

torch's SummaryWriter hands its events to a thread. When the disk is full that thread dies with a
traceback of its own, and a fold learns of it later or not at all. Here the writer gets
the error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from kfold_hs.errors import StorageError


class EventFile:
    """Events of one folder, as TensorBoard reads them.

    Parameters
    ----------
    folder : Path
        Made if it is not there; TensorBoard calls it a run.
    purge_step : int, optional
        TensorBoard forgets what earlier files of the folder say of this step and later ones.

    Raises
    ------
    StorageError
        By every method, when there is no room or no permission.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self._folder = folder
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        with self._as_storage_error():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        start: dict[str, Any] = {}
        if purge_step is not None:
            start = {"step": purge_step, "session_log": SessionLog(status=SessionLog.START)}
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if start:
            self._write(Event(wall_time=time.time(), **start))
        self.flush()

    def add(self, summary: Summary, step: int = 0) -> None:
        """Write what a summary of `torch.utils.tensorboard.summary` holds."""
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        with self._as_storage_error():
            self._file.flush()

    def close(self) -> None:
        with self._as_storage_error():
            self._file.close()

    def _write(self, event: Event) -> None:
        with self._as_storage_error():
            self._records.write(event.SerializeToString())

    @contextlib.contextmanager
    def _as_storage_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write TensorBoard's events in {self._folder}: "
                f"{error.strerror or error}. Free some space, or leave them out with track=[], and "
                "repeat the same command, which continues where it stopped."
            ) from error
