"""Several variants of one recipe on the same people: every metric, every question at once.

Variants must have predicted the same patients in the same folds of the same repeats, or, where
that is asked for, in as many folds and repeats that were drawn otherwise (see `different_folds`).
Rows are put into one order first, so that the order of the tables does not matter.

Where the challenge charges for a task, who is called what is compared as the classes' probabilities
say, and as class weights and a threshold of referral say that were chosen on the other folds (see
`judge.selection.decisions`; names end in `_decided`): probabilities that call too few Present may
rank as well as others. Intervals take what was chosen as given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS, Metric
from kfold_hs.judge.selection.crossfit import Choice, obstacle
from kfold_hs.judge.selection.decisions import decisions
from kfold_hs.judge.selection.objective import DECIDED, Objective, as_decided
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.judge.stats.factorial import Crossing, effects
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.multiplicity import Resamples, against_baseline, all_pairs, best
from kfold_hs.judge.stats.scored import Scored
from kfold_hs.predictions.table import PROBABILITIES, Predictions

_ORDER = ["repeat", "seed", "fold", "patient_id"]


@dataclass(frozen=True, eq=False)
class Variants:
    """Variants on the same people.

    Parameters
    ----------
    tables : mapping
        Variant -> what its headline scores, `ordered`.
    positives : mapping
        Task -> index of its positive class.
    layouts : mapping
        Variant -> layout of its table; one and the same of variants on the same folds.
    train_share : float
        Share of the people that every model trained on, in (0, 1].
    """

    tables: Mapping[str, Predictions]
    positives: Mapping[str, int]
    layouts: Mapping[str, Layout]
    train_share: float

    @classmethod
    def of(
        cls,
        scored: Mapping[str, Predictions],
        positives: Mapping[str, int],
        split: Mapping[str, Any],
        may_differ: bool = False,
    ) -> Variants:
        """Rows in any order; n_folds and train_share of the split.

        `may_differ` allows other folds of the same people.

        Raises
        ------
        PredictionsError
            The variants are not of the same people in the same folds.
        """
        tables = {name: ordered(each) for name, each in scored.items()}
        n_folds = int(split["n_folds"])
        if may_differ:
            layouts = layouts_of(tables, n_folds)
        else:
            layouts = dict.fromkeys(tables, one_layout(tables, n_folds))
        return cls(tables, positives, layouts, float(split["train_share"]))

    @property
    def layout(self) -> Layout:
        """Of the first variant; people, folds and runs are as many in all."""
        return next(iter(self.layouts.values()))

    @property
    def on_same_folds(self) -> bool:
        return len(set(map(id, self.layouts.values()))) == 1

    @property
    def first(self) -> Predictions:
        """Tasks and labels are the same in all."""
        return next(iter(self.tables.values()))

    def influences(self, task: str) -> tuple[dict[str, Metric], dict[str, dict[str, Influence]]]:
        """The metrics of a task by name, and the influences of each by variant."""
        metrics: dict[str, Metric] = {}
        found: dict[str, dict[str, Influence]] = {}
        for name in self.tables:
            for metric, scored in self.measured(name, task):
                metrics[metric.name] = metric
                found.setdefault(metric.name, {})[name] = scored.influence(metric)
        return metrics, found

    def measured(self, name: str, task: str) -> list[tuple[Metric, Scored]]:
        """The metrics of a variant's task, each with the rows that it is taken of."""
        table, layout = self.tables[name], self.layouts[name]
        rows = Scored(table.y_true(task), table.y_prob(task), self.positives[task], layout,
                      names=table.classes[task])  # fmt: skip
        found = [(metric, rows) for metric in metrics_of(table, task)]
        for choice in self._decisions(name, task):
            found.append((as_decided(choice.metric), replace(rows, y_prob=choice.crossfit)))
        return found

    def _decisions(self, name: str, task: str) -> list[Choice]:
        """None where nothing can be chosen on other folds, or of what are no probabilities."""
        table, layout = self.tables[name], self.layouts[name]
        if table.kind(task) != PROBABILITIES or obstacle(layout) is not None:
            return []
        return decisions(table, task, layout)


@dataclass(frozen=True)
class Terms:
    """How variants are compared.

    Parameters
    ----------
    baseline : str
        The variant that was declared to be the one to beat.
    margins : mapping
        Metric -> half the width of its region of practical equivalence; the metric's own where it
        is not named.
    n_tried : int, optional
        Variants ever tried on this split, if more than these.
    n_resamples : int
        Of the people, for what is left of the best variant.
    seed : int
    crossing : Crossing, optional
        Which factors' levels the variants are, for effects.
    primary : sequence of str
        The tasks of the headline, where it is a mean; all, if none is named.
    headline : str
        What the comparison leads with (`judge.selection.objective`); by default the mean accuracy,
        or the mean AUROC of scores.
    """

    baseline: str
    margins: Mapping[str, float] = field(default_factory=dict)
    n_tried: int | None = None
    n_resamples: int = 10_000
    seed: int = 0
    crossing: Crossing | None = None
    primary: Sequence[str] = ()
    headline: str = ""


