"""Settings of the data and of the split: `data` and `split`."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

from kfold_hs.config.base import Choice, NonNegativeInt, Positive, Settings
from kfold_hs.config.names import clean_name
from kfold_hs.config.poolings import PatientPool
from kfold_hs.config.registry import Registry, Row, one_of


def _as_name(value: Any) -> Any:
    """Numbers and truth values of YAML are names of classes and columns, too."""
    return clean_name(value) if isinstance(value, str | int | float | bool) else value


def _as_names(value: Any) -> Any:
    """A name by itself is a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


Name = Annotated[str, pydantic.BeforeValidator(_as_name)]
"""A name of the user's, cleaned; 1, 1.0 and true are taken as text."""

COLUMN = "column:"
"""Begins a split.file that is no file but a column of the data's own table."""
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of Unicode: control characters, halves of pairs, line and paragraph separators."""


class TaskConfig(Settings):
    """One task: its classes and what training and pooling take from it.

    classes : as the labels name them
    positive : whose probability is the task's score; None: the first class
    class_weights : of each class in the loss, in the order of `classes`; None: all 1
    patient_pool : the rule from a patient's recordings to the patient, unless
        predict.patient_pool names another
    column : of the labels; None: the column is called like the task
    recording_column : of labels that each recording has for itself, where there are any
    uncertain : the class that train.uncertain is about
    stack : tasks and covariates that it is told from, by a regression fitted on the other folds
    """

    classes: tuple[Name, ...] = Field(min_length=2)
    positive: Name | None = None
    class_weights: tuple[Positive, ...] | None = None
    patient_pool: PatientPool = "mean"
    column: Name | None = None
    recording_column: Name | None = None
    uncertain: Name | None = None
    stack: tuple[Name, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> TaskConfig:
        others = [name for name in self.classes if name != self.uncertain]
        if self.uncertain is not None and (
            self.uncertain not in self.classes
            or self.uncertain == (self.positive or self.classes[0])
            or len(others) < 2
        ):
            raise ValueError(
                f"uncertain={self.uncertain} does not fit the classes {list(self.classes)}: it "
                "names one of three or more, not the positive one, or is null"
            )
        return self


class TaskMap(Settings):
    """Which labels of these data are a task of a bundle (`kfold-hs validate`).

    task : of these data; the task's name by itself stands for {task: NAME}
    classes : class of the bundle -> class or classes of these data; by default those of one name,
        and the positive ones
    """

    task: Name
    classes: dict[Name, Annotated[tuple[Name, ...], pydantic.BeforeValidator(_as_names)]] = Field(
        default_factory=dict
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _task_alone(cls, value: Any) -> Any:
        return {"task": value} if isinstance(value, str | int | float) else value


class DataSettings(Choice):
    """What every cohort is set by.

    tasks : name -> its classes and what goes with them
    aliases : a CSV of two columns: ids that are one person
    map : tasks of a bundle that these people are to validate -> their labels here
    """

    tasks: dict[Name, TaskConfig] = Field(min_length=1)
    aliases: Path | None = None
    map: dict[Name, TaskMap] = Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> DataSettings:
        """Names of tasks and classes make columns of tables, `p.<task>.<class>`, and lines."""
        columns: dict[str, tuple[str, str]] = {}
        for task, config in self.tasks.items():
            for name in (task, *config.classes):
                if not name.strip() or any(unicodedata.category(c) in _UNWRITABLE for c in name):
                    raise ValueError(
                        f"the name {name[:80]!r} of task {task[:80]!r} does not fit: names of "
                        "tasks and classes have a letter at least, and no line break or other "
                        "control character"
                    )
            for name in config.classes:
                other = columns.setdefault(f"{task}.{name}", (task, name))
                if other != (task, name):
                    raise ValueError(
                        f"class {name[:80]!r} of task {task[:80]!r} and class {other[1][:80]!r} of "
                        f"task {other[0][:80]!r} would share the column p.{task[:80]}.{name[:80]}: "
                        "rename one"
                    )
        return self


class SyntheticData(DataSettings):
    """The built-in cohort of simulated phonocardiograms.

    n_patients : how many are simulated
    seed : of the simulation; other people come of another one
    """

    kind: Literal["synthetic"]
    n_patients: Annotated[int, Field(ge=10, le=100_000)] = 120
    seed: NonNegativeInt = 0


class CircorData(DataSettings):
    """CirCor DigiScope in its official layout, WAV or FLAC.

    root : folder that holds training_data.csv and training_data/
    """

    kind: Literal["circor"]
    root: Path


class Cinc2016Data(DataSettings):
    """PhysioNet/CinC Challenge 2016 in its official layout.

    root : folder that holds training-a to training-f, or one of them
    """

    kind: Literal["cinc2016"]
    root: Path


class BmdHsData(DataSettings):
    """BMD-HS (BUET Multi-disease Heart Sound) in its official layout.

    root : folder that holds train.csv, additional_metadata.csv and train/
    """

    kind: Literal["bmdhs"]
    root: Path


class ZchSoundData(DataSettings):
    """ZCHSound, heart sounds of children.

    root : folder that holds the two tables "... Heartsound Data Details.csv"
    sets : which of its two sets are read
    """

    kind: Literal["zchsound"]
    root: Path
    sets: tuple[Literal["clean", "noise"], ...] = ("clean", "noise")

    @pydantic.field_validator("sets")
    @classmethod
    def _once(cls, sets: tuple[str, ...]) -> tuple[str, ...]:
        if not sets:
            raise ValueError("data.sets=[] does not fit: clean, noise, or both")
        return tuple(dict.fromkeys(sets))


class TableData(DataSettings):
    """A user's CSV, one row a recording.

    path : of the CSV
    patient_column : id of the patient
    site_column : where on the chest the recording was made; None: not known
    recording_column : path of the audio file, relative to the CSV
    person_column : id of the person, where several patients may be one; None: every patient
        is a person of their own
    persons_known : false: nobody knows which patients are one person, and the report says so
    timing_column : when a recording's murmur is heard, such as Early-systolic; for frames=cycle
    channel : None: stereo is an error; 0, 1, ...: take that channel
    """

    kind: Literal["table"]
    path: Path
    recording_column: Name = "recording"
    patient_column: Name = "patient_id"
    person_column: Name | None = None
    persons_known: bool = True
    site_column: Name | None = None
    timing_column: Name | None = None
    channel: NonNegativeInt | None = None

    @pydantic.model_validator(mode="after")
    def _check_persons(self) -> TableData:
        if self.person_column is not None and not self.persons_known:
            raise ValueError(
                f"person_column={self.person_column} names the persons, but persons_known is "
                "false: set one of the two"
            )
        return self


class SplitConfig(Settings):
    """Persons into folds; see `kfold_hs.splits`.

    n_folds : null only with hold_out, whose values are the folds
    n_repeats : how many times everybody is split anew
    stratify : covariates beside the labels; `auto`: age, age_years, sex, campaign, source,
        n_recordings, site where the data have them
    test : share of the persons, or a list of ids, that no fold ever trains on
    by : `patient` ignores linked ids, to measure the damage of doing so
    audit : whether leaks are looked for before every training, which is refused on one
    file : a split to use in place of drawing one: split.json, a CSV of patient and fold, nnU-Net's
        splits_final.json, a folder for each fold
    hold_out : a column of the patients, such as campaign or source: each of its values is a fold
    """

    n_folds: int | None = Field(5, ge=1, le=1000)
    n_repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    stratify: Literal["auto"] | tuple[str, ...] = "auto"
    test: float | tuple[str, ...] = 0.0
    by: Literal["person", "patient"] = "person"
    audit: bool = True
    file: Path | None = None
    hold_out: Name | None = None

    @pydantic.field_validator("test", "stratify", mode="before")
    @classmethod
    def _number_or_names(cls, value: Any, field: pydantic.ValidationInfo) -> Any:
        if isinstance(value, list | tuple):
            return tuple(clean_name(each) for each in value)
        if field.field_name == "stratify" and value != "auto":
            raise ValueError(
                f"split.stratify={value!r} does not fit: auto, or a list of covariates such as "
                "[age,sex], or [] for none"
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if field.field_name == "test" and not (is_number and 0 <= value <= 0.9):
            raise ValueError(
                f"split.test={value!r} does not fit: a share of the persons from 0 to 0.9, or a "
                "list of person or patient ids such as [85033,49627]"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _check(self) -> SplitConfig:
        if self.hold_out is not None:
            self._check_hold_out(self.hold_out)
        elif self.n_folds is None:
            raise ValueError(
                "split.n_folds=null does not fit: a number, unless split.hold_out names a column"
            )
        elif self.n_folds < 2 and self.file is None:
            raise ValueError(
                f"split.n_folds={self.n_folds} does not fit: at least 2; a single split into "
                "training and validation comes from split.file=FILE"
            )
        return self

    def _check_hold_out(self, column: str) -> None:
        """Refuse what would have no meaning where the values of a column are the folds."""
        others = {
            f"split.file={self.file}": self.file is not None,
            f"split.n_repeats={self.n_repeats}": self.n_repeats != 1,
            f"split.stratify={list(self.stratify)}": self.stratify != "auto",
        }
        if asked := [text for text, is_asked in others.items() if is_asked]:
            raise ValueError(
                f"{' and '.join(asked)} with split.hold_out={column[:80]} does not fit: its values "
                "are the folds, and nothing is drawn that could be repeated or stratified: leave "
                "it out (n_seeds=N trains every fold N times)"
            )


DATA = Registry(
    "kind of data",
    DataSettings,
    {
        "synthetic": Row(SyntheticData),
        "circor": Row(CircorData),
        "cinc2016": Row(Cinc2016Data),
        "bmdhs": Row(BmdHsData),
        "zchsound": Row(ZchSoundData),
        "table": Row(TableData),
    },
)
"""Kind -> its settings; the readers are in `kfold_hs.cohort.readers`."""

if TYPE_CHECKING:
    DataConfig = DataSettings
else:
    DataConfig = one_of(DATA)
