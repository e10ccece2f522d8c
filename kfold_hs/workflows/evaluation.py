"""The evaluation of predictions that another program made: from a table to a report. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from kfold_hs.cohort.cohort import Note
from kfold_hs.config.judging import JudgeConfig
from kfold_hs.errors import ConfigError, PredictionsError, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.paths import (
    ComparisonPaths,
    RunPaths,
    TunePaths,
    check_name,
    write_json,
    write_text,
)
from kfold_hs.files.versions import versions_of
from kfold_hs.judge.results.evaluation import EvaluationRecord, summarise_imported
from kfold_hs.judge.results.summary import Summary
from kfold_hs.orchestrator.progress import NullProgress, Progress
from kfold_hs.predictions.import_columns import Columns
from kfold_hs.predictions.imported import Imported, from_arrays, read_frame, read_table
from kfold_hs.report.render import Page
from kfold_hs.report.run_page import render_evaluation
from kfold_hs.report.tables import write_tables
from kfold_hs.splits.implied import audit_rows, refuse_implied_leaks
from kfold_hs.workflows.prediction_folders import (
    read_folder,
    read_labels,
    said_beside,
    with_labels,
)

Source = str | Path | pd.DataFrame
_ARRAYS = {"groups": "person", "folds": "fold", "repeats": "repeat"}


@dataclass(frozen=True)
class EvaluationOptions:
    """How predictions are evaluated.

    Parameters
    ----------
    name : str, optional
        Of the folder under reports/; by default ``evaluate-<source>-<digest8>``.
    root : Path
        The folder that holds reports/.
    headline : str, optional
        The score that the report leads with (``murmur.auroc``, ``mean.accuracy``); by default the
        mean accuracy, or of scores the mean AUROC.
    target : float, optional
        The value of it that the report judges; none by default.
    audit : bool
        Whether a leak ends the evaluation; it is on the page either way.
    band_resamples, bca : int
        Of the people, for the bands of curves and for intervals; see `config.judging.JudgeConfig`.
    command : str
        What is printed for repeating it.
    """

    name: str | None = None
    root: Path = Path()
    headline: str | None = None
    target: float | None = None
    audit: bool = True
    band_resamples: int = 1000
    bca: int = 0
    command: str = ""

    def check(self) -> None:
        """Refuse what no evaluation can have.

        Raises
        ------
        ConfigError
            The name or a number of resamples is out of its bounds.
        """
        if self.name is not None:
            check_name(self.name)
        try:
            JudgeConfig(band_resamples=self.band_resamples, bca=self.bca)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            said = first["msg"].removeprefix("Value error, ").replace("judge.", "")
            if first["loc"]:
                said = f"{first['loc'][0]}={first['input']!r}: {said}"
            if said.startswith("band_resamples"):
                said += " (--bands on the command line)"
            raise ConfigError(f"{said}.") from None


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: where its files are, what its summary says, and its page."""

    paths: RunPaths
    summary: Summary
    page: Page = field(repr=False)


