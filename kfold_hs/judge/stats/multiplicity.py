"""Many variants at once: each against a baseline, all pairs, and the best one.

Whoever tries M variants and reports the best reports luck, too. Therefore

baseline   one variant, declared before; the others are compared with it, p adjusted by Holm
pairs      every pair, p adjusted by Holm over all pairs
best       the variant with the best value: its interval with the Bonferroni quantile
           t(1 - alpha / (2 M)), and its bootstrap-corrected value (BBC-CV; Tsamardinos, Greasidou &
           Borboudakis, Machine Learning 107, 2018): in each resample of the people the best
           variant is picked on the people drawn and scored on those not drawn

M is the number of variants *ever tried* on the split, not only of those compared here.

BBC-CV works on the influence of persons: a variant's value in a resample is value + weights @ psi,
and on the people left out value + n / n_out times their sum of psi. For means over people, such as
accuracy, that is exact; for other metrics it is the first-order term.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from kfold_hs.errors import ConfigError, unknown_name
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import person_weights
from kfold_hs.judge.stats.expected_error import ONE_MODEL, interval, spread, target
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import LEVEL, Estimate, possible_ends
from kfold_hs.judge.stats.paired import BETTER, CANNOT_TELL, compare

BBC = "BBC-CV over persons (percentiles, conservative)"
_CELLS = 4_000_000
K = TypeVar("K")


def holm(p: Sequence[float], n_tests: int | None = None) -> np.ndarray:
    """Holm's adjusted p values, in the order given (Scandinavian J. Statistics 6, 1979).

    `n_tests` counts more tests than are given, all taken to have larger p values.
    """
    values = np.asarray(p, dtype=np.float64)
    n = max(n_tests or 0, len(values))
    # Not statsmodels', which collects garbage in every call: 60 ms for each metric and question.
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate((n - np.arange(len(values))) * values[order])
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


@dataclasses.dataclass(frozen=True, eq=False)
class Resamples:
    """Resamples of persons for BBC-CV, drawn once and used for every metric.

    Parameters
    ----------
    layout : Layout
        Of any variant: the people are the same in all.
    n_resamples : int
    seed : int
    """

    layout: Layout
    n_resamples: int = 10_000
    seed: int = 0

    def corrected(
        self, influences: Mapping[K, Sequence[Influence]], signs: Mapping[K, int]
    ) -> dict[K, np.ndarray]:
        """Out-of-bag value of the in-bag best variant of every metric, (n_resamples,) each.

        `signs` is 1 where higher is better and -1 where lower is.
        """
        names, n = list(influences), self.layout.n_persons
        each = [one for name in names for one in influences[name]]
        if not each:
            return {}
        values = np.array([one.value for one in each])
        psi = np.stack([one.layout.by_person(one.psi) for one in each], axis=1)
        ends = np.cumsum([len(influences[name]) for name in names])
        columns = dict(zip(names, np.split(np.arange(len(each)), ends[:-1]), strict=True))
        found = {name: np.empty(self.n_resamples) for name in names}
        bounds = {name: influences[name][0].bounds for name in names}
        at_once = max(1, min(self.n_resamples, _CELLS // n))
        for part, start in enumerate(range(0, self.n_resamples, at_once)):
            count = min(at_once, self.n_resamples - start)
            drawn = person_weights(self.layout, count, self.seed + part)
            out = (drawn == 0).astype(np.float64)
            scale = (n / np.maximum(out.sum(axis=1), 1))[:, None]
            inside, outside = values + drawn @ psi, values + scale * (out @ psi)
            for name, mine in columns.items():
                picked = mine[(signs[name] * inside[:, mine]).argmax(axis=1)]
                values_out = outside[np.arange(count), picked]
                # To first order a value may leave what there can be.
                found[name][start : start + count] = np.clip(values_out, *bounds[name])
        return found


def against_baseline(
    influences: Mapping[str, Influence],
    baseline: str,
    *,
    margin: float,
    higher_is_better: bool = True,
    n_tried: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Every other variant against the declared baseline, with Holm's p (`p_holm`).

    Intervals are each variant's own; "better" also takes an adjusted p of at most 0.05.

    Raises
    ------
    ConfigError
        There is no variant of the baseline's name.
    """
    if baseline not in influences:
        raise ConfigError(unknown_name("baseline", baseline, influences))
    others = [name for name in influences if name != baseline]
    n_tests = max(len(others), (n_tried or 0) - 1, 1)
    found = {
        name: compare(
            influences[baseline], influences[name], margin=margin,
            higher_is_better=higher_is_better,
        )
        for name in others
    }  # fmt: skip
    adjust(found, n_tests)
    return found


