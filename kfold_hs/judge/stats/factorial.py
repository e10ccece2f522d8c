"""Crossed factors: what one changes on the mean of the others, and whether effects add up.

main effect   of a level: mean over the variants that have it, minus that of the variants
              that have the factor's first level
interaction   of a level of A and one of B: the effect of A's where B has its, minus that where B
              has its first level; on the mean of all other factors. 0 when effects add up

Both are differences of values on the same rows, judged like those of two variants (`paired`); p
adjusted by Holm over all effects of a metric. With every level in every variant once, as crossing
makes them, an effect rests on all variants, and is told better than a single pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.multiplicity import adjust
from kfold_hs.judge.stats.paired import compare


@dataclass(frozen=True)
class Crossing:
    """Which level of which factor every variant has.

    Parameters
    ----------
    factors : tuple of str
    levels : mapping
        Variant -> its level of each factor, in order.
    """

    factors: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]

    def of_factor(self, number: int) -> list[str]:
        """Levels of a factor, the first one first."""
        return list(dict.fromkeys(each[number] for each in self.levels.values()))


def effects(
    influences: Mapping[str, Influence],
    crossing: Crossing,
    *,
    margin: float,
    higher_is_better: bool = True,
) -> list[dict[str, Any]]:
    """All main effects and interactions of two factors; empty with fewer than two factors.

    Returns
    -------
    list of dict
        `paired.compare`'s, with kind ("main" or "interaction"), factors, levels and `of`, the
        levels that they are compared with.
    """
    if len(crossing.factors) < 2:
        return []
    how = {"margin": margin, "higher_is_better": higher_is_better}
    found: dict[str, dict[str, Any]] = {}
    for named, low, high in _contrasts(influences, crossing):
        found[str(len(found))] = {**named, **compare(low, high, **how)}  # type: ignore[arg-type]
    adjust(found, len(found))
    return list(found.values())


def _contrasts(
    influences: Mapping[str, Influence], crossing: Crossing
) -> Iterator[tuple[dict[str, Any], Influence, Influence]]:
    """What an effect is called, and the two values whose difference it is."""

    def mean(wanted: Mapping[int, str]) -> Influence:
        return mean_of(
            [
                influences[name]
                for name, levels in crossing.levels.items()
                if all(levels[number] == level for number, level in wanted.items())
            ]
        )

    levels = [crossing.of_factor(number) for number in range(len(crossing.factors))]
    for number, (first, *others) in enumerate(levels):
        for level in others:
            named = {
                "kind": "main", "factors": [crossing.factors[number]], "levels": [level],
                "of": [first],
            }  # fmt: skip
            yield named, mean({number: first}), mean({number: level})
    for a, b in combinations(range(len(levels)), 2):
        for one, two in product(levels[a][1:], levels[b][1:]):
            of = [levels[a][0], levels[b][0]]
            low = [mean({a: of[0], b: two}), mean({a: one, b: of[1]})]
            high = [mean({a: of[0], b: of[1]}), mean({a: one, b: two})]
            named = {
                "kind": "interaction", "factors": [crossing.factors[a], crossing.factors[b]],
                "levels": [one, two], "of": of,
            }  # fmt: skip
            yield named, mean_of(low).times(2), mean_of(high).times(2)
