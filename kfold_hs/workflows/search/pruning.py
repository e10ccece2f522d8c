"""A trial, watched fold by fold and ended when the race is lost (`judge.stats.sequential`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from kfold_hs.config.sweep import Variant
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions, fold_ids
from kfold_hs.workflows.variant_runs import VariantRunner, kept_of_folds

if TYPE_CHECKING:
    from kfold_hs.judge.selection.objective import Objective
    from kfold_hs.judge.stats.sequential import InterimTest, Race


class StoppedError(Exception):
    """The race is lost: what is trained stays, the rest is not trained.

    Parameters
    ----------
    look : InterimTest
    against : str
        The incumbent.
    n_done, n_all : int
        Folds of all repeats that the look saw, every seed of each, and those of a whole trial.
    n_trained : int
        Fold models that were trained by then: more than `n_done` where one that is later in the
        plan was done earlier.
    """

    def __init__(
        self, look: InterimTest, against: str, n_done: int, n_all: int, n_trained: int
    ) -> None:
        self.look, self.against, self.n_done, self.n_all = look, against, n_done, n_all
        self.n_trained = n_trained
        super().__init__(
            f"stopped after fold {n_done} of {n_all}: {look.difference:+.3f} against "
            f"{against} (p {look.p:.2g}, {look.level:.2g} stops)"
        )


class FinishedTrials:
    """The finished trials of a search, and what each has on any of the folds."""

    def __init__(self, runner: VariantRunner, objective: Objective) -> None:
        self._runner, self._objective = runner, objective
        self._positives = runner.inputs.positives
        self._kept: dict[str, tuple[Variant, Predictions]] = {}

    def add(self, variant: Variant, predicted_with: str | None) -> None:
        """A trial that is finished; one that is known already is not read again."""
        if variant.name not in self._kept:
            self._kept[variant.name] = variant, self._runner.kept(variant, predicted_with)

    def race(self) -> Race:
        """All of them, with their values over all folds."""
        from kfold_hs.judge.results.comparison import one_layout, ordered
        from kfold_hs.judge.stats.sequential import Race

        n_folds, higher = self._runner.inputs.split.n_folds, self._objective.higher_is_better
        tables = {
            name: ordered(self._runner.stacked(variant, kept))
            for name, (variant, kept) in self._kept.items()
        }
        if not tables:
            return Race({}, higher)
        layout = one_layout(tables, n_folds)
        return Race(
            {
                name: self._objective.influence(table, self._positives, layout)
                for name, table in tables.items()
            },
            higher,
        )

    def look(self, race: Race, incumbent: str, variant: Variant, kept: Predictions) -> InterimTest:
        """A trial against the incumbent, on the folds that it has done."""
        from kfold_hs.judge.results.comparison import one_layout, ordered

        rival, its = self._kept[incumbent]
        done = set(fold_ids(kept.table))
        here = its.table[[each in done for each in fold_ids(its.table)]].reset_index(drop=True)
        both = Predictions(here, its.classes)
        tables = {
            variant.name: ordered(self._runner.stacked(variant, kept)),
            incumbent: ordered(self._runner.stacked(rival, both)),
        }
        layout = one_layout(tables, self._runner.inputs.split.n_folds)
        mine, theirs = (
            self._objective.influence(table, self._positives, layout) for table in tables.values()
        )
        return race.look(mine, theirs)


class PruningProgress:
    """Passes everything on, and looks at the race after every fold of a repeat.

    There is one look a fold, when the models of all its seeds are trained: what is compared is the
    seeds' mean, and a look a seed would spend the error of the race again for each. Folds that are
    trained at once end in any order. They are looked at in that of the plan, so that a trial is
    stopped by the same look however many are trained at once.

    Parameters
    ----------
    progress : Progress
        Gets everything.
    run : RunPaths
        Of the trial.
    look : callable
        What the trial has predicted so far -> a look.
    against : str
        The incumbent.
    plan : iterable of (repeat, seed, fold)
        Fold models of a trial, in the order of its plan.

    Raises
    ------
    StoppedError
        From `fold`: the training of the trial ends there.
    """

    def __init__(
        self,
        progress: Progress,
        run: RunPaths,
        look: Callable[[Predictions], InterimTest],
        against: str,
        plan: Iterable[FoldId],
    ) -> None:
        self._progress, self._run, self._look, self._against = progress, run, look, against
        of_fold: dict[tuple[int, int], list[FoldId]] = {}
        for fold in plan:
            of_fold.setdefault((fold.repeat, fold.fold), []).append(fold)
        self._left = deque(of_fold.values())
        self._n_all = len(self._left)
        self._n_looks = 0
        self._is_done: dict[FoldId, bool] = {}
        self._seen: list[FoldId] = []

    def stage(self, name: str) -> None:
        self._progress.stage(name)

    def step(self, done: int, total: int) -> None:
        self._progress.step(done, total)

    def training(self, n_folds: int, n_epochs: int) -> None:
        self._progress.training(n_folds, n_epochs)

    def epoch(self, fold: FoldId, row: Mapping[str, float]) -> None:
        self._progress.epoch(fold, row)

    def note(self, text: str) -> None:
        self._progress.note(text)

    def fold(self, fold: FoldId, state: str, note: str = "") -> None:
        self._progress.fold(fold, state, note)
        if state == "start":
            return
        self._is_done[fold] = state != "failed"
        while self._left and all(key in self._is_done for key in self._left[0]):
            seeds = self._left.popleft()
            # Without one of its seeds a fold would be compared with the mean of all.
            if all(self._is_done[key] for key in seeds):
                self._seen += seeds
                self._n_looks += 1
                self._look_at_the_race()

    def _look_at_the_race(self) -> None:
        if self._n_looks == self._n_all:
            return
        look = self._look(kept_of_folds(self._run, self._seen))
        if look.stops:
            n_trained = sum(self._is_done.values())
            raise StoppedError(look, self._against, self._n_looks, self._n_all, n_trained)
