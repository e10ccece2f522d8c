"""Peak memory of a fold over that of the bare model and the bank.

    python tests/bench/memory.py [--patients N] [--rounds N] [--quick] [--write]

Each in a fresh process: `imports` loads what a training loads; `bare` trains and predicts on
fixed tensors, as in `throughput.py`; `fold` trains a whole fold. The bank is mapped from its file,
and its pages count as far as they were touched.
"""

from __future__ import annotations

import resource
import statistics
from functools import partial

from measure import fresh, in_turns, options, publish, ratio, table

NAMES = ("imports", "bare", "fold")
MIB = 2**20


def peak(kind: str, model: str, n_patients: int) -> float:
    """Peak resident memory of a process, MiB."""
    return float(fresh(__file__, "--only", kind, "--model", model, "--patients", str(n_patients)))


def do(kind: str, model: str, n_patients: int) -> None:
    """One of them, in this process."""
    import throughput

    if kind != "imports":
        config, cohort, bank, data = throughput.fold_of(
            model, ["train.epochs=2", f"data.n_patients={n_patients}"]
        )
        throughput.keep_freed_memory()
        if kind == "bare":
            throughput.Ceiling(config, cohort, bank, data)()
        else:
            throughput.whole_fold(config, cohort, bank, data)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def sizes(model: str, n_patients: int) -> tuple[float, float]:
    """MiB of the bank, and of the weights with their gradients and AdamW's two moments."""
    import throughput

    config, cohort, bank, _ = throughput.fold_of(model, [f"data.n_patients={n_patients}"])
    network = throughput.make_model(config.model, cohort.tasks, 0)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return bank.frames.numel() * bank.frames.element_size() / MIB, 4 * weights / MIB


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--patients", type=int, default=480)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--only", choices=NAMES)
    given = parser.parse_args()
    if given.only:
        do(given.only, given.model, given.patients)
        return
    n_patients = 60 if given.quick else given.patients
    rows = []
    for model in ("tiny",) if given.quick else ("tiny", "lite0"):
        bank, weights = sizes(model, n_patients)
        jobs = {name: partial(peak, name, model, n_patients) for name in NAMES}
        found = in_turns(jobs, given.rounds)
        own, bare = (
            [a - b for a, b in zip(found[name], found["imports"], strict=True)]
            for name in ("fold", "bare")
        )
        middle = {name: f"{statistics.median(each):,.0f}" for name, each in found.items()}
        rows.append(
            {
                "network": model,
                "bank": f"{bank:,.0f}",
                "weights, gradients, moments": f"{weights:,.0f}",
                "imports": middle["imports"],
                "bare": middle["bare"],
                "whole fold": middle["fold"],
                "fold / (bare + bank)": ratio(found["fold"], [b + bank for b in found["bare"]]),
                "the same beyond imports": ratio(own, [b + bank for b in bare]),
            }
        )
    publish("memory", ["MiB, peaks.", "", *table(rows)], given.write)


if __name__ == "__main__":
    main()
