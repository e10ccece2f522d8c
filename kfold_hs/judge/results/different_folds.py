"""Variants on different folds: what decided them, who is torn apart, and where a leak can act.

A split by patient id puts a person who stands in the table twice on both sides of a fold: that
variant *leaks*. What the leak does shows among people with several patient ids; all others are
predicted by models that never met them in either variant, and stand beside as a control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.errors import counted, enumerated
from kfold_hs.judge.results.comparison import Terms, Variants, lead_of, margin_of
from kfold_hs.judge.results.sentences import ends, number
from kfold_hs.judge.results.subgroups import FEWEST, SHOWN, among
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.paired import compare

LINKED, OTHERS = "linked", "others"


@dataclass(frozen=True)
class Folds:
    """What decided the folds of a variant.

    Parameters
    ----------
    settings : mapping
        Key -> value, of all keys that decide folds.
    assignment : str
        Digest of who is in which fold.
    torn : sequence of int
        Persons on two sides of a fold, by repeat.
    """

    settings: Mapping[str, Any]
    assignment: str
    torn: Sequence[int]


def leaks(variants: Variants, folds: Mapping[str, Folds]) -> dict[str, dict[str, Any]]:
    """Variants that are scored on persons whom their models were trained on.

    Returns
    -------
    dict
        Variant -> torn (persons on two sides of a fold, by repeat), n_linked (scored persons with
        several patient ids), text.
    """
    n_linked, found = len(linked_persons(variants)), {}
    for name, each in folds.items():
        if not any(each.torn):
            continue
        where = "" if len(each.torn) == 1 else " in repeats " + enumerated(
            str(repeat) for repeat in range(len(each.torn))
        )  # fmt: skip
        found[name] = {
            "torn": list(each.torn),
            "n_linked": n_linked,
            "text": f"{name} is LEAKING: of {counted(n_linked, 'person', 'people')} with several "
            f"patient ids it puts {enumerated(map(str, each.torn))} on two sides of a fold{where}, "
            "and scores them by models that were trained on them.",
        }
    return found


def mark_leaks(found: Mapping[str, Any], leaking: Mapping[str, Any]) -> None:
    """Note in every comparison of two variants which of them leaks (`leaking`), if one alone does.

    Parameters
    ----------
    found : mapping
        `compare_variants`'s, whose comparisons get the key.
    leaking : mapping
        Of `leaks`.
    """
    metrics = [found["headline"], *(m for task in found["tasks"].values() for m in task.values())]
    for metric in metrics:
        pairs = [(found["baseline"], name, each)
                 for name, each in metric["against_baseline"].items()]  # fmt: skip
        pairs += [(each["first"], each["second"], each) for each in metric["pairs"]]
        for first, second, each in pairs:
            mine = [name for name in (first, second) if name in leaking]
            each["leaking"] = mine[0] if len(mine) == 1 else None


def different_folds(
    variants: Variants, terms: Terms, folds: Mapping[str, Folds]
) -> dict[str, Any] | None:
    """What differs, and the differences among linked people; None where all share their folds.

    Returns
    -------
    dict
        differ: key -> variant -> value; assignments: variant -> digest of who is in which fold;
        text; linked: None where no variant tears anybody apart, else of `_among_linked`.
    """
    if variants.on_same_folds:
        return None
    keys = next(iter(folds.values())).settings
    differ = {
        key: {name: each.settings.get(key) for name, each in folds.items()}
        for key in dict.fromkeys([*keys, *(k for each in folds.values() for k in each.settings)])
    }
    differ = {key: of for key, of in differ.items() if len(set(map(str, of.values()))) > 1}
    return {
        "differ": {key: {name: _shown(v) for name, v in of.items()} for key, of in differ.items()},
        "assignments": {name: each.assignment for name, each in folds.items()},
        "text": _text(differ, terms),
        "linked": _among_linked(variants, terms, folds) if any(
            any(each.torn) for each in folds.values()) else None,
    }  # fmt: skip


def said_of(different: Mapping[str, Any] | None, leaking: Mapping[str, Any]) -> list[str]:
    """Sentences on folds and leaks; empty where folds are shared and nobody is torn apart."""
    found = [different["text"]] if different else []
    found += [each["text"] for each in leaking.values()]
    linked = different["linked"] if different else None
    if linked is None:
        return found
    if linked["why"]:
        return [*found, linked["why"]]
    for name, each in linked["headline"]["against_baseline"].items():
        found.append(
            f"{linked['headline']['label']}, {name}: among the {linked['n_linked']} people with "
            f"several patient ids alone {_of_group(each[LINKED])}; among the "
            f"{linked['n_others']} others {_of_group(each[OTHERS])}."
        )
    return found


def linked_persons(variants: Variants) -> list[str]:
    """Scored persons with several patient ids, ascending."""
    n_ids = variants.first.table.groupby("person_id", observed=True)["patient_id"].nunique()
    return sorted(map(str, n_ids.index[n_ids > 1]))


def _shown(value: Any) -> str:
    """A setting in words; a file without its folders, which a page does not show."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)