def evaluate(
    source: Source | None = None, *, progress: Progress | None = None, **given: Any
) -> Evaluation:
    """Evaluate out-of-fold predictions that any program made, as a run is evaluated.

    Parameters
    ----------
    source : DataFrame, str or Path, optional
        A table, its file (CSV or Parquet), or a folder: see `workflows.prediction_folders`. Without
        it, give `y_true` and `y_proba`.
    progress : Progress, optional
    **given
        The columns, as `predictions.import_columns.Columns` has them: ``person="id"``,
        ``label="diagnosis"``, ``probability={"Present": "p1"}``, ``group=["age"]``; or values in
        place of names. `y_true`, `y_proba`, `groups` (persons), `classes`, `folds` and `repeats`:
        arrays, as scikit-learn's `cross_val_predict` takes and gives them. `labels`: a table, its
        file, or the challenge's folder of labels. And what `EvaluationOptions` has: ``name``,
        ``root``, ``headline``, ``target``, ``audit``, ``band_resamples``, ``bca``.

    Returns
    -------
    Evaluation
        summary, paths and page; the files are in reports/<name>/.

    Raises
    ------
    PredictionsError
        The table cannot be read; the message names the column and the way out.
    SplitError
        A person is scored by two folds of a repeat, or is predicted twice, and audit is True.
    ConfigError
        An unknown keyword, or an option out of its bounds.
    """
    asked = _sorted_out(given)
    options = EvaluationOptions(**asked["options"])
    options = replace(options, root=Path(options.root))
    options.check()
    if arrays := asked["arrays"]:
        if source is not None or set(arrays) != {"y_true", "y_proba"}:
            raise ConfigError("give a table, or both y_true and y_proba; not one of each.")
        source, columns = _of_arrays(arrays["y_true"], arrays["y_proba"], asked["columns"])
    else:
        columns = Columns(**asked["columns"])
    if source is None:
        raise ConfigError(
            "nothing to evaluate: give a table, a file or a folder, or y_true and y_proba."
        )
    imported = read_source(source, columns, asked["labels"].get("labels"))
    return evaluate_imported(imported, options, progress or NullProgress())


