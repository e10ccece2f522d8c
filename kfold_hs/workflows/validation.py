"""`validate`: a bundle, frozen, on labelled people of another cohort."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pydantic

from kfold_hs.cohort import Cohort, Task
from kfold_hs.cohort.cohort import UNKNOWN_PERSONS
from kfold_hs.cohort.label_map import TaskPair, pair_tasks, relabelled
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.schema import DataConfig, TaskMap
from kfold_hs.errors import BundleError, ConfigError, PredictionsError, counted, listing
from kfold_hs.files.paths import ValidationPaths, write_json, write_text
from kfold_hs.judge.results.characteristics import characteristics, flagged, side_by_side
from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC
from kfold_hs.judge.results.validation import TaskRows, sentences_of, validated_task
from kfold_hs.judge.results.validation_result import SCHEMA, Validation
from kfold_hs.judge.selection.decisions import referral_classes, spared_class
from kfold_hs.orchestrator.progress import NullProgress, Progress
from kfold_hs.predictions.table import KEYS, Predictions, label_column, prob_column
from kfold_hs.workflows.options import RunOptions

if TYPE_CHECKING:
    from kfold_hs.bundle.external import OtherPeople
    from kfold_hs.bundle.format import Bundle
    from kfold_hs.report.render import Page

LEAVE_OUT, HELD_OUT = "leave-out", "held-out"
_DECISIONS = {"weighted_accuracy": "decided", "cost": "refer"}
"""Metric -> column of a bundle's rows."""
_OWN_NUMBERING = {"table", "synthetic"}
"""Kinds of data whose ids are anybody's: 7 here is not 7 there."""


@dataclass(frozen=True)
class ValidationOptions:
    """How people are treated whom the bundle knows, and where the results go.

    Parameters
    ----------
    run : RunOptions
        Name and root of the folder, device, command.
    known : str
        "leave-out": whoever a model was trained on is left out; "held-out": they are scored by the
        models that were not trained on them. Hold-out test persons of the run are scored.
    match : str
        By what somebody is known. "samples": the samples of a recording are in the certificate;
        "ids": a patient id is, too; "auto": ids count where both data are of one published kind.
    label_map : mapping
        Task of the bundle -> task of the data, or its task and classes; goes before `data.map`.
    headline : str
        The score to lead with; by default that of the bundle's run.

    Raises
    ------
    ConfigError
        An option has another value.
    """

    run: RunOptions = field(default_factory=RunOptions)
    known: Literal["leave-out", "held-out"] = "leave-out"
    match: Literal["auto", "samples", "ids"] = "auto"
    label_map: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    headline: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("known", self.known, (LEAVE_OUT, HELD_OUT)),
            ("match", self.match, ("auto", "samples", "ids")),
        ):
            if value not in allowed:
                raise ConfigError(f"{name}={value!r:.80} must be one of {listing(allowed)}.")


@dataclass(frozen=True, eq=False)
class FinishedValidation:
    """Where the files of a validation are, what it found, and its page."""

    paths: ValidationPaths
    result: Validation
    page: Page


