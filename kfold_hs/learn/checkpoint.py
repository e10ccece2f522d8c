"""Model files: plain tensors and plain values, loadable with ``weights_only=True``.

best_model.pt and last.pt hold
    epoch, model_state_dict, optimizer_state_dict, val_acc, val_loss, config, tasks,
    place (repeat, seed, fold), digests (config, cohort, split)
resume.pt holds what the training loop needs to go on after its epoch.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kfold_hs.errors import TrainingError
from kfold_hs.paths import write_bytes


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
    write_bytes(path, buffer.getbuffer())


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises
    ------
    TrainingError
        The file is missing or is not a checkpoint of kfold-hs.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file can make the reader stumble in any way
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(f"cannot read the checkpoint {path}: {text}.") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path} is not a checkpoint of kfold-hs.")
    return content


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
