"""What the keywords of a call from Python mean: settings, and how it is carried out."""

from __future__ import annotations

import inspect
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kfold_hs.api.cohorts import Cohort
from kfold_hs.api.progress import Shown, watching
from kfold_hs.config.compose import compose, differences, is_key, key_of
from kfold_hs.config.keys import keys
from kfold_hs.config.overrides import Word
from kfold_hs.config.schema import Config
from kfold_hs.config.study import layered
from kfold_hs.config.sweep import inputs_of
from kfold_hs.config.words import words_of
from kfold_hs.errors import ConfigError, listing, nearest, readable
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.register import named_model
from kfold_hs.workflows.options import RunOptions

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs

Function = TypeVar("Function", bound=Callable[..., Any])

_SHORT = {"folds": "split.n_folds", "repeats": "split.n_repeats", "seeds": "n_seeds"}
_ONE_AT_A_TIME = threading.RLock()
"""Threads of numerical libraries, the kind of sums and random state belong to a process."""
OPTIONS = """\
    name : str, optional
        Of the folder of results; by default made of data, recipe and a digest of all settings.
    root : str or Path, optional
        Folder that holds `reports/` and `checkpoints/`; by default the current one.
    device : str, optional
        "auto" (the default), "cpu", "cuda" or "cuda:N".
    jobs : int, optional
        Folds that are trained at the same time, each in a process of its own; by default one.
    progress : bool or Progress, optional
        True shows bars in the terminal or notebook, False nothing; by default a notebook shows a
        bar, and a script nothing. Or an object with the methods of
        `kfold_hs.orchestrator.progress.Progress`.
    folds, repeats, seeds : int, optional
        Short for `split.n_folds`, `split.n_repeats` and `n_seeds`.
    overrides : sequence of str, optional
        Words of a command line, e.g. ``["train.epochs=2"]``.
    study : str, Path or sequence of them, optional
        Study files, as `kfold-hs init` writes them; later ones win, and everything else that is
        given wins over all. The people are those of `cohort`, where it is given.
    **settings
        Every other keyword is a setting, by its key on the command line: ``sched="cosine"``,
        ``seed=1``, ``train={"epochs": 2}`` or ``**{"train.epochs": 2}``. In a dict, `kind`
        chooses one of a group: ``loss={"kind": "focal", "gamma": 3}``. `kfold-hs config` prints
        all keys.
"""
_TYPES = {
    "name": "str | None", "root": "str | Path | None", "device": "str", "jobs": "int | None",
    "progress": "bool | Progress | None", "folds": "int | None", "repeats": "int | None",
    "seeds": "int | None", "overrides": "Sequence[str]",
    "study": "str | Path | Sequence[str | Path] | None",
}  # fmt: skip
_DEFAULTS = {"device": "auto", "overrides": (), "sampler": "tpe", "racing": True}