def validate(
    bundle_folder: Path,
    data: DataConfig | Cohort,
    options: ValidationOptions = ValidationOptions(),
    progress: Progress | None = None,
) -> FinishedValidation:
    """Score labelled people of another cohort by a bundle, and say what it is worth on them.

    Nothing is trained, and no label of these people changes what the bundle says; only the
    recalibration that is reported beside it is fitted on them, cross-fitted over persons.

    Parameters
    ----------
    bundle_folder : Path
        Of `kfold-hs export`.
    data : DataConfig or Cohort
        The people; labels are paired by `data.map`, or by `options.label_map` of a cohort.
    options : ValidationOptions
    progress : Progress, optional

    Returns
    -------
    FinishedValidation
        paths, result (validation.json), page.

    Raises
    ------
    KfoldHsError
        The bundle or the data cannot be used, nothing can be compared, or nobody is left.
    """
    started = time.time()
    from kfold_hs.bundle.external import headline_of
    from kfold_hs.bundle.format import Bundle
    from kfold_hs.learn.device import pick_device
    from kfold_hs.orchestrator.folder import provenance
    from kfold_hs.report.validation_page import render_validation

    progress = progress or NullProgress()
    device = pick_device(options.run.device)
    bundle = Bundle.read(bundle_folder)
    headline = headline_of(bundle, options.headline)
    story = _Story.of(bundle, data, replace(options, headline=headline.key), progress)
    paths = ValidationPaths(options.run.name or story.name, options.run.root)
    if paths.is_other:
        raise ConfigError(f"{paths.folder} is the folder of other results. Give another --name.")
    rows = story.people.predicted(device, progress)
    progress.stage("validation")
    digests = {"bundle": story.digest, "cohort": story.cohort.fingerprint}
    origin = provenance(paths.name, options.run.command, digests, str(device), started)
    result = story.judged(rows, origin)
    write_text(paths.rows, story.table(rows).to_csv(index=False), True)
    write_json(paths.content, result.to_json())
    page = render_validation(result)
    write_text(paths.page, page)
    return FinishedValidation(paths, result, page)