def compare_variants(variants: Variants, terms: Terms) -> dict[str, Any]:
    """Comparison of all variants on all tasks and metrics.

    Returns
    -------
    dict
        variants, baseline, n_tried, headline, tasks: task -> metric. Of a metric, and of the
        headline (which has key, metric and task_names, too): label, higher_is_better, values (by
        variant), against_baseline (by variant), pairs, best, effects.

    Raises
    ------
    ConfigError
        There is no variant of the baseline's name, or no such headline.
    """
    tables, first = variants.tables, variants.first
    resamples = Resamples(variants.layout, terms.n_resamples, terms.seed)

    def judged(
        found: Mapping[str, Influence], label: str, margin: float, up: bool,
        resampled: np.ndarray | None,
    ) -> dict[str, Any]:  # fmt: skip
        how: dict[str, Any] = {"margin": margin, "higher_is_better": up}
        return {
            "label": label,
            "higher_is_better": up,
            "values": {
                name: each.value if np.isfinite(each.value) else None
                for name, each in found.items()
            },
            "against_baseline": against_baseline(
                found, terms.baseline, **how, n_tried=terms.n_tried
            ),
            "pairs": all_pairs(found, **how),
            "best": best(
                found, variants.train_share, n_tried=terms.n_tried, higher_is_better=up,
                resampled=resampled,
            ),
            # On different folds an effect would mix variants that share them with others.
            "effects": effects(found, terms.crossing, **how)
            if terms.crossing and variants.on_same_folds
            else [],
        }  # fmt: skip

    metrics: dict[str, dict[str, Metric]] = {}
    found: dict[str, dict[str, dict[str, Influence]]] = {}
    for task in first.tasks:
        metrics[task], found[task] = variants.influences(task)
    lead = lead_of(first, terms)
    lead.check_folds(1 if obstacle(variants.layout) else 2)
    means = {v: mean_of([found[task][lead.metric][v] for task in lead.tasks]) for v in tables}
    whole = {("", "mean"): list(means.values())} | {
        (task, name): list(each.values())
        for task, by_metric in found.items()
        for name, each in by_metric.items()
        if all(np.isfinite(one.value) for one in each.values())
    }
    signs = {
        (task, name): 1 if (metrics[task][name] if task else lead).higher_is_better else -1
        for task, name in whole
    }
    resampled = resamples.corrected(whole, signs)
    tasks = {
        task: {
            name: judged(
                found[task][name], m.label, margin_of(m, terms), m.higher_is_better,
                resampled.get((task, name)),
            )
            for name, m in by_name.items()
        }
        for task, by_name in metrics.items()
    }  # fmt: skip
    of_mean, margin = resampled["", "mean"], margin_of(lead.first, terms)
    return {
        "variants": list(tables),
        "baseline": terms.baseline,
        "n_tried": max(terms.n_tried or 0, len(tables)),
        "headline": {
            "key": lead.key, "metric": lead.metric, "task_names": list(lead.tasks),
            **judged(means, lead.title, margin, lead.higher_is_better, of_mean),
        },
        "tasks": tasks,
    }  # fmt: skip


def margin_of(metric: Metric, terms: Terms) -> float:
    """Half the width of a metric's region of practical equivalence."""
    return terms.margins.get(metric.name.removesuffix(DECIDED), metric.margin)


def lead_of(first: Predictions, terms: Terms) -> Objective:
    """What the comparison leads with."""
    asked = terms.primary or first.tasks
    if terms.headline:
        return Objective.among(terms.headline, first, asked, "headline")
    names = {m.name for task in asked for m in metrics_of(first, task)}
    lead = next(m for m in (ACCURACY, METRICS["auroc"]) if m.name in names)
    return Objective.among(lead.name, first, asked)


def ordered(kept: Predictions) -> Predictions:
    """The rows in the order in which those of all variants are set side by side."""
    return kept.with_rows(kept.table.sort_values(_ORDER, ignore_index=True))


def one_layout(tables: Mapping[str, Predictions], n_folds: int) -> Layout:
    """The layout that all share, of `ordered` tables, or a refusal that names who differs."""
    names = list(tables)
    if not names:
        raise PredictionsError("0 variants: a comparison needs at least one.")
    first = tables[names[0]].table
    for name in names[1:]:
        other = tables[name].table
        same = len(other) == len(first) and (other[_ORDER] == first[_ORDER]).all(axis=None)
        if not same or dict(tables[name].classes) != dict(tables[names[0]].classes):
            raise PredictionsError(
                f"{name} and {names[0]} did not predict the same patients in the same folds, and "
                "cannot be compared. Run both with one split, the same repeats and tasks."
            )
    return Layout.of_predictions(tables[names[0]], n_folds)


def layouts_of(tables: Mapping[str, Predictions], n_folds: int) -> dict[str, Layout]:
    """The layout of each of some `ordered` tables; one and the same where the folds are.

    Raises
    ------
    PredictionsError
        They are not of the same patients in the same repeats.
    """
    who = ["repeat", "seed", "patient_id"]
    found: dict[str, Layout] = {}
    first = tables[next(iter(tables))]
    people = first.table.sort_values(who, ignore_index=True)[[*who, "person_id"]]
    for name, table in tables.items():
        mine = table.table.sort_values(who, ignore_index=True)[[*who, "person_id"]]
        same = len(mine) == len(people) and (mine == people).all(axis=None)
        if not same or dict(table.classes) != dict(first.classes):
            raise PredictionsError(
                f"{name} and {next(iter(tables))} did not predict the same patients in the same "
                "repeats, and cannot be compared. Run both on the same people, with the same "
                "repeats and tasks."
            )
        place = table.table[["fold", "patient_id"]]
        shared = [o for o in found if (tables[o].table[list(place)] == place).all(axis=None)]
        found[name] = found[shared[0]] if shared else Layout.of_predictions(table, n_folds)
    return found