def _text(differ: Mapping[str, Mapping[str, Any]], terms: Terms) -> str:
    each = []
    for key, of in differ.items():
        if all(name == f"{key}={value}" for name, value in of.items()):
            each.append(f"they differ in {key}")  # the names say the rest
            continue
        by_value: dict[str, list[str]] = {}
        for name, value in of.items():
            by_value.setdefault(_shown(value), []).append(name)
        said = [f"{value} in {enumerated(names)}" for value, names in by_value.items()]
        each.append(f"{key} is {enumerated(said)}")
    text = (
        f"The variants are on different folds: {'; '.join(each)}. Every patient is predicted out "
        "of fold in each; differences are paired by person, and what fold models differ by counts "
        "for each variant."
    )
    if terms.crossing is not None and len(terms.crossing.factors) > 1:
        text += (
            " Effects of the factors are left out: they would mix variants that share folds with "
            "others; look at the pairs."
        )
    return text


def _of_group(found: Mapping[str, Any]) -> str:
    apart = found["difference"]
    if apart["value"] is None:
        return f"it is unknown ({apart['method']})"
    if apart["low"] is None:
        return f"{number(apart['value'], signed=True)} (interval is unknown: {apart['method']})"
    return f"{number(apart['value'], signed=True)} ({ends(apart, signed=True)})"


def _among_linked(variants: Variants, terms: Terms, folds: Mapping[str, Folds]) -> dict[str, Any]:
    """The differences among people with several patient ids, and among all others.

    Returns
    -------
    dict
        n_linked, n_others (persons), fewest, why (why nothing can be told, or None), headline and
        tasks: task -> metric. Of each: label, higher_is_better, against_baseline: variant ->
        linked and others -> values (first, second), difference (an estimate), p. The p are not
        adjusted: it is a look into one comparison. Of variants alone that are on other folds than
        the baseline, where one of the two leaks.
    """
    linked = linked_persons(variants)
    n_others = variants.layout.n_persons - len(linked)
    found: dict[str, Any] = {"n_linked": len(linked), "n_others": n_others, "fewest": FEWEST,
                             "why": None, "headline": None, "tasks": {}}  # fmt: skip
    if min(len(linked), n_others) < FEWEST:
        found["why"] = (
            "What the leak does to people with several patient ids is unknown: there are "
            f"{len(linked)}, and {n_others} others; a group takes at least {FEWEST}."
        )
        return found
    lead = lead_of(variants.first, terms)
    groups = {
        task: {name: _of_groups(variants, name, task, {*SHOWN, lead.metric}, linked)
               for name in variants.tables}
        for task in variants.first.tasks
    }  # fmt: skip
    means = {
        name: {
            group: mean_of([groups[task][name][lead.metric][1][group] for task in lead.tasks])
            for group in (LINKED, OTHERS)
        }
        for name in variants.tables
    }
    others = [
        name for name, each in folds.items()
        if variants.layouts[name] is not variants.layouts[terms.baseline]
        and any(each.torn) != any(folds[terms.baseline].torn)
    ]  # fmt: skip

    def judged(
        of: Mapping[str, Mapping[str, Influence]], label: str, margin: float, up: bool
    ) -> dict[str, Any]:
        return {
            "label": label,
            "higher_is_better": up,
            "against_baseline": {
                name: {
                    group: _difference(of[terms.baseline][group], of[name][group], margin, up)
                    for group in (LINKED, OTHERS)
                }
                for name in others
            },
        }

    found["headline"] = judged(
        means, lead.title, margin_of(lead.first, terms), lead.higher_is_better
    )
    for task, of in groups.items():
        found["tasks"][task] = {
            key: judged(
                {name: each[key][1] for name, each in of.items()},
                metric.label, margin_of(metric, terms), metric.higher_is_better,
            )
            for key, (metric, _) in of[terms.baseline].items()
        }  # fmt: skip
    return found


def _of_groups(
    variants: Variants, name: str, task: str, wanted: set[str], linked: Sequence[str]
) -> dict[str, Any]:
    """Metric -> itself, and the influence of either group's rows, of one variant's task."""
    table, layout = variants.tables[name].table, variants.layouts[name]
    is_linked = np.asarray(table["person_id"].astype(str).isin(linked))
    rows = {LINKED: is_linked, OTHERS: ~is_linked}
    return {
        metric.name: (
            metric,
            {
                group: among(scored.among(some).influence(metric), some, layout, metric.by_fold)
                for group, some in rows.items()
            },
        )
        for metric, scored in variants.measured(name, task)
        if metric.name in wanted
    }


def _difference(first: Influence, second: Influence, margin: float, up: bool) -> dict[str, Any]:
    found = compare(first, second, margin=margin, higher_is_better=up)
    values = {"first": first.value, "second": second.value}
    return {
        "values": {key: v if np.isfinite(v) else None for key, v in values.items()},
        **{key: found[key] for key in ("difference", "p")},
    }
