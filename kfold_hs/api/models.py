"""The fold models of a run, or of a bundle: asked together, or one by one."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import pandas as pd

from kfold_hs.api.progress import Shown, watching
from kfold_hs.bundle.format import Bundle, Member
from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import TableData
from kfold_hs.errors import CohortError, counted, listing
from kfold_hs.files.paths import FoldId
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.splits.split import TEST

if TYPE_CHECKING:
    from kfold_hs.bundle.patients import Patient
    from kfold_hs.learn.models.network import HeartSoundNet

Inputs = str | Path | Sequence[str | Path] | pd.DataFrame | Cohort
"""Files, folders and CSVs as `kfold-hs predict` takes them; a frame with a row a recording."""


class Segmentations(NamedTuple):
    """Heart cycles of recordings.

    Parameters
    ----------
    recordings : DataFrame
        A row a recording: confidence, segmented, heart_rate_bpm, murmur, ...; `problem` says why
        one has no states.
    states : DataFrame
        recording, patient_id, start_s, end_s, state (0: not sure, 1: S1, 2: systole, 3: S2,
        4: diastole).
    """

    recordings: pd.DataFrame
    states: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Models(Sequence["FoldModel"]):
    """All fold models of a run: a sequence of `FoldModel`, and the ensemble of them.

    Parameters
    ----------
    bundle : Bundle
    keeps : object, optional
        What must live as long as the models, such as their temporary folder.
    """

    bundle: Bundle
    keeps: object = None

    @overload
    def __getitem__(self, index: int) -> FoldModel: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FoldModel]: ...

    def __getitem__(self, index: int | slice) -> FoldModel | Sequence[FoldModel]:
        if isinstance(index, slice):
            return [FoldModel(self, each) for each in self.bundle.members[index]]
        return FoldModel(self, self.bundle.members[index])

    def __len__(self) -> int:
        return len(self.bundle.members)

    def __iter__(self) -> Iterator[FoldModel]:
        return (FoldModel(self, each) for each in self.bundle.members)

    def __repr__(self) -> str:
        tasks = ", ".join(task.name for task in self.bundle.tasks)
        n = counted(len(self), "fold model")
        return f"{n} of {self.bundle.content['run']}, to predict {tasks}"

    def predict(
        self,
        inputs: Inputs,
        *,
        device: str = "auto",
        progress: Shown = None,
        calibration: str = "temperature",
        coverage: float = 0.9,
        sets: str = "class",
    ) -> pd.DataFrame:
        """Score people; whoever was in the run is scored only by models that held them out.

        Parameters
        ----------
        inputs : path, sequence of paths, DataFrame or Cohort
            WAV, FLAC or AIFF files, folders of them, CSVs. A frame has a row a recording with
            columns `recording` and, where there are, `patient_id`, `person_id`, `site`; its paths
            are relative to the current folder.
        device : str
            "auto", "cpu", "cuda" or "cuda:N".
        progress : bool or Progress, optional
            As in `cross_validate`.
        calibration : str
            Of the calibrated probabilities: "temperature", "vector" or "isotonic".
        coverage : float
            Of the conformal sets, in (0, 1).
        sets : str
            To whom the coverage is promised: "class", to the patients of every class, or "all", to
            all patients together.

        Returns
        -------
        DataFrame
            A row a patient, with the columns of `kfold-hs predict`: patient_id, known, scored_by,
            label.<task>, p.<task>.<class>, ...; `problem` says what could not be used.

        Raises
        ------
        KfoldHsError
            An input does not exist or holds no recording, or an option does not fit.
        """
        from kfold_hs.bundle.predict import predict_patients
        from kfold_hs.bundle.rows import columns
        from kfold_hs.learn.device import pick_device
        from kfold_hs.workflows.bundles import PredictOptions

        options = PredictOptions(
            device=device, coverage=coverage, calibration=calibration, promise=sets
        )
        with watching(progress) as watcher:
            patients = self._patients(inputs, watcher)
            watcher.stage("patients")
            found = predict_patients(
                self.bundle, patients, pick_device(device), watcher.step, options.rows
            )
            rows = [row for each in found for row in each]
        return pd.DataFrame(rows, columns=list(columns(self.bundle)))

    def segment(
        self,
        inputs: Inputs,
        *,
        device: str = "auto",
        progress: Shown = None,
        confidence: float = 0.5,
    ) -> Segmentations:
        """Find the heart cycle in recordings, by the models of a run with frames=cycle.

        Whoever was in the run is segmented only by models that held them out. The command
        `kfold-hs segment` writes the same as files.

        Parameters
        ----------
        inputs, device, progress
            As in `predict`.
        confidence : float
            Beats with a mean probability of their states below this are left out (state 0).

        Raises
        ------
        KfoldHsError
            As `predict`; or the run had no frame branch (frames=none).
        """
        from kfold_hs.bundle.segment import COLUMNS, segment_patients
        from kfold_hs.learn.device import pick_device
        from kfold_hs.workflows.segmenting import SegmentOptions

        options = SegmentOptions(device, confidence)
        with watching(progress) as watcher:
            patients = self._patients(inputs, watcher)
            watcher.stage("patients")
            found = segment_patients(
                self.bundle, patients, pick_device(device), watcher.step, options.least
            )
            each = [one for some in found for one in some]
        names = [name for name in COLUMNS if name not in ("file", "sha256")]
        states = [
            pd.DataFrame(
                {
                    "recording": one.row["recording"], "patient_id": one.row["patient_id"],
                    "start_s": one.segmentation.start_s, "end_s": one.segmentation.end_s,
                    "state": one.segmentation.state,
                }
            )
            for one in each
            if one.segmentation is not None
        ]  # fmt: skip
        columns = ["recording", "patient_id", "start_s", "end_s", "state"]
        return Segmentations(
            pd.DataFrame([one.row for one in each], columns=names),
            pd.concat(states, ignore_index=True) if states else pd.DataFrame(columns=columns),
        )

    def _patients(self, inputs: Inputs, progress: Progress) -> Sequence[Patient]:
        from kfold_hs.bundle.inputs import find_patients, of_cohort

        if isinstance(inputs, Cohort):
            return of_cohort(inputs, set(inputs.patients["patient_id"]))
        data = self.bundle.config.data
        with tempfile.TemporaryDirectory(prefix="kfold-hs-") as folder:
            if isinstance(inputs, pd.DataFrame):
                path = Path(folder) / "frame.csv"
                _with_whole_paths(inputs, data).to_csv(path, index=False)
                paths = [path]
            else:
                each = [inputs] if isinstance(inputs, str | Path) else list(inputs)
                paths = [Path(path).expanduser() for path in each]
            if not paths:
                raise CohortError("there are no inputs. Give files, folders, a frame or a cohort.")
            given = find_patients(paths, data)
        for note in given.notes:
            progress.note(note)
        return given.patients


@dataclass(frozen=True, eq=False)
class FoldModel:
    """One fold model.

    Attributes
    ----------
    fold : FoldId
        repeat, seed and fold, from 0.
    epoch : int
        The epoch that is kept, from 0.
    network : torch.nn.Module
        With its weights, on the CPU, ready to predict: features in, logits by task out.
    """

    models: Models
    member: Member

    @property
    def fold(self) -> FoldId:
        return FoldId(self.member.repeat, self.member.seed, self.member.fold)

    @property
    def epoch(self) -> int:
        return self.member.epoch

    @cached_property
    def network(self) -> HeartSoundNet:
        import torch

        return self.models.bundle.model(self.member, torch.device("cpu"))

    @property
    def held_out(self) -> list[str]:
        """Patient ids that the model was not trained on: those of its fold, and test persons.

        None where the bundle names nobody.
        """
        repeat, own = self.member.repeat, (self.member.fold, TEST)
        return [
            patient["patient_id"]
            for person in self.models.bundle.certificate.people
            for patient in person["patients"]
            if not isinstance(patient["folds"], str) and patient["folds"][repeat] in own
        ]

    def __repr__(self) -> str:
        return f"model {self.fold.name} of {self.models.bundle.content['run']}"

    def predict(self, inputs: Inputs, **options: Any) -> pd.DataFrame:
        """As `Models.predict`, by this model alone; people whom it was trained on get no score."""
        return self._alone.predict(inputs, **options)

    def segment(self, inputs: Inputs, **options: Any) -> Segmentations:
        """As `Models.segment`, by this model alone; people of its training get no states."""
        return self._alone.segment(inputs, **options)

    @property
    def _alone(self) -> Models:
        bundle = self.models.bundle
        only = replace(bundle.certificate, only=(self.member.repeat, self.member.fold))
        return Models(replace(bundle, members=(self.member,), certificate=only), self.models)


def load_bundle(folder: str | Path) -> Models:
    """The models of a bundle that `Report.export` or `kfold-hs export` made.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    Models

    Raises
    ------
    BundleError
        The folder is no bundle, or was changed after it was written.
    """
    return Models(Bundle.read(Path(folder).expanduser()))


def exported(run: Path, progress: Shown) -> Models:
    """The models of a finished run, by way of a bundle in a temporary folder."""
    from kfold_hs.workflows.bundles import export

    folder = _TemporaryFolder(Path(tempfile.mkdtemp(prefix="kfold-hs-")))
    with watching(progress) as watcher:
        export(run, folder.path / "bundle", watcher)
    return Models(Bundle.read(folder.path / "bundle"), folder)


class _TemporaryFolder:
    """A folder that is removed with the last object that keeps this one, or at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)


def _with_whole_paths(frame: pd.DataFrame, data: object) -> pd.DataFrame:
    names = ["recording"]
    if isinstance(data, TableData):
        names.insert(0, data.recording_column)
    column = next((name for name in names if name in frame), None)
    if column is None:
        raise CohortError(
            f"the frame has the columns {listing(map(repr, frame), 20)}, and lacks "
            f"{names[0]!r:.80}, a recording's path."
        )
    return frame.assign(**{column: [str(Path(str(each)).absolute()) for each in frame[column]]})
