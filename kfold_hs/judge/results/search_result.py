"""tune.json: what a search found out."""

from __future__ import annotations

from typing import Any

import pydantic

from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.summary import CohortFacts, Provenance, SplitFacts

SCHEMA = 2
"""As the summary's: 2 has other intervals than 1."""


class ObjectiveFacts(JsonPart):
    """What was to be improved."""

    name: str
    label: str
    higher_is_better: bool


class SpaceFacts(JsonPart):
    """The values of every key, by key."""

    space: dict[str, list[Any]]


class TrialFacts(JsonPart):
    """A trial; `estimate` is of its recipe, and None unless it is complete."""

    number: int
    name: str
    state: str
    params: dict[str, Any]
    value: float | None
    estimate: dict[str, Any] | None = None


class Winner(TrialFacts):
    """The best trial; `corrected` is what is left of its value after the choice (BBC-CV)."""

    corrected: dict[str, Any]
    command: str | None = None


class SearchResult(JsonPart):
    """The content of tune.json."""

    schema_: int = pydantic.Field(alias="schema")
    name: str
    objective: ObjectiveFacts
    space: SpaceFacts
    sampler: str
    n_trials: int
    racing: dict[str, Any] = pydantic.Field(default_factory=dict)
    trials: list[TrialFacts]
    winner: Winner
    n_tried: int
    simulated: bool | None = None
    sentence: str
    split: SplitFacts
    cohort: CohortFacts
    n_running: int = 0
    importances: dict[str, float] | None = None
    provenance: Provenance
