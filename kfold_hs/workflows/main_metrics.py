"""What trackers are told of a run or a comparison once it is judged: a few numbers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.config.schema import Config
from kfold_hs.config.sweep import Design
from kfold_hs.files.paths import ComparisonPaths, RunPaths
from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.summary import Summary

HEADLINE = "Headline"


def main_metrics(summary: Summary) -> dict[str, float]:
    """The headline and every task's metrics with the ends of their intervals; the headline first.

    ``Headline``, ``Headline.low``, ``Headline.high``, ``<task>/<metric>``, ``<task>/<metric>.low``
    and so on; what is unknown is left out.
    """
    each: dict[str, Mapping[str, Any]] = {HEADLINE: summary.headline.to_json()}
    for task, result in summary.tasks.items():
        each |= {f"{task}/{name}": found for name, found in result.metrics.items()}
    values = {name: found.get("value") for name, found in each.items()}
    ends = {f"{n}.{end}": e.get(end) for n, e in each.items() for end in ("low", "high")}
    return {name: float(v) for name, v in (values | ends).items() if v is not None}


def metrics_of_variants(result: Comparison) -> dict[str, dict[str, float]]:
    """The headline and every task's metrics of each variant; the headline first."""
    named = {HEADLINE: result.headline}
    for task, metrics in result.tasks.items():
        named |= {f"{task}/{name}": found for name, found in metrics.items()}
    return {
        variant.name: {
            name: float(found["values"][variant.name])
            for name, found in named.items()
            if found["values"].get(variant.name) is not None
        }
        for variant in result.variants
    }


def show_run_in_tensorboard(config: Config, paths: RunPaths, summary: Summary) -> None:
    """Add the main metrics to the row of the run in TensorBoard's HParams, where it is tracked.

    Its folds are of the same row: what they have in common is averaged there.
    """
    if "tensorboard" not in config.track:
        return
    from kfold_hs.learn.tracking.hparams import Session
    from kfold_hs.learn.tracking.trackers import flat

    session = Session(paths.name, flat(config.as_dict()), main_metrics(summary))
    session.write(paths.report_folder / "tensorboard" / "out-of-fold")


def show_comparison_in_tensorboard(
    design: Design, paths: ComparisonPaths, result: Comparison
) -> None:
    """A table of the variants in TensorBoard's HParams: what is compared, then the main metrics."""
    if not any("tensorboard" in each.config.track for each in design.variants):
        return
    from kfold_hs.learn.tracking.hparams import Session, write_experiment
    from kfold_hs.learn.tracking.trackers import flat

    found, runs = metrics_of_variants(result), {each.name: each.run for each in result.variants}
    settings = {each.name: flat(each.config.as_dict()) for each in design.variants}
    sessions = [Session(runs[name], settings[name], found[name]) for name in settings]
    folder = paths.folder / "tensorboard"
    for number, session in enumerate(sessions, start=1):
        session.write(folder / f"variant-{number}")
    metrics = dict.fromkeys(name for each in found.values() for name in each)
    write_experiment(folder, sessions, _differing(list(settings.values())), list(metrics))


def _differing(settings: list[dict[str, Any]]) -> set[str]:
    """Settings that all variants have and that are not the same in all: `sched.kind`, and not what
    one of the schedules alone takes."""
    names = set.intersection(*(set(each) for each in settings))
    return {name for name in names if len({each[name] for each in settings}) > 1}
