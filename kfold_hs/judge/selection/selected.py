"""What the headline scores: the epoch that counts, the seeds averaged, stacked.

Made once for a run, so that its report, its bundle and its comparisons score the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kfold_hs.files.paths import FoldId
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.predictions.table import Predictions


@dataclass(frozen=True, eq=False)
class Selected:
    """The rows of a run's epochs that count, by how much was made of them.

    Parameters
    ----------
    rows : Predictions
        Patient rows of one epoch a fold, every seed's own, as the networks gave them.
    positives : mapping
        Task -> index of its positive class.
    n_folds : int
        Of the split, at least 1.
    stacking : Stacking
    recordings : Predictions, optional
        The rows of the recordings of the same epochs, where they are kept.
    """

    rows: Predictions
    positives: Mapping[str, int]
    n_folds: int
    stacking: Stacking = field(default_factory=Stacking)
    recordings: Predictions | None = None

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        epochs: Mapping[FoldId, int],
        positives: Mapping[str, int],
        n_folds: int,
        stacking: Stacking,
    ) -> Selected:
        """From all rows of a run; `epochs` maps (repeat, seed, fold) to the epoch that counts.

        Raises
        ------
        KeyError
            A fold of the predictions has no such epoch.
        """
        rows, recordings = (predictions.at(epochs, level) for level in ("patient", "recording"))
        return cls(rows, positives, n_folds, stacking, recordings)

    @cached_property
    def unstacked(self) -> Predictions:
        """The seeds averaged, as the networks gave them."""
        return self.rows.mean_over_seeds()

    @cached_property
    def single(self) -> Predictions:
        """Every seed's own, stacked."""
        return self.stacking(self.rows)

    @cached_property
    def scored(self) -> Predictions:
        """What the headline scores: the seeds averaged, stacked."""
        return self.stacking(self.unstacked)

    @cached_property
    def layout(self) -> Layout:
        """Of `scored`, row for row."""
        return Layout.of_predictions(self.scored, self.n_folds)
