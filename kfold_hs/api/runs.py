"""Calls that train: cross-validation, comparison, search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kfold_hs.api.calls import Call, variant_words, with_options
from kfold_hs.api.choices import ComparisonReport, SearchReport
from kfold_hs.api.cohorts import Cohort
from kfold_hs.api.report import Report
from kfold_hs.config.compose import compose
from kfold_hs.config.words import choices_of
from kfold_hs.errors import ConfigError

Variants = Mapping[str, Mapping[str, Any] | Sequence[str]]


@with_options()
def cross_validate(
    cohort: Cohort | str | None = None, recipe: str | None = None, **settings: Any
) -> Report:
    """Train a model in every fold, and report on the people that it was not trained on.

    The same call continues what was interrupted, and trains nothing that is finished: it is
    `kfold-hs run`, and either goes on with what the other began.

    Parameters
    ----------
    cohort : Cohort or str, optional
        From `read_cohort`, `Cohort.from_frame` or `synthetic_cohort`; or the kind of data, with
        its settings (``"circor", data={"root": DIR}``). By default that of `study`, or the built-in
        cohort.
    recipe : str, optional
        "quick", "lite", "baseline" or "best": a file of `configs/recipe/`. By default that of
        `study`, or "quick".
    **settings

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        A setting or an option does not fit; with every fault, and what is allowed.
    CohortError, SplitError
        The recordings cannot be used, the people cannot be split, or there is a leak.
    UnfinishedError
        Some folds could not be trained; the others are judged, and their report is written.

    Examples
    --------
    >>> cohort = kf.read_cohort("circor", root="../shared/circor")
    >>> report = kf.cross_validate(cohort, recipe="lite", folds=5, train={"epochs": 20})
    >>> report.to_frame()
    """
    from kfold_hs.workflows import cross_validation

    call = Call.of(cohort, recipe, settings)
    config = compose(call.words)
    options = call.run_options("run", *call.words)
    with call.running() as progress:
        inputs = call.inputs(config, progress)
        found = cross_validation.run(config, progress, options, inputs, gallery=True)
    return Report(found.paths.report_folder)


@with_options()
def compare(
    variants: Variants,
    cohort: Cohort | str | None = None,
    recipe: str | None = None,
    **settings: Any,
) -> ComparisonReport:
    """Say which of several variants is better, that they are equivalent, or that the data cannot
    tell.

    Every variant is a run of its own, on the same people, folds and random draws.

    Parameters
    ----------
    variants : mapping
        Name -> its settings, as keywords of `cross_validate` would give them, or as words of a
        command line. The first is the baseline.
    cohort : Cohort or str, optional
        As in `cross_validate`.
    recipe : str, optional
        Of all variants, unless each names its own; as in `cross_validate`.
    **settings

    Returns
    -------
    ComparisonReport

    Raises
    ------
    ConfigError
        There is one variant, two are the same, or they differ in people, folds or draws.
    UnfinishedError
        Folds of a variant could not be trained; the other variants were run all the same.
    KfoldHsError
        As `cross_validate`.

    Examples
    --------
    >>> kf.compare({"onecycle": {"sched": "onecycle"}, "cosine": {"sched": "cosine"}}, cohort)
    """
    from kfold_hs.config.compose import key_of
    from kfold_hs.config.sweep import named_design
    from kfold_hs.workflows import comparison

    if not isinstance(variants, Mapping):
        raise ConfigError(
            f"variants is of type {type(variants).__name__}: give a dict from names to settings, "
            "such as {'onecycle': {'sched': 'onecycle'}, 'cosine': {'sched': 'cosine'}}."
        )
    call = Call.of(cohort, recipe, settings)
    words = {str(name): variant_words(str(name), own) for name, own in variants.items()}
    design = named_design(words, call.words)
    options = call.run_options("compare", *call.words, *map(" ".join, words.values()))
    if len({key_of(own[0]) if own else "" for own in words.values()}) > 1:
        # No command line gives variants of different keys such names.
        text = f"kf.compare({words!r}, recipe=None, overrides={[*call.words]!r})"
        options = replace(options, command=text)
    with call.running() as progress:
        inputs = call.inputs(design.variants[0].config, progress)
        found = comparison.compare(design, progress, options, inputs)
    return ComparisonReport(found.paths.folder)


@with_options(trials="int | None", sampler="str", objective="str | None", racing="bool")
def tune(
    cohort: Cohort | str | None = None,
    space: Mapping[str, Any] | str | None = None,
    recipe: str | None = None,
    **settings: Any,
) -> SearchReport:
    """Search a space of settings; say which are best, with a score corrected for the choice.

    Every trial is a run of its own, on the same people and folds; a call that was interrupted
    continues. Needs Optuna (`pip install 'kfold-hs[tune]'`).

    Parameters
    ----------
    cohort : Cohort or str, optional
        As in `cross_validate`.
    space : mapping or str, optional
        Key -> the values to try, ``{"optim.lr": [1e-4, 1e-3], "sched": ["onecycle", "cosine"]}``;
        or a file, or the name of a space of `configs/tune/`; by default the one named table.
    recipe : str, optional
        Of all trials; as in `cross_validate`.
    trials : int, optional
        Trials in all; by default 20, and with `sampler="grid"` every point.
    sampler : str, optional
        "tpe" (the default), "random" or "grid".
    objective : str, optional
        ``[TASK.]METRIC``; by default the setting `headline`, which is the mean accuracy.
    racing : bool, optional
        Stop a trial between two folds when it is worse than the best so far; by default True.
    **settings

    Returns
    -------
    SearchReport

    Raises
    ------
    ConfigError
        The space, a value of it or a setting does not fit.
    TrainingError
        Not one trial could be finished.
    KfoldHsError
        Optuna is not installed; or as `cross_validate`.

    Examples
    --------
    >>> found = kf.tune(cohort, {"optim.lr": [1e-4, 1e-3]}, trials=8)
    >>> kf.cross_validate(cohort, repeats=3, **found.best)
    """
    from kfold_hs.workflows.search import tuning
    from kfold_hs.workflows.search.spec import Search, SearchOptions

    trials, sampler = settings.pop("trials", None), settings.pop("sampler", "tpe")
    objective, racing = settings.pop("objective", None), settings.pop("racing", True)
    searched: list[str] = []
    wanted = None if isinstance(space, Mapping) else space
    if isinstance(space, Mapping) and not (searched := choices_of(space)):
        raise ConfigError(
            "the space is empty. Give keys and the values to try: {'optim.lr': [1e-4, 1e-3]}."
        )
    call = Call.of(cohort, recipe, settings)
    terms = SearchOptions(wanted, objective, sampler, trials, racing)
    search = Search.of([*call.words, *searched], terms)
    flags = {"space": wanted, "trials": trials, "sampler": sampler, "objective": objective}
    typed = [f"--{key}={value}" for key, value in flags.items() if value is not None]
    typed += [] if racing else ["--no-racing"]
    options = call.run_options("tune", *call.words, *searched, *typed)
    with call.running() as progress:
        inputs = call.inputs(search.first.config, progress)
        found = tuning.tune(search, progress, options, inputs)
    return SearchReport(found.paths.folder)
