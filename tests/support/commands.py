"""The command as a process that can be interrupted."""

from __future__ import annotations

import signal
import sys

COMMAND = [sys.executable, "-m", "kfold_hs.cli.main"]


def heeds_ctrl_c() -> None:
    """Before the child starts: a suite that runs in the background hands down a deaf SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
