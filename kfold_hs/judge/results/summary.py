"""summary.json: everything that a run found out, in numbers that a program can read.

Every estimate holds value, low, high, level, method and target; null stands where nothing can be
told. Beside a metric's estimate, which is the recipe's, stand these_models, the estimate of the
models as they are, and budget, where the uncertainty comes from. With select=best, every target
says "optimistic".

What code reads has a type here; what only pages show is kept as it is, also where a later version
wrote it. A file of an earlier version lacks some keys: they have defaults, and stay absent when the
summary is written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pydantic

SCHEMA = 1


class _Part(pydantic.BaseModel):
    """A part of a JSON file: exact types, and keys that only pages show, in their order."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True, extra="allow")
    _keys: tuple[str, ...] = ()

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(cls, content: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        found = handler(content)
        if isinstance(content, dict):
            found._keys = tuple(content)
        return found

    @pydantic.model_serializer(mode="wrap")
    def _write(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = handler(self)
        return {key: found[key] for key in self._keys}


class Select(_Part):
    """The rule for the epoch that counts; `honest` is False for what chose on the scored people."""

    rule: str
    text: str
    honest: bool


class Headline(_Part):
    """The mean of the tasks' accuracies, in a sentence and as numbers in [0, 1]."""

    sentence: str
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    honest: bool


class TaskResult(_Part):
    """A task: its metrics by name, and its confusion matrix, a row a label."""

    classes: list[str]
    positive: str
    n_patients: int
    metrics: dict[str, dict[str, Any]]
    confusion: list[list[int]]


class FoldResult(_Part):
    """What became of a fold model; epochs count from 0."""

    repeat: int
    seed: int
    fold: int
    n_patients: int
    kept_epoch: int
    best_epoch: int
    overfitting_since: int | None
    seconds: float
    joules: float | None = None
    accuracies: dict[str, float]


class MissingFold(_Part):
    """A fold that no model was scored on, and why, where that is known."""

    repeat: int
    seed: int
    fold: int
    cause: str | None = None


class SplitFacts(_Part):
    """The split; `train_share` of the people is what every model trained on, in (0, 1]."""

    n_folds: int
    n_repeats: int
    digest: str
    train_share: float


class CohortFacts(_Part):
    """Whose recordings they are."""

    name: str
    n_persons: int
    n_patients: int


class Provenance(_Part):
    """How the run came about; what it rests on by name -> digest."""

    run: str
    digests: dict[str, str]
    versions: dict[str, str]
    started: str


class Summary(_Part):
    """The content of summary.json; a key that a file lacks is not written either."""

    schema_: int = pydantic.Field(alias="schema")
    run: str
    simulated: bool | None = None
    select: Select | None = None
    headline: Headline
    target: dict[str, Any]
    budget: dict[str, Any] | None = None
    stacking: dict[str, Any] = {}
    tasks: dict[str, TaskResult]
    beside: dict[str, Any] = {}
    seeds: list[dict[str, Any]] = []
    folds: list[FoldResult]
    effort: dict[str, Any] = {}
    incomplete: list[MissingFold] = []
    learning: dict[str, Any] = {}
    optimism: dict[str, Any] = {}
    choices: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    subgroups: dict[str, Any] | None = None
    tried: dict[str, Any] = {}
    cohort: CohortFacts
    split: SplitFacts
    provenance: Provenance
    tripod: list[dict[str, Any]] = []
    nested: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what a file holds.

        Raises
        ------
        ValueError
            A key is missing, or a value has another type; the message names the first.
        """
        try:
            return cls.model_validate(dict(content))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}") from None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the file holds them."""
        return self.model_dump(by_alias=True)

    def extended(self, **parts: Any) -> Self:
        """With more keys, or other values of these."""
        return self.from_json(self.to_json() | parts)
