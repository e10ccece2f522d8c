"""How often two copies of one recipe are called different. Run by name, decides no test.

    python tests/bench/same_variant.py [--times 10] [--repeats 3] [--folds 3] [--epochs 3] [--write]

Each time: a built-in cohort of its own, one split of it, and one recipe with the tiny network under
two training seeds, compared as `kfold-hs compare` does it. The recipes are the same, so every
"better" is an error; at most one in twenty may be, a metric at a time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.sweep import design
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.splits import stratify
from kfold_hs.workflows.comparison import compare
from kfold_hs.workflows.options import RunOptions

DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
BEGIN, END = "<!-- same variant: begin -->", "<!-- same variant: end -->"
VERDICTS = ("better", "equivalent", "cannot tell")


def verdicts(number: int, options: argparse.Namespace, root: Path) -> dict[tuple[str, str], str]:
    """Verdict of every (task, metric), and of the mean accuracy, of one pair of copies."""
    counts = [f"split.n_folds={options.folds}", f"split.n_repeats={options.repeats}"]
    words = [
        f"data.n_patients={options.patients}", f"data.seed={number}", "model=tiny",
        f"train.epochs={options.epochs}", "train.crop_frames=128", "track=[]", *counts,
    ]  # fmt: skip
    config = compose([*words, f"seed={number}"])
    split = stratify(
        read_cohort(config.data), options.folds, number, options.repeats, config.split.stratify
    )
    file = root / "split.json"
    split.write(file)
    copies = design([*words, f"split.file={file}", f"seed={2 * number},{2 * number + 1}"])
    found = compare(
        copies, RichProgress(quiet=True), RunOptions(root=root, device="cpu")
    ).result.to_json()
    each = {
        (task, metric): values["pairs"][0]["verdict"]
        for task, metrics in found["tasks"].items()
        for metric, values in metrics.items()
    }
    return {("mean of the tasks", "accuracy"): found["headline"]["pairs"][0]["verdict"], **each}


def report(options: argparse.Namespace) -> list[str]:
    told: dict[tuple[str, str], Counter[str]] = {}
    for number in range(options.times):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            # Features of a cohort that is used once do not stay in the user's cache.
            os.environ["KFOLD_HS_CACHE"] = str(Path(name) / "cache")
            for key, verdict in verdicts(number, options, Path(name)).items():
                told.setdefault(key, Counter())[verdict] += 1
        print(f"{number + 1}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    n_better, n_told = sum(each["better"] for each in told.values()), options.times * len(told)
    lines = [
        f"{options.times} pairs of copies; {options.patients} patients, {options.repeats} repeats "
        f'of {options.folds} folds, {options.epochs} epochs of the tiny network. "Better" was '
        f"said {n_better} times in {n_told} verdicts ({100 * n_better / n_told:.1f} %).",
        "",
        "| of | metric | better | equivalent | cannot tell |",
        "|---|---|---|---|---|",
    ]
    for (task, metric), counted in told.items():
        each = " | ".join(str(counted[verdict]) for verdict in VERDICTS)
        lines.append(f"| {task} | {metric} | {each} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("times", 10), ("repeats", 3), ("folds", 3), ("epochs", 3), ("patients", 60)
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    options = parser.parse_args()
    lines = report(options)
    print("\n".join(lines))
    if options.write:
        before, rest = DOCS.read_text().split(BEGIN)
        text = "\n".join(lines)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