@dataclass(frozen=True, eq=False)
class _Story:
    """A bundle and the people that it is validated on, and which of their labels are which.

    without : tasks of the bundle that are not compared, and why
    """

    people: OtherPeople
    pairs: list[TaskPair]
    without: Mapping[str, str]
    options: ValidationOptions

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        data: DataConfig | Cohort,
        options: ValidationOptions,
        progress: Progress,
    ) -> _Story:
        from kfold_hs.bundle.external import OtherPeople

        kind, given = None, {n: _task_map(n, one) for n, one in options.label_map.items()}
        if isinstance(data, Cohort):
            cohort = data
        else:
            progress.stage("recordings")
            kind, given = data.kind, {**data.map, **given}
            cohort = read_cohort(data, progress.step)
        for note in cohort.notes:
            progress.note(f"{note.counted}: {note.text}.")
        if options.match == "auto":
            same = kind == bundle.config.data.kind and kind not in _OWN_NUMBERING
            options = replace(options, match="ids" if same else "samples")
        pairs, without = pair_tasks(bundle.tasks, cohort.tasks, given)
        if bundle.forgets:
            raise BundleError(
                f"{bundle.folder} knows nobody (--forget-people), so that people whom it was "
                "trained on would be taken for other people. Validate a bundle of the same run "
                "that was exported without --forget-people."
            )
        leaves_out = options.known == LEAVE_OUT
        people = OtherPeople.of(bundle, cohort, options.match == "ids", leaves_out)
        if not people.patients:
            raise PredictionsError(
                f"all {cohort.n_persons} persons of {cohort.name} are known to the bundle, and "
                "--known leave-out leaves them out. --known held-out scores them by the models "
                "that were not trained on them; that is no external validation."
            )
        return cls(people, pairs, without, options)

    @property
    def bundle(self) -> Bundle:
        return self.people.bundle

    @property
    def cohort(self) -> Cohort:
        return self.people.cohort

    @cached_property
    def digest(self) -> str:
        """Of the bundle."""
        content = json.dumps(self.bundle.content, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """``validate-<run>-<data>-<digest8>`` over bundle, cohort, labels and options."""
        said = [self.digest, self.cohort.fingerprint, self.options.known, self.options.match]
        said += [f"{p.task.name}={p.source.name}{sorted(p.classes.items())}" for p in self.pairs]
        digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
        return f"validate-{self.bundle.content['run'][:60]}-{self.cohort.name[:40]}-{digest[:8]}"

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """predictions.csv: labels as classes of the bundle, and what it says of everybody."""
        patients = self.cohort.patients.set_index("patient_id").loc[rows.index]
        found = rows.drop(columns="sites").copy()
        found.insert(0, "person_id", patients["person_id"])
        for place, pair in enumerate(self.pairs):
            found.insert(1 + place, label_column(pair.task.name), pair.labels(patients))
        return found.reset_index()

    def rows_of(self, pair: TaskPair, rows: pd.DataFrame) -> TaskRows:
        """The patients with a label of a task; the other tasks where all of these have one."""
        from kfold_hs.bundle.rows import separated

        task, patients = pair.task, self.cohort.patients.set_index("patient_id")
        labels = pair.labels(patients)
        mine = rows[(rows["n_models"] > 0) & labels.loc[rows.index].notna()]
        if mine.empty:
            faults = [text for text in rows["problem"] if text]
            first = f" The first problem: {faults[0]}." if faults else ""
            raise PredictionsError(
                f"{task.name}: none of the {len(rows)} patients could be scored and has a label."
                f"{first}"
            )
        patients = patients.loc[mine.index]
        shipped = mine[[f"calibrated.{task.name}.{name}" for name in task.classes]].astype(float)
        sets = mine[f"set.{task.name}"]
        development = self.bundle.content.get("development")
        return TaskRows(
            self._as_predictions(mine, patients),
            task.positive_index,
            shipped.to_numpy() if shipped.notna().all(axis=None) else None,
            None if development is None else development["tasks"][task.name],
            self._decided(task, mine),
            np.array([[name in separated(each) for name in task.classes] for each in sets]),
            any(map(self.people.is_trained_on, patients["person_id"])),
            self.bundle.config.seed,
            self.people.promise,
        )

    def _as_predictions(self, rows: pd.DataFrame, patients: pd.DataFrame) -> Predictions:
        """As of a single model, with every task that all of these patients have a label of."""
        table = pd.DataFrame(
            {
                "level": "patient",
                **dict.fromkeys(KEYS, 0),
                "person_id": patients["person_id"],
                "patient_id": patients.index,
                "recording_id": "",
            }
        )
        classes = {}
        for pair in self.pairs:
            task, labels = pair.task, pair.labels(patients)
            if labels.notna().all():
                classes[task.name] = task.classes
                columns = [prob_column(task.name, name) for name in task.classes]
                table[label_column(task.name)] = labels
                table[columns] = rows[columns].astype(float)
        return Predictions(table.reset_index(drop=True), classes)

    def _decided(self, task: Task, rows: pd.DataFrame) -> dict[str, Any]:
        """What class weights and threshold of the bundle call, where it has them for everybody."""
        known, found = self.bundle.content["decisions"].get(task.name, {}), {}
        for metric, column in _DECISIONS.items():
            called = rows.get(f"{column}.{task.name}")
            if metric not in known or called is None or called.isna().any():
                continue
            if column == "refer":
                yes, no = referral_classes(task.classes)[0], spared_class(task.classes)
                called = called.map({True: yes, False: no})
            one_hot = np.eye(task.n_classes)[task.encode(called)]
            found[metric] = one_hot, (known[metric] or {}).get("crossfit")
        return found

    def _by_class(self, pair: TaskPair, rows: pd.DataFrame) -> dict[str, Any]:
        """Characteristics of the people scored, by class of the bundle."""
        scored = rows.index[rows["n_models"] > 0]
        labels = pair.labels(self.cohort.patients.set_index("patient_id")).reindex(scored)
        return {
            name: characteristics(self.cohort, list(labels.index[labels == name]))
            for name in pair.task.classes
            if (labels == name).any()
        }

    def judged(self, rows: pd.DataFrame, origin: Mapping[str, Any]) -> Validation:
        """The content of validation.json."""
        from kfold_hs.bundle.external import headline_of

        select = self.bundle.content["select"]
        patients = self.cohort.patients.set_index("patient_id")
        tasks, without = {}, dict(self.without)
        for pair in self.pairs:
            counts = patients[pair.source.name].loc[rows.index].value_counts()
            try:
                found = validated_task(pair.task.name, self.rows_of(pair, rows))
            except PredictionsError as error:
                without[pair.task.name] = str(error).removeprefix(f"{pair.task.name}: ").rstrip(".")
                continue
            left_out = {name: int(counts.get(name, 0)) for name in pair.unmapped}
            tasks[pair.task.name] = {
                "source": pair.source.name,
                "class_map": dict(pair.classes),
                "left_out": [{"class": name, "n_patients": n} for name, n in left_out.items()],
                "characteristics": self._by_class(pair, rows),
                **found,
            }
        if not tasks:
            why = ". ".join(f"{name}: {text}" for name, text in without.items())
            raise PredictionsError(f"nothing can be compared. {why}.")
        simulated = self.cohort.name == SYNTHETIC
        of_simulated = self.bundle.config.data.kind == SYNTHETIC
        headline = headline_of(self.bundle, self.options.headline)
        first = [name for name in headline.tasks if name in tasks]
        sentences = [
            each
            for name in [*first, *(name for name in tasks if name not in first)]
            for each in sentences_of(
                name, tasks[name], self.cohort.name, headline if name in first else None
            )
        ]
        if simulated or of_simulated:
            said = SIMULATED_PEOPLE if simulated else f"Models of {SIMULATED_PEOPLE}"
            sentences[0] = f"{said} {sentences[0]}"
        sentences += [
            f"Which recordings are of one person is not known: {counted(note.count, 'recording')} "
            "count as a person each, and intervals may be too narrow."
            for note in self.cohort.notes
            if note.name == UNKNOWN_PERSONS
        ]
        content = {
            "schema": SCHEMA,
            "name": origin["run"],
            "run": self.bundle.content["run"],
            "simulated": simulated,
            "simulated_models": of_simulated,
            "honest": bool(select["honest"]),
            "select": dict(select),
            "headline": {
                "key": headline.key,
                "label": headline.label,
                "metric": headline.plain,
                "tasks": first,
                "is_decided": headline.is_decided,
            },
            "sentences": sentences,
            "tasks": tasks,
            "not_compared": [{"task": name, "why": why} for name, why in without.items()],
            "people": {
                "handling": self.options.known,
                "match": self.options.match,
                **self.people.counts(rows),
            },
            "development": self._development(),
            "side_by_side": self._side_by_side(rows),
            "cohort": self.cohort.describe(),
            "provenance": dict(origin),
        }
        return Validation.from_json(content)

    def _development(self) -> dict[str, Any]:
        """What the bundle says of its own people; None where an older one says nothing."""
        carried = self.bundle.content.get("development") or {"characteristics": {}}
        return {
            "cohort": carried.get("cohort"),
            "n_persons": carried["characteristics"].get("n_persons"),
            "n_models": len(self.bundle.members),
            "digests": dict(self.bundle.content.get("digests") or {}),
        }

    def _side_by_side(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Characteristics of both cohorts; labels of these people as classes of the bundle."""
        scored = set(rows.index[rows["n_models"] > 0])
        carried = self.bundle.content.get("development")
        here = characteristics(relabelled(self.cohort, self.pairs), scored)
        flags = [
            [flag for flag in each["quality"].split("; ") if flag != "ok"]
            for sites in rows["sites"]
            for each in json.loads(sites)
        ]
        here["recordings"]["quality, as the bundle flags it"] = flagged(flags)
        return side_by_side(None if carried is None else carried["characteristics"], here)


def _task_map(name: str, given: str | Mapping[str, Any]) -> TaskMap:
    """One entry of `ValidationOptions.label_map`."""
    try:
        return TaskMap.model_validate(given)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(["label_map", name, *map(str, fault["loc"])])
        raise ConfigError(
            f"{place}: {fault['msg']}. Give a task of the data, or {{'task': NAME, 'classes': "
            "{CLASS_OF_THE_BUNDLE: CLASS_OF_THE_DATA}}."
        ) from error
