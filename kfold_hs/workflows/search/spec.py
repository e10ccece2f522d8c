"""What `kfold-hs tune` searches: the words that all trials share, the space, and what for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kfold_hs.config.compose import compose
from kfold_hs.config.space import Space, Value, find_space
from kfold_hs.config.sweep import Variant, check_same_inputs
from kfold_hs.config.training import DeviceKind
from kfold_hs.errors import ConfigError
from kfold_hs.files import stored
from kfold_hs.files.paths import TunePaths, write_json

N_TRIALS = 20
"""Trials where nobody says how many; with the grid, all points."""


@dataclass(frozen=True)
class SearchOptions:
    """What can be asked of a search beside its space's words.

    Parameters
    ----------
    space : str, optional
        A file, or the name of a space.
    n_trials : int, optional
        By default all points of a grid, and otherwise `N_TRIALS`.
    objective : str, optional
        By default the settings' headline.
    sampler, racing
        As in `Search`.
    """

    space: str | None = None
    objective: str | None = None
    sampler: str = "tpe"
    n_trials: int | None = None
    racing: bool = True


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Parameters
    ----------
    words : tuple of str
        Overrides that all trials have.
    space : Space
    objective : str
        See `judge.selection.objective`.
    sampler : str
        Of `study.SAMPLERS`.
    n_trials : int
        Over all processes and commands.
    racing : bool
        Stop trials that are worse between two folds (`judge.stats.sequential`).
    """

    words: tuple[str, ...]
    space: Space
    objective: str
    sampler: str
    n_trials: int
    racing: bool = True
    device_kind: DeviceKind = "cpu"

    def on(self, device_kind: DeviceKind) -> Search:
        """The same, trained on this kind of device (`Config.on`)."""
        return replace(self, device_kind=device_kind)

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        asked: SearchOptions,
        more: Sequence[str] = (),
    ) -> Search:
        """From a command line.

        Parameters
        ----------
        words : sequence of str
            As typed; keys with several values belong to the space.
        more : sequence of str
            Overrides that every trial gets, too, e.g. of ``--folds``.

        Raises
        ------
        ConfigError
            The space or one of its values does not fit, or trials would not stand on one ground.
        """
        fixed, found = find_space(words, asked.space)
        n_trials = asked.n_trials
        if n_trials is None:
            n_trials = len(found) if asked.sampler == "grid" else N_TRIALS
        if n_trials < 1:
            raise ConfigError(f"--trials {n_trials}: a search takes at least 1 trial.")
        # A mean has no prefix here: the terms of a search that was begun before say it so.
        wanted = (asked.objective or "").removeprefix("mean.")
        search = cls((*fixed, *more), found, wanted, asked.sampler, n_trials, asked.racing)
        found.check(search.words)
        search.check_inputs()
        if not wanted:
            headline = search.first.config.headline.removeprefix("mean.")
            search = replace(search, objective=headline)
        return search

    def variant(self, point: Mapping[str, Value]) -> Variant:
        """The variant at a point.

        Raises
        ------
        ConfigError
            Its values do not fit together.
        """
        levels = tuple(f"{key}={value}" for key, value in point.items())
        overrides = (*self.words, *self.space.overrides(point))
        config = compose(overrides).on(self.device_kind)
        return Variant(" ".join(levels), levels, overrides, config)

    @property
    def first(self) -> Variant:
        """The variant of every key's first value."""
        return self.variant({key: values[0] for key, values in self.space.choices.items()})

    def each_value(self) -> Iterator[Variant]:
        """Every value of every key once, the other keys at their first."""
        point = {name: each[0] for name, each in self.space.choices.items()}
        for key, values in self.space.choices.items():
            yield from (self.variant({**point, key: value}) for value in values)

    def terms(self, fingerprint: str, assignment: str) -> dict[str, Any]:
        """What a search cannot change under way; sampler and number of trials it can.

        Parameters
        ----------
        fingerprint, assignment : str
            Of the cohort and of the split.
        """
        return {
            "space": {key: list(values) for key, values in self.space.choices.items()},
            "objective": self.objective,
            "config": self.first.config.digest,
            "cohort": fingerprint,
            "split": assignment,
        }

    def check_inputs(self) -> None:
        """Refuse a space that changes who is trained on or scored."""
        first = self.first
        for key, values in self.space.choices.items():
            point = {name: each[0] for name, each in self.space.choices.items()}
            check_same_inputs([first, *(self.variant({**point, key: v}) for v in values[1:])])


def settle(paths: TunePaths, terms: Mapping[str, Any]) -> None:
    """Write down what is searched, or refuse when the folder is of something else.

    Raises
    ------
    ConfigError
        A run, a comparison or another search has this name.
    """
    if paths.is_other:
        raise ConfigError(
            f"{paths.folder} is the folder of a run or a comparison. Give another --name."
        )
    if not paths.terms.exists():
        write_json(paths.terms, dict(terms))
        return
    earlier = stored.read_json(paths.terms, "what is searched")
    if differ := [key for key in terms if earlier.get(key) != terms[key]]:
        raise ConfigError(
            f"the search {paths.name} exists with another {' and '.join(differ)}. Give another "
            f"--name, or remove {paths.folder}."
        )
