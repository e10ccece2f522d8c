"""Words of a command line -> the variants of a comparison.

A key that is given more than once, or with several values in Hydra's sweep grammar, is a
*factor*, and each of its values a *level*. All other words are shared. Variants are the
combinations of one level of every factor, the last factor changing fastest.

    sched=onecycle sched=cosine data=circor data.root=DIR        two variants
    sched=onecycle,cosine loss.label_smoothing=0,0.1             four
    'loss=focal loss.gamma=3' loss=cross_entropy                 two

A word may hold several overrides, separated by blanks: they belong together, and the first
one's key is the word's.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kfold_hs.config.compose import check_number, compose, differences, expand, is_key, key_of
from kfold_hs.config.overrides import check_text, is_of_path, whole_at
from kfold_hs.config.schema import Config
from kfold_hs.config.training import DeviceKind
from kfold_hs.errors import ConfigError, listing, readable, shown

_BLANK_BEFORE_KEY = re.compile(r"\s+(?=[+~]{0,2}(?P<key>[A-Za-z_][\w./@]*)=)")
# What decides who is trained on and scored; a task may differ in what training makes of it.
_OF_THE_TASK = ("classes", "positive", "column", "recording_column")
REDRAWS = ("by", "stratify", "file")
"""Keys of `split` that put the same people into other folds, of as many, as `seed` does."""


@dataclass(frozen=True)
class Variant:
    """One of the things that are compared.

    Parameters
    ----------
    name : str
        Its levels as they were typed, e.g. ``sched=cosine loss.label_smoothing=0.1``.
    levels : tuple of str
        One for each factor.
    overrides : tuple of str
        What `kfold-hs run` would take to make it.
    config : Config
    """

    name: str
    levels: tuple[str, ...]
    overrides: tuple[str, ...]
    config: Config

    def on(self, device_kind: DeviceKind) -> Variant:
        """The same, trained on this kind of device (`Config.on`)."""
        return replace(self, config=self.config.on(device_kind))


@dataclass(frozen=True)
class Design:
    """All variants of a comparison; the first one is the baseline.

    Parameters
    ----------
    factors : tuple of str
        Keys that differ.
    variants : tuple of Variant
    """

    factors: tuple[str, ...]
    variants: tuple[Variant, ...]

    def on(self, device_kind: DeviceKind) -> Design:
        """The same, trained on this kind of device (`Config.on`)."""
        return replace(self, variants=tuple(each.on(device_kind) for each in self.variants))


def design(words: Sequence[str], more: Sequence[str] = ()) -> Design:
    """Read and compose the variants.

    Parameters
    ----------
    words : sequence of str
        As typed.
    more : sequence of str
        Overrides that every variant gets last, e.g. of ``--folds``.

    Raises
    ------
    ConfigError
        There is only one variant, one is there twice, one does not compose, or they differ in
        whom they stand on.
    """
    levels: dict[str, list[tuple[str, ...]]] = {}
    for word in words:
        for level in _levels(word):
            levels.setdefault(key_of(level[0]), []).append(level)
    factors = {key: each for key, each in levels.items() if len(each) > 1}
    shared = [each[0] for key, each in levels.items() if key not in factors]
    if not factors:
        raise ConfigError(
            "a comparison takes two variants or more: give a key more than once (sched=onecycle "
            "sched=cosine) or with several values (sched=onecycle,cosine)."
        )
    for each in factors.values():
        if twice := [" ".join(level) for level in each if each.count(level) > 1]:
            raise ConfigError(f"{readable(twice[0], 80)} is given twice. Give every variant once.")
    check_number(math.prod(map(len, factors.values())))
    variants = []
    for levels_of_one in itertools.product(*factors.values()):
        overrides = [*itertools.chain(*shared), *itertools.chain(*levels_of_one), *more]
        names = tuple(" ".join(level) for level in levels_of_one)
        variants.append(Variant(" ".join(names), names, tuple(overrides), compose(overrides)))
    check_same_inputs(variants, may_redraw=True)
    _check_different(variants)
    return Design(tuple(factors), tuple(variants))


def named_design(variants: Mapping[str, Sequence[str]], shared: Sequence[str] = ()) -> Design:
    """The variants that somebody gave names to.

    Parameters
    ----------
    variants : mapping
        Name -> the overrides that make the variant.
    shared : sequence of str
        Overrides that all have.

    Raises
    ------
    ConfigError
        As `design`.
    """
    if len(variants) < 2:
        raise ConfigError(
            f"a comparison takes two variants or more, and has {len(variants)}. Give each a name "
            "and its settings: {'onecycle': {'sched': 'onecycle'}, 'cosine': {'sched': 'cosine'}}."
        )
    check_number(len(variants))
    found = []
    for name, own in variants.items():
        overrides = (*shared, *own)
        found.append(Variant(name, (name,), overrides, compose(overrides)))
    check_same_inputs(found, may_redraw=True)
    _check_different(found)
    return Design(("variant",), tuple(found))


def _levels(word: str) -> list[tuple[str, ...]]:
    """The levels that a word names: one, or one for each value of a sweep."""
    parts = _parts(word)
    if len(parts) > 1:
        return [tuple(parts)]
    return [tuple(each) for each in expand(parts)]


def _parts(word: str) -> list[str]:
    """The overrides of a word: cut at blanks before a key, outside of quotes and brackets."""
    check_text(word)
    parts, start, whole = [], 0, whole_at(word)
    for cut in _BLANK_BEFORE_KEY.finditer(word):
        of_path = is_of_path(word[start:])  # it may hold anything, brackets that stay open too
        if is_key(cut["key"]) if of_path else whole[cut.start()]:
            parts.append(word[start : cut.start()])
            start = cut.end()
            if of_path:
                whole[start:] = whole_at(word[start:])
    return [*parts, word[start:]] if parts else [word]


def check_same_inputs(variants: Sequence[Variant], may_redraw: bool = False) -> None:
    """Refuse variants of other people, of other random draws, or of other folds.

    Parameters
    ----------
    variants : sequence of Variant
    may_redraw : bool
        Whether they may put the same people into other folds, of as many (`layout_of`).

    Raises
    ------
    ConfigError
        With the keys in which two differ.
    """
    first = variants[0]
    for other in variants[1:]:
        one, two = inputs_of(first.config), inputs_of(other.config)
        if may_redraw:
            one, two = _without_layout(one), _without_layout(two)
        if not (found := differences(one, two)):
            continue
        differ = f"{shown(first.name)} and {shown(other.name)} differ in "
        differ += readable(listing(found), 600)
        if not may_redraw:
            raise ConfigError(
                f"{differ}. All trials of a search stand on the same people, in the same folds, "
                "with the same draws, and are judged alike, so that one can be set against "
                "another fold by fold and stopped: give such a key once. (Other draws on one "
                "split: seed=0,1 with split.file=FILE; other folds: kfold-hs compare.)"
            )
        raise ConfigError(
            f"{differ}. All variants of a comparison score the same people, each as often, by "
            f"models of as many people, and are judged alike: give such a key once.{_why(found)} "
            "(Folds of as many may be drawn otherwise: split.by, split.stratify, split.file, seed.)"
        )


_WHY = {
    "split.n_folds": "More folds train on more people, and the difference would be of that: "
    "kfold-hs learning-curve says what people are worth.",
    "split.hold_out": "Folds that are sources leave out whoever is of several.",
}


def _why(found: Sequence[str]) -> str:
    """Why some keys may not differ, " Because." or nothing."""
    return "".join(f" {why}" for key, why in _WHY.items() if any(f"{key} " in f for f in found))


def inputs_of(config: Config) -> dict[str, Any]:
    """What decides who is trained on and scored, and with which draws."""
    values = config.as_dict()
    tasks = {
        name: {key: task[key] for key in _OF_THE_TASK}
        for name, task in values["data"]["tasks"].items()
    }
    found = {"data": {**values["data"], "tasks": tasks}, "split": values["split"]}
    found |= {"judge": values["judge"], "headline": values["headline"]}
    return found if config.split.file is not None else {**found, "seed": values["seed"]}


def layout_of(config: Config) -> dict[str, Any]:
    """What decides in which fold everybody is, of the people of a comparison."""
    split = config.as_dict()["split"]
    found = {f"split.{key}": split[key] for key in REDRAWS}
    return found if config.split.file is not None else {**found, "seed": config.seed}


def _without_layout(inputs: Mapping[str, Any]) -> dict[str, Any]:
    split = {key: value for key, value in inputs["split"].items() if key not in REDRAWS}
    return {**{k: v for k, v in inputs.items() if k != "seed"}, "split": split}


def _check_different(variants: Sequence[Variant]) -> None:
    """Refuse two names of one thing: nothing would be compared."""
    seen: dict[str, str] = {}
    for each in variants:
        values = each.config.as_dict()
        for key in ("headline", "target", "track", "judge"):
            values.pop(key)
        other = seen.setdefault(json.dumps(values, sort_keys=True), each.name)
        if other != each.name:
            raise ConfigError(
                f"{shown(other)} and {shown(each.name)} are one configuration, but for what "
                "no prediction depends on (headline, target, track, judge): there is nothing to "
                "compare."
            )
