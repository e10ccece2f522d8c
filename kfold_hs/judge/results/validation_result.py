"""validation.json: what an external validation found out (`judge.results.validation`)."""

from __future__ import annotations

from typing import Any

import pydantic

from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.summary import CohortFacts, Provenance

SCHEMA = 1


class ValidatedTask(JsonPart):
    """A task of the bundle on the people of the other cohort.

    `metrics` by name: external, internal, change, verdict; `decided` the same of what the class
    weights and the threshold of the bundle call; `conformal` the coverage of its sets and
    of each class; `versions` of the probabilities by name: their calibration; `recalibration` is
    what fitting on all these people would give.
    """

    source: str
    classes: list[str]
    positive: str
    class_map: dict[str, str]
    left_out: list[dict[str, Any]]
    n_persons: int
    n_patients: int
    counts: dict[str, int]
    metrics: dict[str, dict[str, Any]]
    decided: dict[str, dict[str, Any]]
    conformal: dict[str, Any] | None
    confusion: list[list[int]]
    versions: dict[str, dict[str, Any]]
    recalibration: dict[str, Any]
    linear_predictor: dict[str, Any]
    internal: dict[str, Any] | None


class People(JsonPart):
    """Who of the cohort was scored, and what became of those known to the bundle.

    `n_known_persons` are those whom a model was trained on; `n_test_persons` are in the certificate
    and in no training; `n_same_ids` have an id of the certificate, and were taken for new.
    """

    handling: str
    match: str
    n_persons: int
    n_known_persons: int
    n_test_persons: int
    n_same_ids: int
    n_scored_persons: int
    n_scored_patients: int


class Validation(JsonPart):
    """The content of validation.json.

    `headline` says what its sentences lead with: key, label, metric, tasks (of these, those that
    were compared), is_decided.
    """

    schema_: int = pydantic.Field(alias="schema")
    name: str
    run: str
    simulated: bool
    simulated_models: bool = False
    honest: bool
    headline: dict[str, Any] = pydantic.Field(default_factory=dict)
    sentences: list[str]
    tasks: dict[str, ValidatedTask]
    not_compared: list[dict[str, Any]]
    people: People
    side_by_side: list[dict[str, Any]]
    cohort: CohortFacts
    provenance: Provenance
