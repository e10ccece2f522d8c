"""Calls that train nothing: other programs' predictions, and other hospitals' people."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import pandas as pd

from kfold_hs.api.calls import absolute_root
from kfold_hs.api.card import estimate
from kfold_hs.api.cohorts import Cohort, read_cohort
from kfold_hs.api.progress import Shown, watching
from kfold_hs.api.report import Report
from kfold_hs.api.results import Results
from kfold_hs.errors import ConfigError, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.paths import ValidationPaths, whose
from kfold_hs.judge.results.validation_result import Validation
from kfold_hs.workflows.options import RunOptions

if TYPE_CHECKING:
    from kfold_hs.api.models import Models
    from kfold_hs.workflows.evaluation import Source


def evaluate(source: Source | None = None, *, progress: Shown = None, **given: Any) -> Report:
    """The report for out-of-fold predictions that any program made.

    Parameters
    ----------
    source : DataFrame, str or Path, optional
        A table, its file (CSV or Parquet), or a folder of outputs. Without it, give `y_true` and
        `y_proba`.
    progress : bool or Progress, optional
        As in `cross_validate`.
    **given
        Columns by what they are: ``person="id"``, ``label="diagnosis"``,
        ``probability={"Present": "p1"}``, ``fold="fold"``, ``group=["age"]``; or arrays, as
        scikit-learn's `cross_val_predict` takes and gives them: `y_true`, `y_proba`, `groups`
        (persons), `classes`, `folds`, `repeats`. `labels`: a table of labels, or its file. And
        ``name``, ``root``, ``headline``, ``target``, ``audit``, ``band_resamples``, ``bca``.
        `docs/evaluate.md` has them all.

    Returns
    -------
    Report
        What cannot be known of such predictions (epochs, seeds, histories, models) is not there.

    Raises
    ------
    KfoldHsError
        The table cannot be read, a person is on both sides, or an option does not fit.

    Examples
    --------
    >>> proba = cross_val_predict(model, x, y, groups=people, cv=kf.StratifiedPersonKFold(5),
    ...                           method="predict_proba")
    >>> kf.evaluate(y_true=y, y_proba=proba, groups=people)
    """
    from kfold_hs.workflows import evaluation

    given["root"] = absolute_root(given.get("root"))
    with watching(progress) as watcher:
        found = evaluation.evaluate(source, progress=watcher, **given)
    return Report(found.paths.report_folder)


class ValidationReport(Results[Validation]):
    """A bundle on people of another cohort: every metric, its change, and the calibration.

    `result` is the typed content of validation.json.

    Attributes
    ----------
    paths : ValidationPaths
        Every file of the validation.
    """

    content, html = "validation.json", "validation.html"
    kind = Validation

    @property
    def paths(self) -> ValidationPaths:
        return ValidationPaths(*whose(self.folder))

    @property
    def predictions(self) -> pd.DataFrame:
        """A row a patient, with the columns of `kfold-hs predict`."""
        raw = io.BytesIO(stored.read_bytes(self.paths.rows, "the predictions"))
        return pd.read_csv(raw, dtype={"patient_id": str, "person_id": str})

    def to_frame(self) -> pd.DataFrame:
        """Metrics with their 95 % intervals, a row a task and metric.

        Returns
        -------
        DataFrame
            task, metric; value, low, high: on these people; internal: what cross-validation had
            estimated; change, change_low, change_high; NaN where it is unknown.
        """
        rows = []
        for task, found in self.result.tasks.items():
            for name, metric in found.metrics.items():
                internal, change = metric["internal"] or {}, metric["change"] or {}
                rows.append(
                    {
                        "task": task,
                        "metric": name,
                        **{key: metric["external"][key] for key in ("value", "low", "high")},
                        "internal": internal.get("value"),
                        "change": change.get("value"),
                        "change_low": change.get("low"),
                        "change_high": change.get("high"),
                    }
                )
        frame = pd.DataFrame(rows)
        return frame.astype(dict.fromkeys(frame.columns[2:], float))

    def _lines(self) -> Iterator[str]:
        yield from self.result.sentences

    def _rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        rows = []
        for row in self.to_frame().to_dict("records"):
            if row["metric"] not in ("accuracy", "auroc", "brier"):
                continue
            change = {end: row[f"change_{end}"] for end in ("low", "high")}
            rows.append([
                f"{row['task']}, {row['metric']}",
                estimate({key: row[key] for key in ("value", "low", "high")}),
                estimate({"value": row["internal"]}),
                estimate({"value": row["change"], **change}, True),
            ])  # fmt: skip
        return ["", "these people", "cross-validation", "change"], rows


class ValidateOptions(TypedDict, total=False):
    """Keywords of `validate`."""

    known: Literal["leave-out", "held-out"]
    match: Literal["samples", "ids", "auto"]
    data: Mapping[str, Any]
    headline: str
    name: str
    root: str | Path
    device: str


def validate(
    bundle: str | Path | Models,
    cohort: Cohort | str,
    *,
    label_map: Mapping[str, Any] | None = None,
    progress: Shown = None,
    **options: Unpack[ValidateOptions],
) -> ValidationReport:
    """Score labelled people of another cohort by a bundle, frozen (external validation).

    Parameters
    ----------
    bundle : str, Path or Models
        Of `Report.export`, `load_bundle` or `kfold-hs export`.
    cohort : Cohort or str
        The people; or the kind of data, with its settings (``"cinc2016", data={"root": DIR}``).
    label_map : mapping, optional
        Task of the bundle -> task of the cohort, or ``{"task": NAME, "classes": {OURS: THEIRS}}``;
        by default those of one name.
    progress : bool or Progress, optional
        As in `cross_validate`.
    known : "leave-out" or "held-out"
        Whom the bundle was trained on is left out, or scored by the models that were not trained
        on them.
    match : "auto", "samples" or "ids"
        By what people are known; "auto": ids count where both data are of one published kind.
    data : mapping
        Settings of the data, where `cohort` is its kind.
    headline : str
        The score to lead with, as in `cross_validate`; by default that of the bundle's run.
    name, root, device
        As in `cross_validate`.

    Returns
    -------
    ValidationReport

    Raises
    ------
    KfoldHsError
        The bundle or the data cannot be used, nothing can be compared, or nobody is left.

    Examples
    --------
    >>> kf.validate("bundle", "cinc2016", data={"root": "../shared/cinc2016-sample"},
    ...             label_map={"outcome": "diagnosis"})
    """
    from kfold_hs.workflows import validation

    given: dict[str, Any] = dict(options)
    known = [*ValidateOptions.__annotations__, "label_map", "progress"]
    if unknown := [each for each in given if each not in known]:
        raise ConfigError(unknown_name("keyword", unknown[0], known))
    own = {key: given[key] for key in ("known", "match", "headline") if key in given}
    if isinstance(cohort, str):
        cohort = read_cohort(cohort, progress=progress, **given.get("data", {}))
    folder = bundle if isinstance(bundle, str | Path) else bundle.bundle.folder
    run = RunOptions(
        given.get("name"),
        absolute_root(given.get("root")),
        given.get("device", "auto"),
        f"kf.validate({str(folder)!r}, ...)",
    )
    how = validation.ValidationOptions(run=run, label_map=label_map or {}, **own)
    with watching(progress) as watcher:
        found = validation.validate(Path(folder).expanduser(), cohort, how, watcher)
    return ValidationReport(found.paths.folder)
