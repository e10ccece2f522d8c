"""What one request may ask for, and the middleware that reads no more than that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RESAMPLING_TAPS = 2_000_000
"""Largest product of the two whole numbers that a ratio of rates comes to: 4000 and 3999 Hz would
take a filter of 16 million numbers, 44100 and 4000 Hz take 441 * 40."""


@dataclass(frozen=True)
class Limits:
    """Of one request.

    Parameters
    ----------
    max_bytes : int
        Of all that is uploaded.
    max_files : int
    max_seconds : float
        Of each recording.
    timeout_s : float
        Until an answer is given up, waiting for others included.
    max_waiting : int
        Requests that are answered or wait to be.
    """

    max_bytes: int = 32 * 2**20
    max_files: int = 16
    max_seconds: float = 180.0
    timeout_s: float = 60.0
    max_waiting: int = 8


def too_long(name: str, n_frames: int, rate_hz: int, limits: Limits) -> str | None:
    """Why a recording is too long to be heard, or None."""
    if n_frames > limits.max_seconds * rate_hz:
        return f"{name} is longer than {limits.max_seconds:g} s."
    return None


def odd_rate(name: str, rate_hz: int, wanted_hz: int) -> str | None:
    """Why a rate cannot be resampled from at a bearable cost, or None."""
    common = math.gcd(rate_hz, wanted_hz)
    if (rate_hz // common) * (wanted_hz // common) > RESAMPLING_TAPS:
        return f"{name} has a rate of {rate_hz} Hz; resample it to {wanted_hz} Hz first."
    return None


class BodyLimit:
    """Ends a request whose body is larger than `max_bytes` before it is read whole: 413."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_bytes:
                raise HTTPException(
                    413, f"more than {self.max_bytes / 2**20:g} MiB; send fewer recordings."
                )
            return message

        await self.app(scope, limited, send)
