"""A search's study: which point of the space comes next, and what became of every one.

The study is Optuna's, in an SQLite file that several processes may share and that optuna-dashboard
can read. What became of a trial is beside it in a file of its own, written before the study is
told. A trial belongs to the process that holds its lock; one that nobody holds was interrupted,
and whoever asks next goes on with it.

grid     every point in the order of the space, the last key changing fastest
random   points drawn evenly
tpe      tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), after 10 random points

No point is tried twice. Draws depend on the seed and on how many trials there are.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout

from kfold_hs.config.space import Space, Value
from kfold_hs.errors import ConfigError, DamagedFileError, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.paths import TunePaths, remove, write_json
from kfold_hs.workflows.search.trials import COMPLETE, STOPPED, Trial, read_record

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("grid", "random", "tpe")
_MOST_DRAWS = 20
"""After so many draws of points that were tried before, one of the others is taken at random."""

Point = dict[str, Value]


def check_optuna() -> None:
    """Refuse to search where Optuna is not installed.

    Raises
    ------
    ConfigError
        With the command that installs it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "searching takes Optuna, which is not installed: pip install 'kfold-hs[tune]' (from a "
            "checkout, pip install '.[tune]')."
        )


@dataclass(frozen=True)
class Ticket:
    """A trial that this process works on.

    number : of the trial, from 0, in the study
    place : which of the search's trials it is, from 1
    handle : its lock, as a context that releases it at its end; so does the end of the process
    """

    number: int
    place: int
    point: Point
    handle: AcquireReturnProxy[FileLock]


