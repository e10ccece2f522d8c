"""What a JSON file of results holds, as a type.

What code reads has a field; what only pages show is kept as it is, also where a later version wrote
it. A file of an earlier version lacks some keys: they have defaults, and stay absent when it is
written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pydantic


class JsonPart(pydantic.BaseModel):
    """A part of a JSON file: exact types, and keys that only pages show, in their order."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True, extra="allow")
    _keys: tuple[str, ...] = ()

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(cls, content: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        found = handler(content)
        if isinstance(content, dict):
            found._keys = tuple(content)
        return found

    @pydantic.model_serializer(mode="wrap")
    def _write(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = handler(self)
        return {key: found[key] for key in self._keys}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what a file holds.

        Raises
        ------
        ValueError
            A key is missing, or a value has another type; the message names the first.
        """
        try:
            return cls.model_validate(dict(content))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}") from None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the file holds them."""
        return self.model_dump(by_alias=True)
