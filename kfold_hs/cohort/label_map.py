"""Labels of one cohort as those of another: which task is which, and which class.

A bundle knows Abnormal and Normal of `outcome`; the people of another hospital have `diagnosis`
with other classes. Each task of the bundle is paired with one task of the data: by `data.map`, else
by name. Its classes are paired by the map, else by name in any case; then the two positive ones,
and, where both tasks have two classes, the two others. A class without a counterpart has no label
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from kfold_hs.cohort.cohort import Cohort, Task
from kfold_hs.config.schema import TaskMap
from kfold_hs.errors import ConfigError, listing, unknown_name


@dataclass(frozen=True)
class TaskPair:
    """A task of a bundle, and the task of other data whose labels it is held against.

    Parameters
    ----------
    task, source : Task
        Of the bundle, and of the data.
    classes : mapping
        Class of the data -> class of the bundle; those without a counterpart are absent.
    """

    task: Task
    source: Task
    classes: Mapping[str, str]

    @cached_property
    def unmapped(self) -> tuple[str, ...]:
        """Classes of the data without a counterpart in the bundle."""
        return tuple(name for name in self.source.classes if name not in self.classes)

    @cached_property
    def absent(self) -> tuple[str, ...]:
        """Classes of the bundle without a counterpart in the data."""
        return tuple(name for name in self.task.classes if name not in self.classes.values())

    def labels(self, patients: pd.DataFrame) -> pd.Series:
        """Label of every patient as a class of the bundle, None without a counterpart."""
        found = [self.classes.get(label) for label in patients[self.source.name]]
        return pd.Series(found, index=patients.index, dtype=object)


def pair_tasks(
    tasks: Sequence[Task], sources: Sequence[Task], given: Mapping[str, TaskMap]
) -> tuple[list[TaskPair], dict[str, str]]:
    """Every task of a bundle that the data have labels of, and why there is none of the others.

    Parameters
    ----------
    tasks, sources : sequence of Task
        Of the bundle, and of the data.
    given : mapping
        Task of the bundle -> what the user says of it (`data.map`).

    Raises
    ------
    ConfigError
        A task or class of the map does not exist, two classes of the bundle claim one of the data,
        a task of the map has labels of a single class, or no task has a counterpart.
    """
    by_name = {task.name: task for task in sources}
    for name, each in given.items():
        if name not in {task.name for task in tasks}:
            kind = "task of the bundle in data.map:"
            raise ConfigError(unknown_name(kind, name, [task.name for task in tasks]))
        if each.task not in by_name:
            kind = f"task of the data in data.map.{name}:"
            raise ConfigError(unknown_name(kind, each.task, by_name))
    pairs, without = [], {}
    for task in tasks:
        said = given.get(task.name)
        source = by_name.get(said.task if said else task.name)
        if source is None:
            without[task.name] = "the data have no labels of it"
            continue
        declared = said.classes if said else {}
        classes = _declared(task, source, declared) if declared else _by_default(task, source)
        fault = _fault(task, source, classes)
        if fault and said:
            raise ConfigError(f"{task.name} cannot be compared: {fault}.")
        if fault:
            without[task.name] = fault
        else:
            pairs.append(TaskPair(task, source, classes))
    if not pairs:
        mine, theirs = next(task.name for task in tasks), next(iter(by_name))
        why = " ".join(f"{name}: {text}." for name, text in without.items())
        raise ConfigError(
            f"nothing can be compared: the bundle has the tasks {listing(t.name for t in tasks)}, "
            f"the data {listing(by_name)}. {why} Name the pairs, e.g. data.map.{mine}={theirs}."
        )
    return pairs, without


def relabelled(cohort: Cohort, pairs: Sequence[TaskPair]) -> Cohort:
    """The cohort with the tasks and classes of the bundle; a class without a counterpart keeps its
    name."""
    own = [task.name for task in cohort.tasks]
    patients = cohort.patients.drop(columns=own)
    tasks = []
    for pair in pairs:
        theirs = cohort.patients[pair.source.name]
        labels = pair.labels(cohort.patients).where(lambda found: found.notna(), theirs)
        patients[pair.task.name] = labels
        classes = tuple(dict.fromkeys([*pair.task.classes, *labels]))
        tasks.append(replace(pair.task, classes=classes, class_weights=(1.0,) * len(classes)))
    taken = {task.name for task in tasks}
    return replace(
        cohort,
        tasks=tuple(tasks),
        patients=patients,
        recordings=cohort.recordings.drop(columns=own, errors="ignore"),
        covariates=tuple(name for name in cohort.covariates if name not in taken),
        annotations=tuple(name for name in cohort.annotations if name not in taken),
    )


def _declared(task: Task, source: Task, declared: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Class of the data -> class of the bundle, as the user says."""
    found: dict[str, str] = {}
    place = f"data.map.{task.name}.classes"
    for name, classes in declared.items():
        if name not in task.classes:
            raise ConfigError(unknown_name(f"class of the bundle in {place}:", name, task.classes))
        for each in classes:
            if each not in source.classes:
                kind = f"class of the data in {place}.{name}:"
                raise ConfigError(unknown_name(kind, each, source.classes))
            if each in found:
                raise ConfigError(
                    f"{place} gives the class {each!r:.80} of the data to {found[each]!r:.80} and "
                    f"to {name!r:.80}. Name it once."
                )
            found[each] = name
    return found


def _by_default(task: Task, source: Task) -> dict[str, str]:
    """Class of the data -> class of the bundle: of one name, then the positive ones."""
    folded = {name.casefold(): name for name in task.classes}
    found = {name: folded[name.casefold()] for name in source.classes if name.casefold() in folded}
    rests = [
        [name for name in (pair[0].positive, *_others(pair[0])) if name not in pair[1]]
        for pair in ((source, set(found)), (task, set(found.values())))
    ]
    if rests[0] and rests[1] and rests[0][0] == source.positive and rests[1][0] == task.positive:
        found[source.positive] = task.positive
        if source.n_classes == task.n_classes == 2:
            found |= dict(zip(_others(source), _others(task), strict=True))
    return found


def _others(task: Task) -> list[str]:
    return [name for name in task.classes if name != task.positive]


def _fault(task: Task, source: Task, classes: Mapping[str, str]) -> str:
    """Why these pairs of classes allow no comparison, or "" where they do."""
    if len(set(classes.values())) > 1 and task.positive in classes.values():
        return ""
    pairs = listing(f"{theirs} is {ours}" for theirs, ours in classes.items()) or "none"
    return (
        f"of the classes {listing(task.classes)} of the bundle and {listing(source.classes)} of "
        f"{source.name} in the data, these are paired: {pairs}. The positive class {task.positive} "
        f"and another one are needed: data.map.{task.name}={{task: {source.name}, classes: "
        f"{{{task.positive}: CLASS, ...}}}}"
    )
