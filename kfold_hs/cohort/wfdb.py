"""Headers of PhysioNet's WFDB format (`.hea`) and the audio beside them.

First line: name, number of signals, rate in Hz, number of samples.
"""

from __future__ import annotations

from pathlib import Path

from kfold_hs.errors import CohortError


def read_header(path: Path) -> tuple[int, int]:
    """Sample rate in Hz and number of samples.

    Raises
    ------
    CohortError
        The file is missing, or is not the header of exactly one signal.
    """
    if not path.is_file():
        raise CohortError(f"{path} is missing.")
    try:
        _, n_signals, rate, n_samples = path.read_text().split("\n", 1)[0].split()[:4]
        if n_signals != "1":
            raise ValueError(f"{n_signals} signals")
        return int(rate), int(n_samples)
    except ValueError as error:
        raise CohortError(f"{path} is not a header of one signal: {error}.") from error


def audio_path(folder: Path, stem: str) -> Path:
    """The recording's WAV, or its FLAC where there is no WAV."""
    wav, flac = folder / f"{stem}.wav", folder / f"{stem}.flac"
    return flac if flac.is_file() and not wav.is_file() else wav
