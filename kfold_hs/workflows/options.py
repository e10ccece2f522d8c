"""How a workflow is carried out: under which name, in which folder, on which machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kfold_hs.files.paths import check_name
from kfold_hs.orchestrator.executor import Fleet


@dataclass(frozen=True)
class RunOptions:
    """What changes where results lie and how fast they come, and nothing in them.

    Parameters
    ----------
    name : str, optional
        Of the folder of results; by default made of data, recipe and a digest.
    root : Path
        Folder that holds `reports/` and `checkpoints/`.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    command : str
        What the user typed, for the report.
    fleet : Fleet
        Where folds are trained, and how many at once; by default here, one after another.

    Raises
    ------
    ConfigError
        The name cannot be that of a folder.
    """

    name: str | None = None
    root: Path = Path()
    device: str = "auto"
    command: str = ""
    fleet: Fleet = field(default_factory=Fleet)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)
