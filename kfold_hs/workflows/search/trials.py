"""The record of a trial: what became of a point of a search, a JSON file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from kfold_hs.config.space import Value
from kfold_hs.files import stored

COMPLETE, FAILED, STOPPED = "complete", "failed", "stopped"


def _float(value: Any) -> float:
    if type(value) is not float:
        raise ValueError("Input should be a number with a decimal point")
    return value


Float = Annotated[float, pydantic.BeforeValidator(_float)]


class Trial(pydantic.BaseModel):
    """What became of a trial; every key is in the file, whatever became of it.

    number : of the trial, from 0, in the study
    params : the point of the space
    value : of the objective; None unless the trial is complete
    cause : why it failed or was stopped
    run, digest, command : of its run: the name, the configuration's digest, the command to make it
    predicted_with : the run whose models predicted, where the trial was not trained
    honest : False where the epoch was chosen on the people who are scored
    name : key=value of the point
    n_models : fold models that were trained
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    number: int
    params: dict[str, Value]
    value: Float | None
    cause: str | None
    run: str | None
    digest: str | None
    predicted_with: str | None
    honest: bool | None
    command: str | None
    name: str
    state: Literal["complete", "failed", "stopped"]
    n_models: int
    seconds: Float

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.state == COMPLETE and self.value is None:
            raise ValueError("it has no value")
        return self


def not_yet(name: str) -> dict[str, Any]:
    """The outcome of a trial of which nothing came: all that a record says but number and point."""
    nothing = dict.fromkeys(
        ["value", "cause", "run", "digest", "predicted_with", "honest", "command"]
    )
    return {**nothing, "name": name, "state": FAILED, "n_models": 0, "seconds": 0.0}


def read_record(path: Path) -> Trial:
    """A record that was written.

    Raises
    ------
    DamagedFileError
        It is not what was written, lacks something, or has a value of another type.
    """
    what = "the trial"
    content = stored.read_json(path, what)
    with stored.parsing(path, what):
        try:
            return Trial(**content)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"][:2])) or "it"
            raise ValueError(f"{place}: {first['msg']}") from None
