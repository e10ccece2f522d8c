"""The command as a process that can be interrupted."""

from __future__ import annotations

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

COMMAND = [sys.executable, "-m", "kfold_hs.cli.main"]
FORK_SERVER = Path(__file__).parent / "fork_server.py"


class Child:
    """`COMMAND`, or a script, as a process of its own that need not load torch.

    It is forked from one that has loaded it (`fork_server.py`), and takes none of the seconds of
    `subprocess.Popen([*COMMAND, ...])`; what is here is used as there.

    Parameters
    ----------
    words : sequence of str
        Of the command; or with `script` of that.
    alone : bool
        In a session of its own, as with start_new_session=True.
    """

    def __init__(
        self, words: Sequence[str], cwd: Path, script: Path | None = None, alone: bool = False
    ) -> None:
        asked = {
            "words": [str(word) for word in words], "cwd": str(cwd), "alone": alone,
            "script": str(script) if script else "", "environment": dict(os.environ),
        }  # fmt: skip
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        socket.send_fds(_fork_server(), [json.dumps(asked).encode()], [out_end, err_end])
        os.close(out_end)
        os.close(err_end)
        self.pid: int = json.loads(_fork_server().recv(1 << 10))
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] = os.fdopen(err)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """As of `subprocess.Popen`."""
        if self.returncode is None:
            _fork_server().send(json.dumps({"wait": self.pid}).encode())
            self.returncode = json.loads(_fork_server().recv(1 << 10))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """As of `subprocess.Popen`."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> tuple[str, str]:
        """What is left of its output and of its errors, once it has ended."""
        with self.stdout, self.stderr, ThreadPoolExecutor(2) as pool:
            out, err = pool.map(lambda end: end.read(), (self.stdout, self.stderr))
        while self.poll() is None:
            time.sleep(0.01)
        return out, err


@functools.cache
def _fork_server() -> socket.socket:
    """The line to the process that children are forked from, one for each worker of the suite."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, str(FORK_SERVER), str(there.fileno())], pass_fds=[there.fileno()]
    )
    there.close()

    def end() -> None:
        here.close()
        process.wait()

    atexit.register(end)
    return here
