"""Comparisons and searches as objects; the way back to any results from their folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.api.card import estimate
from kfold_hs.api.evidence import ValidationReport
from kfold_hs.api.report import Report
from kfold_hs.api.results import Results
from kfold_hs.config.overrides import read
from kfold_hs.errors import KfoldHsError
from kfold_hs.files.paths import ComparisonPaths, TunePaths, whose
from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.search_result import SearchResult
from kfold_hs.judge.results.sentences import verdict_of


class ComparisonReport(Results[Comparison]):
    """Variants on the same people: which is better, if that can be told.

    `result` is the typed content of comparison.json; `reports` opens each variant's run.

    Attributes
    ----------
    paths : ComparisonPaths
        Every file of the comparison.
    """

    content, html = "comparison.json", "comparison.html"
    kind = Comparison

    @property
    def paths(self) -> ComparisonPaths:
        return ComparisonPaths(*whose(self.folder))

    @property
    def reports(self) -> Mapping[str, Report]:
        """The report of every variant that was trained, by its name."""
        trained = [each for each in self.result.variants if each.predicted_with is None]
        return {each.name: Report(self.folder.with_name(each.run)) for each in trained}

    def to_frame(self) -> pd.DataFrame:
        """Every pair of variants by task and metric, with the difference's 95 % interval.

        Returns
        -------
        DataFrame
            task ("mean" for the headline), metric, first, second, value_first, value_second,
            difference (second minus first), low, high, margin (of equivalence), verdict.
        """
        lead = str(self.result.headline.get("metric", "accuracy"))
        rows = [*self._pairs("mean", lead, self.result.headline)]
        for task, metrics in self.result.tasks.items():
            for name, metric in metrics.items():
                rows += self._pairs(task, name, metric)
        numbers = ("value_first", "value_second", "difference", "low", "high", "margin")
        return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))

    def _pairs(
        self, task: str, name: str, metric: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        for pair in metric["pairs"]:
            first, second, apart = pair["first"], pair["second"], pair["difference"]
            yield {
                "task": task,
                "metric": name,
                "first": first,
                "second": second,
                "value_first": metric["values"][first],
                "value_second": metric["values"][second],
                "difference": apart["value"],
                "low": apart["low"],
                "high": apart["high"],
                "margin": pair["margin"],
                "verdict": verdict_of(pair, first, second),
            }

    def _lines(self) -> Iterator[str]:
        yield from self.result.sentences

    def _rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        frame = self.to_frame()
        frame = frame[(frame["task"] == "mean") & (frame["first"] == self.result.baseline)]
        rows = [
            [self.result.baseline, estimate({"value": self._value(self.result.baseline)}), "", ""]
        ]
        for row in frame.to_dict("records"):
            apart = {"value": row["difference"], "low": row["low"], "high": row["high"]}
            value = estimate({"value": row["value_second"]})
            rows.append([row["second"], value, estimate(apart, True), row["verdict"]])
        label = str(self.result.headline["label"])
        return ["variant", label, "difference to the first", "verdict"], rows

    def _value(self, variant: str) -> float | None:
        found: float | None = self.result.headline["values"][variant]
        return found


class SearchReport(Results[SearchResult]):
    """A search: every trial, and what the best is worth after the choice.

    `result` is the typed content of tune.json; `best` are the best trial's settings.

    Attributes
    ----------
    paths : TunePaths
        Every file of the search.
    """

    content, html = "tune.json", "tune.html"
    kind = SearchResult

    @property
    def paths(self) -> TunePaths:
        return TunePaths(*whose(self.folder))

    def to_frame(self) -> pd.DataFrame:
        """Trials, a row each: number, state, value, low, high, and a column a key searched."""
        keys = list(self.result.space.space)
        rows = []
        for trial in self.result.trials:
            found = trial.estimate or {}
            ends = {end: found.get(end) for end in ("low", "high")}
            first = {"number": trial.number, "state": trial.state, "value": trial.value}
            rows.append({**first, **ends, **dict.fromkeys(keys), **self._typed(trial.params)})
        return pd.DataFrame(rows).astype(dict.fromkeys(("value", "low", "high"), float))

    @property
    def best(self) -> dict[str, Any]:
        """The best trial's settings, as keywords of `cross_validate`."""
        return self._typed(self.result.winner.params)

    def _typed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values of a trial; those of a command line are texts in its grammar."""
        return {
            key: read([f"{key}={value}"])[0].value() if isinstance(value, str) else value
            for key, value in params.items()
        }

    def _lines(self) -> Iterator[str]:
        yield self.result.sentence

    def _rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        best = self.to_frame().dropna(subset="value")
        best = best.sort_values("value", ascending=not self.result.objective.higher_is_better)
        keys = list(self.result.space.space)
        rows = []
        for row in best.head(5).to_dict("records"):
            found = {key: row[key] for key in ("value", "low", "high")}
            rows.append([str(row["number"]), estimate(found), *(str(row[key]) for key in keys)])
        return ["trial", self.result.objective.label, *keys], rows


KINDS: tuple[type[Results[Any]], ...] = (
    ComparisonReport, SearchReport, ValidationReport, Report
)  # fmt: skip
"""Every kind of results, in the order in which a folder is asked for them."""


def read_report(folder: str | Path) -> Results[Any]:
    """Open the results in a folder under `reports/`: of a run, a comparison, a search, ...

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    Report, ComparisonReport, SearchReport or ValidationReport

    Raises
    ------
    KfoldHsError
        The folder holds no finished results, or damaged files.
    """
    path = Path(folder).expanduser()
    for kind in KINDS:
        if (path / kind.content).is_file():
            return kind(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise KfoldHsError(
            f"{path} {what} (from {Path.cwd()}). Give the folder of results, such as reports/NAME."
        )
    raise KfoldHsError(
        f"{path} holds no finished results: it has no {' and no '.join(k.content for k in KINDS)}. "
        "Give a folder under reports/, or repeat the call that makes it."
    )
