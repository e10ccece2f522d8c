"""A process that has loaded torch once, and of which tests fork commands: see `commands.Child`.

It has no threads of its own, so that a fork of it is as good as new.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
from typing import Any

import kfold_hs.cli.main
import kfold_hs.learn.tracking.trackers
import kfold_hs.orchestrator.context
import kfold_hs.orchestrator.folder
import kfold_hs.orchestrator.worker
import kfold_hs.workflows.cross_validation
import kfold_hs.workflows.gallery.story
import kfold_hs.workflows.judgement


def serve(line: socket.socket) -> None:
    """Fork what is asked for and say how it ended, until the tests hang up."""
    while True:
        message, ends, _, _ = socket.recv_fds(line, 1 << 20, 2)
        if not message:
            return
        asked = json.loads(message)
        if "wait" in asked:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := os.fork()):
            line.close()
            become(asked, ends)
            return
        for end in ends:
            os.close(end)
        line.send(json.dumps(answer).encode())


def become(asked: dict[str, Any], ends: list[int]) -> None:
    """The command, as if it had been started."""
    if asked["alone"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for end, number, name in zip(ends, (1, 2), ("stdout", "stderr"), strict=True):
        os.dup2(end, number)
        os.close(end)
        # What was there before remembers whether it could seek.
        setattr(sys, name, open(number, "w", buffering=number - 1 or -1, closefd=False))  # noqa: SIM115
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[0] = asked["cwd"]  # as with python -m
    if asked["script"]:
        sys.argv = [asked["script"], *asked["words"]]
        runpy.run_path(asked["script"], run_name="__main__")
        return
    sys.argv = [kfold_hs.cli.main.__file__, *asked["words"]]
    kfold_hs.cli.main.main(asked["words"])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
