"""The network in training steps, compiled by torch (Ansel et al., "PyTorch 2", ASPLOS 2024).

Apart from `step`, because torch's compiler takes a second to load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from kfold_hs.errors import ConfigError
from kfold_hs.learn.models.network import HeartSoundNet

BACKEND = "inductor"
"""Of torch.compile: writes C++ for the CPU and Triton for CUDA."""


MOST_NETWORKS = 100_000
"""Times shapes of batches, in one process."""


def compiled(model: HeartSoundNet, backbone: str) -> Callable[..., dict[str, torch.Tensor]]:
    """`model` as a function that torch compiles at the first batch, whole or not at all.

    The model itself stays as it was, and shares its weights.

    Raises
    ------
    ConfigError
        By the function: torch cannot compile this network here.
    """
    # By default the ninth network of a process is refused; a search has as many as trials.
    torch._dynamo.config.recompile_limit = MOST_NETWORKS
    torch._dynamo.config.accumulated_recompile_limit = MOST_NETWORKS
    function = torch.compile(model, backend=BACKEND, fullgraph=True)

    def forward(*inputs: Any) -> dict[str, torch.Tensor]:
        try:
            logits: dict[str, torch.Tensor] = function(*inputs)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(
                f"train.backend=compile: torch cannot compile model.backbone={backbone} here: "
                f"{reason}. On the CPU it takes a C++ compiler; or set train.backend=eager."
            ) from error
        return logits

    return forward
