"""What a run leads with: one score (`judge.selection.objective`), and its target.

The score is the user's (``headline=murmur.auroc``); by default it is the mean of the tasks'
accuracies. A target is judged only where one is set, with the headline's metric: reached where the
whole interval lies at it or on its better side, not reached where all of it lies on the worse side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, enumerated
from kfold_hs.judge.metrics.challenge2022 import class_costs
from kfold_hs.judge.metrics.own import using
from kfold_hs.judge.results.baselines import best_referral
from kfold_hs.judge.results.sentences import number, says_alike
from kfold_hs.judge.selection.decisions import abnormal_of
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.estimates import Basis, persons_of_rarest
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.predictions.table import Predictions


def check_judging(config: Config) -> Objective:
    """The headline of a run, refused before hours of training where it cannot be judged.

    Raises
    ------
    ConfigError
        There is no such task or metric, or the target is outside of the metric's range.
    """
    classes = {name: task.classes for name, task in config.data.tasks.items()}
    with using(config.plugins):
        objective = Objective.of(config.headline, classes, "headline")
    check_target(config.target, objective)
    return objective


def check_target(target: float | None, objective: Objective) -> None:
    """Refuse a target that the score cannot reach, or cannot miss.

    Raises
    ------
    ConfigError
        With the bounds.
    """
    lowest, highest = objective.bounds
    if target is not None and not lowest < target < highest:
        raise ConfigError(
            f"target={target:g} is no {objective.label} to reach: give one above {lowest:g} and "
            f"below {highest:g}."
        )


def verdict(estimate: Estimate, target: float, higher_is_better: bool = True) -> str:
    """reached, not reached or cannot tell: the whole interval decides, not the value."""
    if estimate.low is None or estimate.high is None:
        return "cannot tell"
    sign = 1 if higher_is_better else -1
    worst, best = sorted((sign * estimate.low, sign * estimate.high))
    if worst >= sign * target:
        return "reached"
    return "not reached" if best < sign * target else "cannot tell"


@dataclass(frozen=True, eq=False)
class Answer:
    """The score that a run leads with.

    Parameters
    ----------
    objective : Objective
    found : Influence
        Of the score.
    recipe, fixed : Estimate
        Of the recipe and of these models.
    each : mapping
        Task -> its estimate of the recipe.
    chance : float or None
        What a guess scores that knows the shares of the classes alone; None where there is no such
        number.
    target : float or None
    alike : str
        Says so where the models call everybody, or nearly, the same; empty otherwise, and where
        the score is of another decision.
    """

    objective: Objective
    found: Influence
    recipe: Estimate
    fixed: Estimate
    each: Mapping[str, Estimate]
    chance: float | None
    target: float | None = None
    alike: str = ""

    @classmethod
    def of(
        cls,
        objective: Objective,
        selected: Selected,
        basis: Basis,
        tasks: Mapping[str, Any],
        target: float | None,
    ) -> Answer:
        """Of the rows that are scored.

        Parameters
        ----------
        tasks : mapping
            The summary's, with `decided`.
        """
        kept, names = selected.scored, objective.tasks
        found = objective.influence(kept, selected.positives, basis.layout)
        each = {task: _of_table(objective, tasks[task]) for task in names}
        recipe, fixed = each[names[0]]
        if len(names) > 1:
            n = basis.layout.n_persons
            if not objective.first.is_proportion:
                n = min(persons_of_rarest(kept.y_true(t), basis.layout.person) for t in names)
            recipe, fixed = basis.estimates(found, n)
        known = [guessed(objective.plain, kept, task, selected.positives[task]) for task in names]
        defined = [one for one in known if one is not None]
        chance = float(np.mean(defined)) if len(defined) == len(known) else None
        recipes = {task: one for task, (one, _) in each.items()}
        alike = "" if objective.is_decided else says_alike({task: tasks[task] for task in names})
        return cls(objective, found, recipe, fixed, recipes, chance, target, alike)

    def verdict(self, estimate: Estimate) -> str | None:
        """Of the target; None where there is none."""
        if self.target is None:
            return None
        return verdict(estimate, self.target, self.objective.higher_is_better)

    def to_json(self, sentence: str, honest: bool | None) -> dict[str, Any]:
        """`Headline`."""
        one = self.objective
        lowest, highest = (float(end) if np.isfinite(end) else None for end in one.bounds)
        return {
            "sentence": sentence,
            "value": self.recipe.value,
            "low": self.recipe.low,
            "high": self.recipe.high,
            "these_models": dataclasses.asdict(self.fixed),
            "verdict": self.verdict(self.recipe),
            "honest": honest,
            "key": one.key,
            "label": one.label,
            "metric": one.metric,
            "tasks": list(one.tasks),
            "higher_is_better": one.higher_is_better,
            "lowest": lowest,
            "highest": highest,
            "chance": self.chance,
            "target": self.target,
        }

    def of_target(self, noise: Mapping[str, Any]) -> dict[str, Any]:
        """The summary's `target`: every task's estimate and verdict.

        `noise` (task -> `label_noise`) stands beside the accuracy, whose ceiling it says.
        """
        shown = noise if self.objective.metric == "accuracy" else {}
        return {
            "value": self.target,
            "metric": self.objective.metric,
            "mean": {**dataclasses.asdict(self.recipe), "verdict": self.verdict(self.recipe)},
            "tasks": {
                task: {
                    **dataclasses.asdict(estimate),
                    "verdict": self.verdict(estimate),
                    "label_noise": shown.get(task),
                }
                for task, estimate in self.each.items()
            },
        }

    @property
    def name(self) -> str:
        """The score and its tasks, as a sentence begins."""
        tasks = self.objective.tasks
        over = f"mean of {enumerated(tasks)}" if len(tasks) > 1 else tasks[0]
        label = self.objective.first.label
        label = label[0].upper() + label[1:]
        return f"{label}, {over}," if "(" in label else f"{label} ({over})"

    def phrases(self) -> Iterator[str]:
        """Value and interval, and what the target comes to."""
        mean, fixed = self.recipe, self.fixed
        if mean.low is None or mean.high is None:
            why = mean.method.removeprefix("no interval: ")
            found = f"an interval for {mean.target} is unknown ({why})"
        else:
            found = f"95 % interval {_ends(mean)} for {mean.target}"
        if mean != fixed and fixed.low is not None:
            found += f" ({_ends(fixed)} for {fixed.target})"
        yield f"{number(mean.value)}, {found}"
        if self.target is not None:
            yield self._said(self.target)

    def _said(self, target: float) -> str:
        text = f"{target:g}" if abs(target) < 100 else number(target)
        named = f"the target of {'' if self.objective.higher_is_better else 'at most '}{text}"
        if self.recipe.low is None:
            return f"whether {named} is reached is unknown"
        if (said := self.verdict(self.recipe)) == "cannot tell":
            said = "within the interval: whether it is reached is unknown"
        return f"{named} is {said}"


def _ends(found: Estimate) -> str:
    return f"{number(found.low)} to {number(found.high)}"


def _of_table(objective: Objective, result: Mapping[str, Any]) -> tuple[Estimate, Estimate]:
    """The estimates that stand in the table of a task: of the recipe, and of these models."""
    row = result["decided" if objective.is_decided else "metrics"][objective.plain]
    names = [field.name for field in dataclasses.fields(Estimate)]
    recipe = Estimate(**{name: row[name] for name in names})
    these = row.get("these_models")
    return recipe, recipe if these is None else Estimate(**{name: these[name] for name in names})


def guessed(metric: str, kept: Predictions, task: str, positive: int) -> float | None:
    """What a guess scores that knows how many patients are of each class, and nothing else.

    It calls everybody alike, or refers by lot, as is best for the metric; its probabilities are the
    shares.
    """
    classes = kept.classes[task]
    counts = np.bincount(kept.y_true(task), minlength=len(classes))
    shares = counts / counts.sum()
    if metric in ("auroc", "macro_auroc"):
        return 0.5
    if metric in ("auprc", "macro_auprc"):
        return float(shares[positive]) if metric == "auprc" else 1 / len(classes)
    if metric == "accuracy":
        return float(shares.max())
    if metric == "balanced_accuracy":
        return 1 / len(classes)
    if metric == "brier":
        return float(1 - (shares**2).sum())
    if metric == "log_loss":
        some = shares[shares > 0]
        return float(-(some * np.log(some)).sum())
    if metric == "weighted_accuracy" and (weights := class_costs(classes)):
        worth = shares * weights
        return float(worth.max() / worth.sum())
    if metric == "cost":
        return best_referral(float(abnormal_of(kept, task).mean()))[1]
    return None