def _sorted_out(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Keywords by what they are about: options, columns, arrays, labels.

    Raises
    ------
    ConfigError
        A keyword is about none.
    """
    kinds = {
        "options": _names(EvaluationOptions),
        "columns": _names(Columns),
        "arrays": ["y_true", "y_proba"],
        "labels": ["labels"],
    }
    known = [name for names in kinds.values() for name in names] + list(_ARRAYS)
    if unknown := [name for name in given if name not in known]:
        raise ConfigError(unknown_name("keyword", unknown[0], known))
    named = {_ARRAYS.get(name, name): value for name, value in given.items() if value is not None}
    return {
        kind: {name: named[name] for name in names if name in named}
        for kind, names in kinds.items()
    }


def _of_arrays(y_true: Any, y_proba: Any, given: Mapping[str, Any]) -> tuple[pd.DataFrame, Columns]:
    """The table of arrays; each row is a patient, unless patients are given."""
    frame, columns = from_arrays(y_true, y_proba, given.get("classes"))
    for name, value in given.items():
        if name != "classes":  # values belong to the rows in their order, whatever the index
            plain: Any = value.to_numpy() if isinstance(value, pd.Series) else value
            columns = replace(columns, **{name: plain})
    if columns.patient is None:
        if columns.repeat is not None or columns.seed is not None:
            raise ConfigError(
                "with repeats or seeds a row is not a patient of its own: give `patient`, too."
            )
        columns = replace(columns, patient=range(len(frame)))
    return frame, columns


def _names(part: type[Any]) -> list[str]:
    return [each.name for each in dataclasses.fields(part)]


def read_source(source: Source, columns: Columns, labels: Source | None = None) -> Imported:
    """The predictions of a table, a file or a folder, with labels from elsewhere where asked for.

    Raises
    ------
    PredictionsError
        See `predictions.imported.read_frame` and `workflows.prediction_folders`.
    """
    name, frame, said = "table", source, dict[str, Any]()
    if not isinstance(source, pd.DataFrame):
        path = Path(source)
        name = path.name or path.absolute().name
        if not path.exists():
            raise PredictionsError(
                f"{path} does not exist: give a table (.csv, .parquet) or a folder."
            )
        frame = read_folder(path) if path.is_dir() else read_table(path)
        said = said_beside(path)
    assert isinstance(frame, pd.DataFrame)
    notes: list[Note] = []
    if labels is not None:
        table = labels if isinstance(labels, pd.DataFrame) else read_labels(Path(labels))
        key = columns.patient if isinstance(columns.patient, str) else None
        frame, notes = with_labels(frame, table, key)
    found = read_frame(frame, columns, name)
    return replace(found, notes=(*notes, *found.notes), **said)


def evaluate_imported(
    imported: Imported, options: EvaluationOptions, progress: Progress | None = None
) -> Evaluation:
    """Audit, judge and write what was read; see `evaluate`."""
    started, progress = time.time(), progress or NullProgress()
    progress.stage("audit")
    findings = audit_rows(imported.rows, imported.classes, imported.known)
    if options.audit:
        refuse_implied_leaks(findings, imported.source)
    if any(finding.kind == "predicted twice" for finding in findings):
        imported = imported.with_ids_apart()
    predictions, digests = imported.predictions(), digests_of(imported)
    name = options.name or _name(imported.source, digests["predictions"], options)
    paths = RunPaths(name, options.root)
    _refuse_other(paths)
    record = EvaluationRecord(
        predictions, imported.positives, imported.primary, imported.known,
        {
            "source": imported.source,
            "simulated": imported.simulated,
            "digest": digests["split"],
            "notes": [dataclasses.asdict(note) for note in imported.notes],
            "findings": [finding.to_dict() for finding in findings],
            "audited": options.audit,
            "provenance": provenance(name, options.command, digests, started),
        },
        imported.patients,
        {"headline": options.headline, "target": options.target,
         "band_resamples": options.band_resamples, "bca": options.bca},
    )  # fmt: skip
    progress.stage("report")
    summary = summarise_imported(record)
    predictions.write(paths.predictions, digests)
    record.selected.scored.write(paths.scored, digests)
    write_json(paths.summary, summary.to_json())
    page = render_evaluation(summary)
    write_text(paths.report, page)
    write_tables(page.tables, paths.report_folder / "tables")
    return Evaluation(paths, summary, page)


def draw_evaluation(paths: RunPaths) -> Evaluation:
    """The page of an evaluation, from its folder alone; nothing is written."""
    content = stored.read_json(paths.summary, "the summary")
    with stored.making_sense_of(paths.summary):
        summary = Summary.from_json(content)
        return Evaluation(paths, summary, render_evaluation(summary))


def is_evaluation(paths: RunPaths) -> bool:
    """Whether a folder holds an evaluation, which has a summary and no configuration."""
    return paths.summary.is_file() and not paths.config.exists()


def digests_of(imported: Imported) -> dict[str, str]:
    """Of all that was read, and of who is in which fold."""
    rows = imported.rows
    split = rows[["repeat", "seed", "fold", "person_id", "patient_id"]]
    if "fold" not in imported.known:
        split = split.drop(columns="fold")
    ordered = split.sort_values(list(split.columns))
    return {"predictions": _sha256(rows), "split": _sha256(ordered)}


def provenance(
    name: str, command: str, digests: Mapping[str, str], started: float
) -> dict[str, Any]:
    """How an evaluation came about."""
    versions = versions_of(("kfold-hs", "numpy", "pandas", "scipy", "scikit-learn"))
    return {
        "run": name,
        "command": command,
        "digests": dict(digests),
        "versions": versions,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": time.time() - started,
    }


def _refuse_other(paths: RunPaths) -> None:
    """Refuse the folder of a run, a comparison or a search."""
    others = (ComparisonPaths(paths.name, paths.root), TunePaths(paths.name, paths.root))
    if paths.config.exists() or any(each.content.exists() for each in others):
        raise ConfigError(
            f"{paths.report_folder} is the folder of a run, a comparison or a search. Give another "
            "--name."
        )


def _name(source: str, digest: str, options: EvaluationOptions) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source).stem).strip("-_")[:60] or "table"
    # There was always a target once: without one, the name is what it was then.
    target = 0.95 if options.target is None else options.target
    asked: tuple[Any, ...] = (digest, target, options.band_resamples, options.bca)
    asked += () if options.headline is None else (options.headline,)
    return f"evaluate-{stem}-{hashlib.sha256(repr(asked).encode()).hexdigest()[:8]}"


def _sha256(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