class Study:
    """The study of one search; a context that closes it.

    Parameters
    ----------
    paths : TunePaths
    space : Space
    sampler : str
        Of `SAMPLERS`.
    higher_is_better : bool
    seed : int

    Raises
    ------
    ConfigError
        Optuna is not installed, or there is no such sampler.
    """

    def __init__(
        self, paths: TunePaths, space: Space, sampler: str, higher_is_better: bool, seed: int
    ) -> None:
        check_optuna()
        if sampler not in SAMPLERS:
            raise ConfigError(unknown_name("sampler", sampler, SAMPLERS))
        import optuna

        # What is worth saying is said by the terminal.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._paths, self._space, self._sampler, self._seed = paths, space, sampler, seed
        self._put_off: set[int] = set()
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            key: optuna.distributions.CategoricalDistribution(values)
            for key, values in space.choices.items()
        }
        paths.study.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(), self._reading():
            _check_database(paths.study)
            self._storage = optuna.storages.RDBStorage(
                f"sqlite:///{paths.study.absolute()}",
                engine_kwargs={"connect_args": {"timeout": 60}},
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name="kfold-hs",
                direction="maximize" if higher_is_better else "minimize",
                load_if_exists=True,
            )

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    def next(self, n_trials: int) -> Ticket | None:
        """A trial to work on: one that was interrupted, else a new one, else None.

        Parameters
        ----------
        n_trials : int
            Trials of the whole search, over all processes and commands.
        """
        with self._locked(), self._reading():
            running = self._trials(("RUNNING",))
            tried = self._trials()
            for number, point in tried.items():
                if number in self._put_off:
                    continue
                if (trial := self._record(number, point)) is not None:
                    if number in running:  # ended before the study was told
                        self._tell(trial)
                elif handle := self._hold(number):
                    return Ticket(number, self._place_of(number), point, handle)
            if len(tried) >= min(n_trials, len(self._space)):
                return None
            number, point = self._draw(set(map(_key, tried.values())))
            handle = self._hold(number)
            assert handle is not None  # nobody else knows of it yet
            return Ticket(number, self._place_of(number), point, handle)

    def finish(self, ticket: Ticket, outcome: Mapping[str, Any]) -> None:
        """Keep what became of a trial.

        Parameters
        ----------
        ticket : Ticket
        outcome : mapping
            JSON values; `state` is `COMPLETE`, with the `value`, `FAILED` or `STOPPED`.
        """
        trial = Trial(number=ticket.number, params=ticket.point, **outcome)
        with self._locked(), self._reading():
            write_json(self._paths.trial(ticket.number), trial.model_dump())
            self._tell(trial)
        self._paths.trial_lock(ticket.number).unlink(missing_ok=True)

    def put_off(self, ticket: Ticket) -> None:
        """Leave a trial open, for another process or the next command."""
        self._put_off.add(ticket.number)

    def records(self) -> list[Trial]:
        """What became of every trial that is over, by number."""
        with self._reading():
            found = [self._record(number, point) for number, point in self._trials().items()]
            return [record for record in found if record is not None]

    def n_running(self) -> int:
        """Trials that are not over, in this process or another."""
        with self._reading():
            return len(self._trials(("RUNNING",)))

    def importances(self) -> dict[str, float] | None:
        """Share of each key in the variance of the value (functional ANOVA), largest first.

        Hutter, Hoos & Leyton-Brown (ICML 2014), of complete trials; None where fewer than three
        differ, from which nothing can be told.
        """
        import optuna

        values = [trial.value for trial in self._frozen(("COMPLETE",))]
        if len(set(values)) < 3:
            return None
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {key: float(share) for key, share in found.items()}

    def _record(self, number: int, point: Point) -> Trial | None:
        """What became of a trial; None where it is not over, or nobody can say any more.

        Raises
        ------
        DamagedFileError
            The study has another point at this number.
        """
        path = self._paths.trial(number)
        if not path.exists():
            return None
        try:
            trial = read_record(path)
            with stored.parsing(path, "the trial"):
                for key, value in trial.params.items():
                    if key in point and type(value) is not type(point[key]):
                        raise ValueError(f"params.{key} is {value!r}")
        except DamagedFileError as error:
            stored.warn(f"{path} is damaged ({error.fault}): the trial is tried out again.")
            remove(path)
            return None
        if trial.params != point or trial.number != number:
            raise self._damaged(f"it and {path} differ about trial {number}")
        return trial

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Around all that Optuna reads.

        Raises
        ------
        DamagedFileError
            In place of what it or SQLite says of a damaged file.
        """
        import sqlalchemy.exc

        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, LookupError, ValueError,
                TypeError, AttributeError) as error:  # fmt: skip
            raise self._damaged(stored.words(error)) from error

    def _damaged(self, fault: str) -> DamagedFileError:
        path = self._paths.study
        way_out = (
            f"Remove {path} and repeat the command: what was trained is found again, and a "
            "study is made anew."
        )
        return DamagedFileError("the study", path, fault, way_out)

    def _frozen(self, states: tuple[str, ...] = ()) -> list[optuna.trial.FrozenTrial]:
        """Trials of the study that have a whole point, in these states or in any."""
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if set(trial.params) == set(self._space.choices)
            and (not states or trial.state.name in states)
        ]

    def _trials(self, states: tuple[str, ...] = ()) -> dict[int, Point]:
        """Number -> point, without those whose point an earlier trial had."""
        first: dict[tuple[Value, ...], int] = {}
        for trial in self._frozen():
            first.setdefault(_key(trial.params), trial.number)
        return {
            trial.number: dict(trial.params)
            for trial in self._frozen(states)
            if first[_key(trial.params)] == trial.number
        }

    def _place_of(self, number: int) -> int:
        return sorted(self._trials()).index(number) + 1

    def _draw(self, tried: set[tuple[Value, ...]]) -> tuple[int, Point]:
        """A new trial, at a point that was not tried; there is one."""
        import optuna

        fail = optuna.trial.TrialState.FAIL
        for turn in range(_MOST_DRAWS + 1):
            n_before = len(self._study.get_trials(deepcopy=False))
            stream = np.random.SeedSequence([self._seed, n_before])
            seed = int(stream.generate_state(1)[0])
            if self._sampler == "tpe":
                self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            else:
                self._study.sampler = optuna.samplers.RandomSampler(seed=seed)
            if self._sampler == "grid" or turn == _MOST_DRAWS:
                rest = [p for p in self._space.points() if _key(p) not in tried]
                number = 0 if self._sampler == "grid" else seed % len(rest)
                self._study.enqueue_trial(dict(rest[number]))
            trial = self._study.ask(self._distributions)
            if _key(trial.params) not in tried:
                break
            self._study.tell(trial.number, state=fail)
        return trial.number, dict(trial.params)

    def _tell(self, trial: Trial) -> None:
        import optuna

        state = optuna.trial.TrialState
        if trial.state == COMPLETE:
            self._study.tell(trial.number, trial.value, skip_if_finished=True)
        else:
            # Optuna calls PRUNED what was seen to be worse, and learns from it; not from FAIL.
            ended = state.PRUNED if trial.state == STOPPED else state.FAIL
            self._study.tell(trial.number, state=ended, skip_if_finished=True)

    def _hold(self, number: int) -> AcquireReturnProxy[FileLock] | None:
        """The lock of a trial; None where another process holds it."""
        path = self._paths.trial_lock(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _lock(path).acquire(blocking=False)
        except Timeout:
            return None

    def _locked(self) -> FileLock:
        """A context in which no other process works with the study."""
        return _lock(self._paths.lock)


def _lock(path: Path) -> FileLock:
    # A lock that a killed process leaves behind would be no lock.
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def _check_database(path: Path) -> None:
    """Refuse a file that SQLite does not find whole.

    Raises
    ------
    sqlite3.Error
        With what is wrong.
    """
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise sqlite3.DatabaseError(answer)


def _key(point: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(point[key] for key in sorted(point))
