"""What one request may ask for, and the middleware that reads no more than that."""

from __future__ import annotations

from dataclasses import dataclass

import soundfile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RATE_HZ = 48_000
"""One channel at this rate for the longest time is as many samples as a recording may have."""


@dataclass(frozen=True)
class Limits:
    """Of one request.

    Parameters
    ----------
    max_bytes : int
        Of all that is uploaded.
    max_files : int
    max_seconds : float
        Of each recording; it may hold no more samples, all channels together, than one channel of
        this length at 48,000 Hz.
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


def too_long(name: str, file: soundfile.SoundFile, limits: Limits) -> str | None:
    """Why a recording is too long to be read, or None."""
    if file.frames > limits.max_seconds * file.samplerate:
        return f"{name} is longer than {limits.max_seconds:g} s."
    most = int(limits.max_seconds * RATE_HZ)
    if file.frames * file.channels > most:
        return (
            f"{name} has {file.frames} samples in each of {file.channels} channels; at most {most} "
            "in all can be read. Send one channel, at a lower rate."
        )
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