def all_pairs(
    influences: Mapping[str, Influence], *, margin: float, higher_is_better: bool = True
) -> list[dict[str, Any]]:
    """Every pair of variants, with the names `first` and `second` and Holm's p over all pairs."""
    pairs = list(combinations(influences, 2))
    found = {
        f"{a}\n{b}": {
            "first": a, "second": b,
            **compare(influences[a], influences[b], margin=margin,
                      higher_is_better=higher_is_better),
        }
        for a, b in pairs
    }  # fmt: skip
    adjust(found, len(pairs))
    return list(found.values())


def best(
    influences: Mapping[str, Influence],
    train_share: float,
    *,
    higher_is_better: bool = True,
    n_tried: int | None = None,
    resampled: np.ndarray | None = None,
) -> dict[str, Any]:
    """The variant with the best value, and what is left of it.

    Returns
    -------
    dict
        name, n_tried, estimate (Bonferroni interval), corrected (BBC-CV estimate, None without
        `resampled`). None in name where no value is defined.
    """
    sign = 1 if higher_is_better else -1
    defined = {name: each for name, each in influences.items() if np.isfinite(each.value)}
    n_tried = max(n_tried or 0, len(influences))
    if not defined:
        return {"name": None, "n_tried": n_tried, "estimate": None, "corrected": None}
    name = max(defined, key=lambda each: sign * defined[each].value)
    chosen, text = defined[name], target(train_share)
    found = spread(chosen)
    words = f"{text}, best of {n_tried} tried"
    estimate = Estimate(chosen.value, None, None, method=ONE_MODEL, target=words)
    if found is not None:
        estimate = interval(chosen, found, words, n_tried)
        if estimate.low is not None:
            method = f"{estimate.method}; Bonferroni over {n_tried} variants"
            estimate = dataclasses.replace(estimate, method=method)
    corrected = None
    if resampled is not None and len(defined) == len(influences):
        tail = (1 - LEVEL) / 2
        low, high = (float(each) for each in np.quantile(resampled, [tail, 1 - tail]))
        words = f"{text}, the best of {len(influences)} picked anew"
        left = possible_ends(
            Estimate(float(resampled.mean()), low, high, method=BBC, target=words), chosen.bounds
        )
        if left.low is None and found is not None:
            left = interval(chosen, found, words)
        if chosen.no_interval:
            left = left.without_ends(chosen.no_interval)
        corrected = dataclasses.asdict(left)
    return {
        "name": name,
        "n_tried": n_tried,
        "estimate": dataclasses.asdict(estimate),
        "corrected": corrected,
    }


def adjust(found: Mapping[str, dict[str, Any]], n_tests: int) -> None:
    """Add Holm's p (`p_holm`) to comparisons; "better" takes one of at most 0.05."""
    known = [name for name, each in found.items() if each["p"] is not None]
    adjusted = holm([found[name]["p"] for name in known], n_tests)
    for each in found.values():
        each["p_holm"] = None
    for name, p in zip(known, adjusted.tolist(), strict=True):
        each = found[name]
        each["p_holm"] = p
        if each["verdict"] == BETTER and p > 1 - LEVEL:
            each["verdict"], each["winner"] = CANNOT_TELL, None
