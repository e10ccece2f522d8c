"""What a gallery.json must hold for the page to show it: checked where it is read.

A file without its checksum may lack a key or hold another type, which a template would find out
in the middle of a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MEDIA_TYPES = {"ogg": "audio/ogg", "wav": "audio/wav"}
_Count = Annotated[int, Field(ge=0)]
_Number = Annotated[float, Field(ge=0, le=1e5)]
"""Seconds and hertz; the axis has a tick for every second."""
_Prob = Annotated[float, Field(ge=0, le=1 + 1e-6)]
"""A mean of ones may be above 1 by its rounding."""
_State = tuple[_Number, _Number, Annotated[int, Field(ge=1, le=4)]]


class _Part(BaseModel):
    """Keys that are not named here may be there, and are not shown."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _TaskOfAll(_Part):
    n_wrong: _Count
    n_tied: _Count


class _Sound(_Part):
    format: str
    n_left_out: _Count

    @model_validator(mode="after")
    def _check(self) -> _Sound:
        if self.format not in MEDIA_TYPES:
            raise ValueError(self.format)
        return self


class _Model(_Part):
    repeat: _Count
    seed: _Count


class _Tick(_Part):
    hz: _Number
    at: _Prob


class _Task(_Part):
    label: str
    called: str
    probs: dict[str, _Prob]
    loss: float
    rank: _Count


class _Cycle(_Part):
    heart_rate_bpm: float | None
    quality: float | None
    murmur_share: float | None = None


class _Recording(_Part):
    recording_id: str
    site: str
    duration_s: _Number
    start_s: _Number
    end_s: _Number
    label: dict[str, str]
    probs: dict[str, dict[str, _Prob]]
    spectrogram: str
    look: str | None
    peak_s: _Number | None
    peak_hz: _Number | None
    audio: str | None
    states: list[Annotated[_State, Field(strict=False)]] | None = None
    cycle: _Cycle | None = None

    @model_validator(mode="after")
    def _check(self) -> _Recording:
        if (self.peak_s is None) != (self.peak_hz is None):
            raise ValueError("peak")
        return self


class _Patient(_Part):
    patient_id: str
    chosen_for: str
    looked_for: str
    fold: _Count
    covariates: dict[str, str]
    n_more_recordings: _Count
    tasks: dict[str, _Task]
    recordings: list[_Recording]

    @model_validator(mode="after")
    def _check(self) -> _Patient:
        if self.chosen_for not in self.tasks:
            raise ValueError(self.chosen_for)
        for recording in self.recordings:
            for name, task in self.tasks.items():
                if not set(task.probs) <= set(recording.probs.get(name, ())):
                    raise ValueError(name)
        return self


class _Content(_Part):
    n_patients: _Count
    tasks: dict[str, _TaskOfAll]
    model: _Model
    cells: Annotated[list[_Count], Field(min_length=2, max_length=2)] | None
    audio: _Sound | None
    f_min_hz: _Number
    f_max_hz: _Number
    ticks: list[_Tick]
    patients: list[_Patient]


def is_whole(content: Mapping[str, Any]) -> bool:
    """Whether the page can be made of what a gallery.json without a problem holds."""
    try:
        _Content.model_validate(dict(content))
    except ValidationError:
        return False
    return True
