"""What summary.json says of a run that held out one source at a time, with types."""

from __future__ import annotations

from typing import Any

from kfold_hs.judge.results.json_part import JsonPart


class SourceRow(JsonPart):
    """One source, held out from one model; estimates of every task and metric by name."""

    source: str
    fold: int
    n_persons: int
    n_patients: int
    mean_accuracy: dict[str, Any]
    tasks: dict[str, dict[str, dict[str, Any]]]


class NextSource(JsonPart):
    """What to expect of a further source, on the metric's own scale.

    `value` is the mean over all sources with its interval (`mean_low`, `mean_high`), `low` and
    `high` the prediction interval. About two thirds of sources lie between `spread_low` and
    `spread_high`. `tau` is on the logit scale; `i2` the share of the differences that chance among
    people does not explain, `p` of the sources being equally good. None where nothing can be told;
    `method` says why.
    """

    label: str
    n_sources: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    spread_low: float | None = None
    spread_high: float | None = None
    tau: float | None = None
    i2: float | None = None
    p: float | None = None
    method: str


class Sources(JsonPart):
    """Every source that a run held out, and the next one; `missing` have no model yet."""

    column: str
    n_in_several: int
    sentence: str
    rows: list[SourceRow]
    missing: list[str]
    mean_accuracy: NextSource
    next: dict[str, dict[str, NextSource]]
