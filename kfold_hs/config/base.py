"""What every group of settings shares: frozen, no unknown key, no infinite number.

Every number has an upper bound, so that a slip of the finger is told at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
NonNegativeInt = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]


class Settings(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: Any) -> Any:
        """Python takes true for 1; nobody who writes it means that."""
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name) if isinstance(value, bool) else None
            if field and field.annotation in (int, float, int | None, float | None):
                raise ValueError(f"{name}={str(value).lower()} does not fit: it takes a number")
        return values


class Choice(Settings):
    """Settings of one of several ways to do a thing; `kind` is its name in the table of them.

    kind : name of the choice; the word GROUP=NAME chooses it, or a file of `configs/GROUP/` with it
    plugin : module whose settings these are; "": the package's
    """

    plugin: ClassVar[str] = ""
    is_absent: ClassVar[bool] = False

    if TYPE_CHECKING:  # each declares its own, at the place where it is printed
        kind: str
