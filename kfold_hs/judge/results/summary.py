"""summary.json: everything that a run found out, in numbers that a program can read.

Every estimate holds value, low, high, level, method and target; null stands where nothing is
known. Beside a metric's estimate, which is the recipe's, stand these_models, the estimate of the
models as they are, variance, the parts of the recipe's (person, class_shares, fold_model,
reciprocal, and their sum), and budget, where the uncertainty comes from and what lessens it. With
select=best, every target says "optimistic".

What code reads has a type here; what only pages show is kept as it is, also where a later version
wrote it. A file of an earlier version lacks some keys: they have defaults, and stay absent when the
summary is written again. `schema` rises when numbers of one name mean something else: 2 has other
intervals than 1, which were too narrow where models are near chance.
"""

from __future__ import annotations

from typing import Any, Self

import pydantic

from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.sources_result import Sources

SCHEMA = 2


class Select(JsonPart):
    """The rule for the epoch that counts; `honest` is False for what chose on the scored people."""

    rule: str
    text: str
    honest: bool


class Headline(JsonPart):
    """The score that the run leads with (setting `headline`), in a sentence and as numbers.

    `key` names it (mean.accuracy, murmur.auroc), `label` says it in words; `lowest` and `highest`
    are what it can be, None where there is no bound; `chance` is what a guess scores that knows the
    class shares alone, None where there is no such number. Without a `target` the `verdict` is
    None. Of imported predictions `honest` is None: how the models were chosen is not known.
    """

    sentence: str
    value: float | None
    low: float | None
    high: float | None
    verdict: str | None
    honest: bool | None
    key: str = "mean.accuracy"
    label: str = "accuracy, mean of the tasks"
    metric: str = "accuracy"
    tasks: list[str] = pydantic.Field(default_factory=list)
    higher_is_better: bool = True
    lowest: float | None = 0.0
    highest: float | None = 1.0
    chance: float | None = None
    target: float | None = None


class TaskResult(JsonPart):
    """A task: its metrics by name, and its confusion matrix, a row a label."""

    classes: list[str]
    positive: str
    n_patients: int
    metrics: dict[str, dict[str, Any]]
    confusion: list[list[int]]


class FoldResult(JsonPart):
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


class MissingFold(JsonPart):
    """A fold that no model was scored on, and why, where that is known."""

    repeat: int
    seed: int
    fold: int
    cause: str | None = None


class SplitFacts(JsonPart):
    """The split; `train_share` of the people is what every model trained on, in (0, 1].

    None where imported predictions do not say it.
    """

    n_folds: int | None
    n_repeats: int
    digest: str
    train_share: float | None


class CohortFacts(JsonPart):
    """Whose recordings they are."""

    name: str
    n_persons: int
    n_patients: int


class Provenance(JsonPart):
    """How the run came about; what it rests on by name -> digest."""

    run: str
    digests: dict[str, str]
    versions: dict[str, str]
    started: str


class Summary(JsonPart):
    """The content of summary.json; a key that a file lacks is not written either."""

    schema_: int = pydantic.Field(alias="schema")
    run: str
    simulated: bool | None = None
    imported: dict[str, Any] | None = None
    select: Select | None = None
    headline: Headline
    target: dict[str, Any]
    variance: dict[str, float] | None = None
    budget: dict[str, Any] | None = None
    stacking: dict[str, Any] = pydantic.Field(default_factory=dict)
    tasks: dict[str, TaskResult]
    beside: dict[str, Any] = pydantic.Field(default_factory=dict)
    seeds: list[dict[str, Any]] = pydantic.Field(default_factory=list)
    folds: list[FoldResult]
    effort: dict[str, Any] = pydantic.Field(default_factory=dict)
    incomplete: list[MissingFold] = pydantic.Field(default_factory=list)
    learning: dict[str, Any] = pydantic.Field(default_factory=dict)
    optimism: dict[str, Any] = pydantic.Field(default_factory=dict)
    choices: dict[str, Any] = pydantic.Field(default_factory=dict)
    curves: dict[str, Any] = pydantic.Field(default_factory=dict)
    abstention: dict[str, Any] = pydantic.Field(default_factory=dict)
    subgroups: dict[str, Any] | None = None
    tried: dict[str, Any] = pydantic.Field(default_factory=dict)
    cohort: CohortFacts
    split: SplitFacts
    provenance: Provenance
    flow: dict[str, Any] = pydantic.Field(default_factory=dict)
    characteristics: dict[str, Any] = pydantic.Field(default_factory=dict)
    nested: dict[str, Any] | None = None
    sources: Sources | None = None
    segmentation: dict[str, Any] | None = None

    def extended(self, **parts: Any) -> Self:
        """With more keys, or other values of these."""
        return self.from_json(self.to_json() | parts)
