"""The comparison of tables of predictions that other programs made, on the people that all have.

Tables are paired row by row: a patient in a repeat. Only where all tables put these people into
the same folds are their models paired, too, and a verdict can be about the ways of training; else
what is compared are the predictions as they are.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.errors import ConfigError, PredictionsError, counted, listing
from kfold_hs.files.paths import ComparisonPaths, check_name, write_json, write_text
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.results.comparison_result import SCHEMA, Comparison
from kfold_hs.judge.results.discordant import flips
from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, ends, number, to_decide, verdict
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.paired import CANNOT_TELL
from kfold_hs.orchestrator.progress import NullProgress, Progress
from kfold_hs.predictions.common import Common, common_of
from kfold_hs.predictions.import_columns import Columns
from kfold_hs.predictions.imported import Imported
from kfold_hs.predictions.table import SCORES
from kfold_hs.report.comparison_page import render_comparison
from kfold_hs.report.render import Page
from kfold_hs.splits.implied import audit_rows, refuse_implied_leaks
from kfold_hs.workflows.evaluation import digests_of, provenance, read_source


@dataclass(frozen=True)
class TableOptions:
    """How tables are compared.

    Parameters
    ----------
    name : str, optional
        Of the folder under reports/; by default ``compare-tables-<digest8>``.
    root : Path
    command : str
        What is printed for repeating it.
    headline : str
        The score that is led with (`judge.selection.objective`); by default the mean accuracy, or
        of scores the mean AUROC; but what all folders lead with, where they agree.
    """

    name: str | None = None
    root: Path = Path()
    command: str = ""
    headline: str = ""


@dataclass(frozen=True)
class TableComparison:
    """A finished comparison of tables: where its files are, what it found out, and its page."""

    paths: ComparisonPaths
    result: Comparison
    page: Page


def _read(path: Path) -> Imported:
    """A table with the usual names; the way out of others is an evaluation of its own."""
    try:
        return read_source(path, Columns())
    except PredictionsError as error:
        raise PredictionsError(
            f"{path}: {error} `compare` takes no such options: first `kfold-hs evaluate {path} ... "
            "--name NAME` with them (--label TASK=COLUMN gives its task the name that the other "
            "table's has), then compare reports/NAME."
        ) from error


def compare_tables(
    sources: Sequence[str | Path],
    options: TableOptions = TableOptions(),
    progress: Progress | None = None,
) -> TableComparison:
    """Compare tables of out-of-fold predictions, person by person.

    Parameters
    ----------
    sources : sequence of str or Path
        Files (CSV, Parquet) whose columns have the usual names, folders of evaluations or of runs;
        the first is the baseline.
    options : TableOptions
    progress : Progress, optional

    Raises
    ------
    PredictionsError
        A table cannot be read, no patient is in all, or one has different labels in two.
    SplitError
        A table leaks (`splits.implied`).
    """
    started, progress, name = time.time(), progress or NullProgress(), options.name
    if name is not None:
        check_name(name)
    read: dict[str, Imported] = {}
    for each, path in _named([Path(source) for source in sources]).items():
        progress.stage(f"reading {each}")
        read[each] = _read(path)
        refuse_implied_leaks(
            audit_rows(read[each].rows, read[each].classes, read[each].known), str(path)
        )
    common = common_of(read)
    digests = {each: digests_of(found)["predictions"] for each, found in read.items()}
    whole = hashlib.sha256(json.dumps(list(digests.items())).encode()).hexdigest()
    paths = ComparisonPaths(name or f"compare-tables-{whole[:8]}", options.root)
    if paths.is_run:
        raise ConfigError(f"{paths.folder} is the folder of a run. Give another --name.")
    progress.stage("comparison")
    result = Comparison.from_json(
        _judged(common, read, digests, options.headline or _shared_headline(common, read)) | {
            "name": paths.name,
            "provenance": provenance(paths.name, options.command, digests, started),
        }
    )  # fmt: skip
    write_json(paths.content, result.to_json())
    page = render_comparison(result)
    write_text(paths.page, page)
    return TableComparison(paths, result, page)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """A name for every table: that of its file or folder, with the folder above where two agree."""
    names = [path.stem if path.is_file() else path.absolute().name for path in paths]
    if len(set(names)) < len(names):
        names = [
            f"{path.absolute().parent.name}/{name}" for path, name in zip(paths, names, strict=True)
        ]
    if len(set(names)) < len(names) or len(names) < 2:
        raise ConfigError(
            f"a comparison needs two tables or more, of different names: {listing(paths)}."
        )
    return dict(zip(names, paths, strict=True))


def _shared_headline(common: Common, read: Mapping[str, Imported]) -> str:
    """What all folders lead with, if these tables can be judged by it; else empty."""
    asked = {each.headline for each in read.values()}
    if len(asked) > 1:
        return ""
    (headline,) = asked
    with suppress(ConfigError):  # of a task that not all have, or decided on folds that differ
        lead = Objective.among(headline, next(iter(common.tables.values())), common.primary)
        lead.check_folds(common.n_folds or 1)
        return headline
    return ""


def _judged(
    common: Common, read: Mapping[str, Imported], digests: Mapping[str, str], headline: str
) -> dict[str, Any]:
    """The content of comparison.json, without name and provenance."""
    tables, names = common.tables, list(common.tables)
    n_folds, share = common.n_folds, common.train_share
    variants = Variants.of(
        tables, common.positives, {"n_folds": n_folds or 1, "train_share": share or 1.0}
    )
    found = compare_variants(variants, Terms(names[0], primary=common.primary, headline=headline))
    answers, label = found["headline"]["against_baseline"], found["headline"]["label"]
    first, n_repeats = common.first, int(common.first["repeat"].nunique())
    simulated = any(each.simulated for each in read.values())
    if n_folds:
        sentences = [
            f"{verdict(label, names[0], name, each)} {to_decide(each, n_repeats)}".rstrip()
            for name, each in answers.items()
        ]
    else:
        sentences = [_as_they_are(label, names[0], name, each) for name, each in answers.items()]
    if simulated:
        sentences = [f"{SIMULATED_PEOPLE} {each}" for each in sentences]
    return {
        "schema": SCHEMA,
        "factors": [],
        **found,
        "variants": [
            {"name": name, "levels": [], "run": read[name].source, "digest": digests[name],
             "predicted_with": None, "honest": None}
            for name in names
        ],
        "simulated": simulated,
        "imported": {
            "folds_shared": n_folds is not None,
            "why": common.why,
            "left_out": {
                name: {"n_patients": len(ids), "patients": list(ids)}
                for name, ids in common.left_out.items()
            },
            "tasks_left_out": list(common.tasks_left_out),
        },
        "decided": any(each["verdict"] != CANNOT_TELL for each in answers.values()),
        "sentences": [*sentences, *_left_out(common)],
        "flips": {
            task: [
                {"first": a, "second": b, **flips(tables[a], tables[b], task)}
                for a, b in combinations(names, 2)
            ]
            for task in common.positives
            if next(iter(tables.values())).kind(task) != SCORES
        },
        "split": {
            "n_folds": n_folds, "n_repeats": n_repeats, "train_share": share,
            "digest": _digest(first),
        },
        "cohort": {
            "name": "tables",
            "n_persons": int(first["person_id"].nunique()),
            "n_patients": int(first["patient_id"].nunique()),
        },
    }  # fmt: skip


def _digest(rows: pd.DataFrame) -> str:
    """Of who is in which fold."""
    whose = rows[["repeat", "fold", "person_id", "patient_id"]]
    return hashlib.sha256(whose.to_csv(index=False).encode()).hexdigest()


def _as_they_are(label: str, first: str, second: str, found: Mapping[str, Any]) -> str:
    """What is known of two tables without folds in common."""
    here = found["these_models"]
    if here is None:
        return f"{label}: {found['difference']['method']}."
    return (
        f"{label}: {second} minus {first} is {number(here['value'], signed=True)} (95 % interval "
        f"{ends(here, signed=True)}) for these predictions, as they are, on other people like "
        "these. Which way of training is better cannot be known from them."
    )


def _left_out(common: Common) -> list[str]:
    found = [
        f"{name}: {counted(len(ids), 'patient is', 'patients are')} left out, whom not all tables "
        f"have ({listing(ids, 3)})."
        for name, ids in common.left_out.items()
        if ids
    ]
    if common.tasks_left_out:
        found.append(
            f"Not compared, since not all tables have them in the same way: "
            f"{listing(common.tasks_left_out)}."
        )
    return found
