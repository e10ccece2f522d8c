"""Settings of the frame branch: `frames`."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from kfold_hs.config.base import Settings
from kfold_hs.config.data import Name


class FramesConfig(Settings):
    """A network of its own that tells every frame's state of the heart cycle (`frames=cycle`).

    It is trained in each fold on the stretches of its training people that are segmented; what it
    says of a recording is a source of stacking, `cycle`. See `kfold_hs.learn.frames`.

    epochs : passes over the segmented recordings; 0: no frame branch
    lr : the highest rate of its OneCycle schedule
    batch_size : crops a step
    crop_s : length of a training crop
    channels : of its hidden layers
    dropout : share of the channels that are left out in training
    task : whose positive class is a murmur; null: states alone
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    lr: Annotated[float, Field(gt=0, le=10)] = 3e-3
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 32
    crop_s: Annotated[float, Field(ge=1, le=600)] = 6.0
    channels: Annotated[int, Field(ge=4, le=1024)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    task: Name | None = "murmur"

    @pydantic.model_validator(mode="after")
    def _check(self) -> FramesConfig:
        changed = sorted(self.model_fields_set - {"epochs"})
        changed = [n for n in changed if getattr(self, n) != type(self).model_fields[n].default]
        if not self.is_on and changed:
            raise ValueError(
                f"frames.{changed[0]}={getattr(self, changed[0])} is read by a frame branch only, "
                "and frames.epochs=0 trains none: set frames=cycle, or leave it out"
            )
        return self

    @property
    def is_on(self) -> bool:
        return self.epochs > 0
