"""comparison.json: what a comparison found out."""

from __future__ import annotations

from typing import Any

import pydantic

from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.summary import CohortFacts, Provenance, SplitFacts

SCHEMA = 2
"""As the summary's: 2 has other intervals than 1."""


class VariantFacts(JsonPart):
    """A variant: its run, and the run whose models predicted, where it was not trained."""

    name: str
    levels: list[str]
    run: str
    digest: str
    predicted_with: str | None = None
    honest: bool | None = None


class Comparison(JsonPart):
    """The content of comparison.json; `headline` and `tasks` are `compare_variants`'s."""

    schema_: int = pydantic.Field(alias="schema")
    name: str
    factors: list[str]
    baseline: str
    headline: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    variants: list[VariantFacts]
    simulated: bool | None = None
    imported: dict[str, Any] | None = None
    decided: bool | None = None
    different_folds: dict[str, Any] | None = None
    leaking: dict[str, Any] = pydantic.Field(default_factory=dict)
    sentences: list[str]
    flips: dict[str, Any] = pydantic.Field(default_factory=dict)
    learning: dict[str, Any] = pydantic.Field(default_factory=dict)
    split: SplitFacts
    cohort: CohortFacts
    provenance: Provenance
