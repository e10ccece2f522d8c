"""Model files: plain tensors and plain values, loadable with ``weights_only=True``.

`save` writes one at once. A training hands them to a `Writer`, which copies what they hold and
writes while the next epoch is trained.

best_model.pt and last.pt hold
    epoch, model_state_dict, optimizer_state_dict, val_acc, val_loss, config, tasks,
    place (repeat, seed, fold), digests (config, cohort, split)
resume.pt holds what the training loop needs to go on after its epoch.
"""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from kfold_hs.errors import DamagedFileError, TrainingError
from kfold_hs.files import stored
from kfold_hs.files.paths import remove, write_bytes

_WHAT = "the checkpoint"
_RESUMABLE = ("model", "averaged", "optimizer", "history", "kept", "digests")


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    StorageError
        No room or no permission; a checkpoint that was there before stays.
    """
    # By way of memory: torch's own writer hides why the disk refused.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # Not getbuffer(): an error of the disk keeps the view alive, and Python 3.12 crashes on that.
    write_bytes(path, buffer.getvalue(), True)


class Writer:
    """Writes checkpoints in a thread of its own, in the order in which they come.

    Leaving the block waits for the last of them. After one that could not be written no other
    is: what is on the disk is what it would be had the training stopped there.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._under_way: Future[None] | None = None
        self._fault: Exception | None = None

    @property
    def is_busy(self) -> bool:
        """Whether `save` would have to wait."""
        return self._under_way is not None and not self._under_way.done()

    def save(self, files: Mapping[Path, dict[str, Any]]) -> None:
        """As `save` above, one after another, of what they hold now; waits for earlier ones.

        Raises
        ------
        StorageError
            One of these or of earlier ones could not be written.
        """
        if self._under_way is not None:  # so that slow disks do not fill the memory
            self._under_way.result()
        self._tell()
        copies = {path: snapshot(content) for path, content in files.items()}
        self._under_way = self._thread.submit(self._write, copies, _copying())

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:  # one that is on its way already is not replaced
            self._tell()

    def _write(self, files: Mapping[Path, dict[str, Any]], wait: Callable[[], None]) -> None:
        if self._fault is not None:
            return
        try:
            wait()
            for path, content in files.items():
                save(path, content)
        except Exception as fault:  # told where the training is, not here
            self._fault = fault

    def _tell(self) -> None:
        if self._fault is not None:
            raise self._fault


def snapshot(value: Any) -> Any:
    """A copy on the CPU that the training no longer changes: tensors, and all that hold them.

    From a GPU it is being copied, in the order of what is computed there: who reads it waits for
    the GPU first, as a `Writer` does.
    """
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        if tensor.device.type == "cpu":
            return tensor.clone()
        place = torch.empty_like(tensor, device="cpu", pin_memory=True)
        return place.copy_(tensor, non_blocking=True)
    if isinstance(value, list):
        return [snapshot(each) for each in value]
    if isinstance(value, dict):
        copied = copy.copy(value)  # a state dict keeps its versions
        copied.update({key: snapshot(each) for key, each in value.items()})
        return copied
    return value


def _copying() -> Callable[[], None]:
    """What waits until the copies that were begun until now are done."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return lambda: None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event.synchronize


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises
    ------
    TrainingError
        The file is missing or is not a checkpoint of kfold-hs.
    """
    try:
        return _read(path, device)
    except DamagedFileError as error:
        raise TrainingError(str(error)) from error


def load_resumable(
    path: Path, device: torch.device, digests: Mapping[str, str]
) -> dict[str, Any] | None:
    """What an interrupted training left; None where there is nothing, or nothing whole.

    Raises
    ------
    TrainingError
        It stands on something else.
    """
    if not path.exists():
        return None
    try:
        state = _read(path, device)
        with stored.parsing(path, _WHAT):
            found = {name: state[name] for name in _RESUMABLE}
            check_digests(path, found["digests"], digests)
            return found
    except DamagedFileError as error:
        stored.warn(f"{path} is damaged ({error.fault}): the fold is trained from its start.")
        remove(path)
        return None


def _read(path: Path, device: torch.device | str) -> dict[str, Any]:
    raw = stored.read_bytes(path, _WHAT)
    with stored.parsing(path, _WHAT):
        _check_zip(raw)
        content = torch.load(io.BytesIO(raw), map_location=device, weights_only=True)
        if not isinstance(content, dict):
            raise ValueError("it is not a checkpoint of kfold-hs")
        return content


def _check_zip(raw: bytes) -> None:
    """Refuse an archive that holds more than it has: torch stores tensors as they are."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for each in archive.infolist():
            if each.compress_type != zipfile.ZIP_STORED or each.file_size > len(raw):
                raise ValueError(f"{each.filename} is packed, which torch does not do")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def check_digests(path: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse a file that stands on another configuration, cohort, split or features.

    Raises
    ------
    TrainingError
        With both digests.
    """
    for name, digest in wanted.items():
        if found.get(name) != digest:
            raise TrainingError(
                f"{path} belongs to the {name} {found.get(name, 'none')[:16]}, and this run has "
                f"{digest[:16]}. Remove {path.parent}, or give this run another --name."
            )