def with_options(**more: str) -> Callable[[Function], Function]:
    """Show options that a function takes as keywords in its signature and in its text.

    Parameters
    ----------
    **more
        Options of the function's own, which its text describes -> their types.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        *own, rest = signature.parameters.values()
        named = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind
            )
            for name, kind in {**more, **_TYPES}.items()
        ]
        shown = signature.replace(parameters=[*own, *named, rest])
        function.__signature__ = shown  # type: ignore[attr-defined]
        function.__doc__ = (function.__doc__ or "").replace("    **settings\n", OPTIONS, 1)
        return function

    return decorate


@dataclass(frozen=True)
class Call:
    """A call, understood.

    Parameters
    ----------
    words : tuple of str
        All settings, as a command line has them.
    cohort : Cohort or None
        What they would read, where it is read already.
    options : RunOptions
        Without the command.
    progress : bool, Progress or None
    """

    words: tuple[str, ...]
    cohort: Cohort | None
    options: RunOptions
    progress: Shown = None

    @classmethod
    def of(cls, cohort: Cohort | str | None, recipe: str | None, keywords: dict[str, Any]) -> Call:
        """From what the user gave; `keywords` are the options and all settings.

        Raises
        ------
        ConfigError
            An option or a setting does not fit.
        """
        given = dict(keywords)
        _check_keywords(given)
        options = RunOptions(
            given.pop("name", None),
            absolute_root(given.pop("root", None)),
            given.pop("device", None) or "auto",
            "",
            Fleet(given.pop("jobs", None)),
        )
        progress, words = given.pop("progress", None), _words_given(given.pop("overrides", ()))
        studies = given.pop("study", None) or ()
        studies = [studies] if isinstance(studies, str | Path) else list(studies)
        settings = {_SHORT.get(key, key): named(key, value) for key, value in given.items()
                    if value is not None or key not in _SHORT}  # fmt: skip
        first = [] if cohort is None else _words_of_cohort(cohort)
        chosen = [] if recipe is None else words_of({"recipe": recipe})
        whole = (*first, *chosen, *words_of(settings), *words)
        if studies:
            whole = tuple(_upon(studies, whole, cohort is not None))
        return cls(whole, cohort if isinstance(cohort, Cohort) else None, options, progress)

    def run_options(self, command: str, *words: str) -> RunOptions:
        """How the workflow is carried out; the report shows `command` and its words."""
        named = [] if self.options.name is None else ["--name", self.options.name]
        text = shlex.join(["kfold-hs", command, *words, *named])
        return RunOptions(
            self.options.name, self.options.root, self.options.device, text, self.options.fleet
        )

    def inputs(self, config: Config, progress: Progress) -> RunInputs | None:
        """What the runs begin with, of the cohort in memory; None where it is to be read.

        Raises
        ------
        ConfigError
            The settings would read other recordings than those of the cohort.
        """
        if self.cohort is None:
            return None
        from kfold_hs.learn.device import pick_device
        from kfold_hs.workflows.inputs import read_inputs

        pick_device(self.options.device)  # a wrong name is refused before the audit
        mine = compose(self.cohort.settings)
        if found := differences(inputs_of(mine)["data"], inputs_of(config)["data"], "data."):
            raise ConfigError(
                f"the cohort was read with other settings: {readable(listing(found), 600)}. Read "
                "it with these settings (read_cohort), or leave them out here."
            )
        return read_inputs(config, progress, self.cohort)

    @contextmanager
    def running(self) -> Iterator[Progress]:
        """One call at a time; an interrupted one says how to go on."""
        with _ONE_AT_A_TIME, watching(self.progress) as progress:
            try:
                yield progress
            except KeyboardInterrupt as stop:
                stop.add_note(
                    "Finished folds and epochs are kept: the same call continues where it stopped."
                )
                raise


def absolute_root(root: str | Path | None) -> Path:
    """Folder of `reports/`, whatever the process's folder is later."""
    return Path(root or "").expanduser().absolute()


def named(key: str, value: Any) -> Any:
    """A class or function that stands for a choice, by the name that it has as a plug-in's.

    A network that was not added yet is, under its own name in small letters.
    """
    if isinstance(value, Mapping):
        return {name: named(key, each) if name == "kind" else each for name, each in value.items()}
    if key != "model" or not callable(value):
        return value
    return named_model(value)


def _check_keywords(given: Mapping[str, Any]) -> None:
    """Refuse a misspelt option; the composition knows the settings only."""
    for name in given:
        if name in _TYPES or is_key(name):
            continue
        if (guess := nearest(name, [*_TYPES, *keys()])) in _TYPES:
            raise ConfigError(f"unknown keyword {name!r:.80}. Did you mean {guess!r}?")


def _words_of_cohort(cohort: Cohort | str) -> Sequence[str]:
    if isinstance(cohort, str):
        return words_of({"data": cohort})
    settings = getattr(cohort, "settings", ())
    if not settings:
        raise ConfigError(
            f"the cohort is of type {type(cohort).__name__} and does not say how it was read, so "
            "that no run could be repeated. Give one of read_cohort, Cohort.from_frame or "
            "synthetic_cohort, or the name of the data."
        )
    return tuple(settings)


def _upon(studies: Sequence[str | Path], words: Sequence[str], has_cohort: bool) -> list[str]:
    """The words of study files, and those given upon them; with a cohort, without their people."""
    found = layered([Path(each).expanduser() for each in studies], words)
    return [
        word
        for word in found
        if not (has_cohort and isinstance(word, Word) and key_of(word).split(".")[0] == "data")
    ]


def _words_given(words: Sequence[str] | str) -> Sequence[str]:
    if isinstance(words, str) or not all(isinstance(each, str) for each in words):
        raise ConfigError(
            "overrides is a list of words such as ['train.epochs=2', 'sched=cosine']; settings of "
            "Python are keywords of their own."
        )
    return tuple(words)


def variant_words(name: str, settings: Any) -> Sequence[str]:
    """The words of a variant, given as settings or as words.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if isinstance(settings, Mapping):
        return words_of({_SHORT.get(str(k), str(k)): named(str(k), v) for k, v in settings.items()})
    if (
        isinstance(settings, str)
        or not isinstance(settings, Iterable)
        or not all(isinstance(each, str) for each in settings)
    ):
        raise ConfigError(
            f"the variant {name!r:.80} is no dict of settings such as {{'sched': 'cosine'}}, and "
            "no list of words such as ['sched=cosine']. Finished predictions are compared by "
            "`kfold-hs compare a.csv b.csv`."
        )
    return tuple(settings)
