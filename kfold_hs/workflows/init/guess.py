"""What `kfold-hs init` is told, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kfold_hs.errors import counted


@dataclass(frozen=True)
class Named:
    """Columns that the user named; what is not named is guessed.

    `labels` are tasks besides those that are guessed, and `no_labels` none.
    """

    recording: str | None = None
    patient: str | None = None
    person: str | None = None
    site: str | None = None
    labels: tuple[str, ...] = ()
    no_labels: tuple[str, ...] = ()


@dataclass
class Guess:
    """Settings with their reasons, and questions.

    Parameters
    ----------
    settings : dict
        Dotted key -> value, in the order of the file; below `data.tasks.NAME` of each task.
    reasons : dict
        Key -> from what it was guessed.
    questions : list of (key, text)
        What may be otherwise; the key is the setting that is to be changed.
    notes : list of str
        What else was seen, a sentence each.
    table : DataFrame or None
        Rows to be read in place of the user's table, where that cannot be read as it is.
    aliases : list of (str, str)
        Ids of patients who are one person.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    questions: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table: pd.DataFrame | None = None
    aliases: list[tuple[str, str]] = field(default_factory=list)

    def put(self, key: str, value: Any, reason: str = "") -> None:
        """A setting, and from what it was guessed."""
        self.settings[key] = value
        if reason:
            self.reasons[key] = reason

    def ask(self, key: str, text: str) -> None:
        """A question about a setting."""
        self.questions.append((key, text))


MOST_FOLDS = 5


def folds_for(least: int) -> tuple[int, str]:
    """So many folds, at most `MOST_FOLDS`, where the rarest class has `least` persons; and why."""
    if least >= MOST_FOLDS:
        return MOST_FOLDS, "each class in each fold"
    return max(2, least), f"the rarest class has {counted(least, 'person', 'persons')}"
