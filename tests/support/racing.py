"""A search in which a trial is stopped."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from kfold_hs.cli.main import cli
from support.project import TINY


def race(data: Path, root: Path, *more: str) -> tuple[dict, str]:
    """tune.json and what the terminal showed of a race of three rates, the third of which loses."""
    words = ["--folds", "3", "--name", "t", "--root", str(root), "--sampler", "grid", *more]
    skip = ("split.n_folds", "train.epochs")
    words += [word for word in TINY if not word.startswith(skip)]
    # Two that learn a little in an epoch, and one that is thrown into certainty at random.
    words += [
        f"data.path={data / 'table.csv'}",
        "track=[]",
        "train.epochs=1",
        "optim.lr=1e-4,2e-4,5",
    ]
    words += ["train.grad_clip=0", "--objective", "murmur.log_loss"]
    done = CliRunner().invoke(cli, ["tune", *words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr
