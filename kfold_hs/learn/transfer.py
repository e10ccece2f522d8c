"""From numpy to the device without waiting for it."""

from __future__ import annotations

import numpy as np
import torch


def to_device(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """A tensor on `device`.

    For CUDA by way of pinned memory: a copy from elsewhere would wait until all steps before
    it are done.
    """
    tensor = torch.from_numpy(values)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
