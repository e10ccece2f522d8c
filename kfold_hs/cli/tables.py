"""The results of a command, as tables and sentences on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kfold_hs.errors import counted, listing

_MOST_ITEMS = 10


def show_run(summary: Mapping[str, Any], report: Path) -> None:
    """Print the result of a run: one table for every task, the answer, the path of the report."""
    console = Console(highlight=False)
    for task, result in summary["tasks"].items():
        table = Table(title=escape(f"{task}, out of fold"), title_justify="left")
        table.add_column("metric")
        table.add_column("all folds", justify="right")
        table.add_column("95 % interval", justify="right")
        table.add_column("each fold", justify="right")
        for metric in result["metrics"].values():
            each = "  ".join(number(fold["value"]) for fold in metric["folds"])
            table.add_row(metric["label"], number(metric["value"]), interval(metric), each)
        console.print(table)
        _say_why(console, {each["label"]: each for each in result["metrics"].values()})
    console.print(Text(summary["headline"]["sentence"]))
    if found := summary.get("segmentation"):
        console.print(Text(found["sentence"]))
    for note in summary["cohort"]["notes"] if "imported" in summary else ():
        _say(console, f"Noticed: {note['text']} ({note['name']}: {note['count']}).")
    _say(console, f"Report: {report}")
    kept = {"last": "last.pt", "inner": "inner.pt"}.get(summary.get("select", {}).get("rule", ""))
    if kept and "nested" not in summary:
        models = f"checkpoints/{summary['provenance']['run']}"
        _say(
            console,
            f"Models: {kept} of every fold in {models} was scored. best_model.pt is the epoch with "
            "the best score on the very people that score it. Look at it, but do not report it.",
        )


def show_nested(nested: Mapping[str, Any]) -> None:
    """Print what every outer fold chose, the score claimed for it, and the score it reached."""
    console = Console(highlight=False)
    table = Table(
        title=escape(f"chosen inside every fold by {nested['label']}"), title_justify="left"
    )
    table.add_column("fold", justify="right")
    table.add_column("chosen", overflow="fold")
    for column in ("claimed", "corrected", "delivered"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in nested["folds"]:
        place = f"{each['repeat']}/{each['fold']}"
        values = (each[name] for name in ("claimed", "corrected", "delivered"))
        table.add_row(place, escape(each["name"]), *(number(value) for value in values))
    console.print(table)
    _say(console, nested["sentence"])


def show_comparison(content: Mapping[str, Any], page: Path) -> None:
    """Print every variant against the baseline, the answer, and the path of the page."""
    console = Console(highlight=False)
    baseline = content["baseline"]
    for task, metrics in content["tasks"].items():
        for name in (each["name"] for each in content["variants"] if each["name"] != baseline):
            table = Table(title=escape(f"{task}: {name} against {baseline}"), title_justify="left")
            table.add_column("metric")
            for column in ("baseline", "variant", "difference", "95 % interval"):
                table.add_column(column, justify="right")
            table.add_column("verdict")
            for metric in metrics.values():
                found, values = metric["against_baseline"][name], metric["values"]
                apart = found["difference"]
                table.add_row(
                    metric["label"] + ("" if metric["higher_is_better"] else " (lower is better)"),
                    number(values[baseline]),
                    number(values[name]),
                    number(apart["value"]),
                    interval(apart),
                    _verdict(found, name),
                )
            console.print(table)
            found = {m["label"]: m["against_baseline"][name]["difference"]
                     for m in metrics.values()}  # fmt: skip
            _say_why(console, found)
    for sentence in content["sentences"]:
        _say(console, sentence)
    _say(console, f"Comparison: {page}")


def _verdict(found: Mapping[str, Any], name: str) -> str:
    """Of a variant against the baseline."""
    if found["winner"] is None:
        return str(found["verdict"])
    is_own = found["winner"] == "second"
    if found.get("leaking") is not None and (found["leaking"] == name) == is_own:
        return "looks better, and leaks" if is_own else "baseline looks better, and leaks"
    return "better" if is_own else "baseline is better"


def show_learning_curve(content: Mapping[str, Any], page: Path) -> None:
    """Print the values by training people, what twice as many would bring, and the page's path."""
    from kfold_hs.judge.results.people_curve import MORE_PEOPLE

    console = Console(highlight=False)
    people = [f"{each['n_people']:.0f}" for each in content["sizes"]]
    for task, metrics in content["tasks"].items():
        table = Table(title=escape(f"{task}, by people trained on"), title_justify="left")
        table.add_column("metric", overflow="fold")
        for column in (*people, "twice (95 % band)"):
            table.add_column(column, justify="right")
        table.add_column("more people")
        for metric in metrics.values():
            twice = metric["twice"]
            table.add_row(
                metric["label"] + ("" if metric["higher_is_better"] else " (lower is better)"),
                *(number(point["value"]) for point in metric["points"]),
                f"{number(twice['value'])} ({interval(twice)})" if twice else "unknown",
                MORE_PEOPLE[metric["verdict"]],
            )
        console.print(table)
    for sentence in content["sentences"]:
        _say(console, sentence)
    if budget := content["headline"]["budget"]:
        _say(console, f"What would make it surer: {budget['text']}.")
    _say(console, f"Learning curve: {page}")


def show_tune(content: Mapping[str, Any], page: Path) -> None:
    """Print every trial, the best first; the answer, and the path of the page."""
    console = Console(highlight=False)
    sign = 1 if content["objective"]["higher_is_better"] else -1
    table = Table(title=escape(content["objective"]["label"]), title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right")
    for key in content["space"]["space"]:
        table.add_column(escape(key), justify="right", overflow="fold")
    worst = float("inf")
    for each in sorted(
        content["trials"],
        key=lambda t: worst if t["value"] is None else -sign * t["value"],
    ):
        found = each["estimate"]
        table.add_row(
            str(each["number"]),
            each["state"] if found is None else number(each["value"]),
            "" if found is None else interval(found),
            *(escape(str(value)) for value in each["params"].values()),
        )
    console.print(table)
    if content["importances"]:
        shown = ", ".join(f"{key} {share:.0%}" for key, share in content["importances"].items())
        _say(console, f"Importance: {shown}.".replace("%", " %"))
    racing = content["racing"]
    if racing["n_stopped"]:
        _say(
            console,
            f"Racing stopped {racing['n_stopped']} of the trials: {racing['n_models']} fold "
            f"models were trained, not {racing['n_models_without']}.",
        )
    _say(console, content["sentence"])
    _say(console, f"Its command: {content['winner']['command']}")
    _say(console, f"Search: {page}")


def show_refit(content: Mapping[str, Any]) -> None:
    """Print speed and scores of every model, and the difference to the ensemble."""
    console = Console(highlight=False)
    speed = content["speed"]
    shown = ", ".join(
        f"{name} {one['recordings_per_s']:.1f} ({counted(one['n_models'], 'model')})"
        for name, one in speed.items()
    )
    who, sounds = content["n_persons"], content["n_recordings"]
    who = f"{counted(who, 'test person')}, {counted(sounds, 'recording')}"
    _say(console, f"{who}; recordings a second: {shown}.")
    for task, metrics in content["tasks"].items():
        table = Table(title=escape(task), title_justify="left")
        table.add_column("metric")
        for name in speed:
            table.add_column(name, justify="right")
        for each in metrics:
            cells = [_estimate(each["models"][name]) for name in speed]
            for k, name in enumerate(speed):
                if name in each["above_first"]:
                    cells[k] += f"\n{_estimate(each['above_first'][name], '+.3f')}"
            table.add_row(each["label"], *cells)
        console.print(table)
    _say(
        console,
        "The second line of a cell is the difference to the ensemble. The 95 % intervals are for "
        "these models on other people; the person is the unit.",
    )


def show_cost(found: Mapping[str, Any]) -> None:
    """Print the cost estimate of --dry-run: a row for every run, then the sums in words."""
    console = Console(highlight=False)
    table = Table(title=f"training on {found['device']}", title_justify="left")
    for name in ("variant", "run"):
        table.add_column(name, overflow="fold")
    for name in ("models", "done", "steps", "per step", "per model", "left"):
        table.add_column(name, justify="right")
    for run in found["runs"]:
        asked = run["predicted_with"]
        table.add_row(
            run["name"] or "-", run["run"], str(run["folds"]),
            f"by {asked}" if asked else str(run["done"]), str(run["steps"]),
            f"{run['step_s']:.3f} s", _duration(run["fold_s"]), _duration(run["left_s"]),
        )  # fmt: skip
    console.print(table)
    runs, jobs = found["runs"], found["jobs"]
    counts = {"variant": len(runs), "repeat": found["repeats"]}
    counts |= {"seed": found["seeds"], "fold": found["folds"]}
    memory = max(run["memory_bytes"] for run in runs)
    banks = sum({run["bank_bytes"] for run in runs if not run["has_features"]})
    n_branches = sum(run["branches"] for run in runs)
    branches_s = sum(run["branches"] * run["branch_s"] for run in runs)
    of_branches = counted(n_branches, "frame branch", "frame branches")
    sentences = [
        " x ".join(f"{n} {name}" + ("s" if n > 1 else "") for name, n in counts.items())
        + f": {counted(found['left'], 'fold model is', 'fold models are')} left to train.",
        f"Time: about {_duration(found['left_s'])} one fold after another"
        + (f", {_duration(branches_s)} of it for {of_branches}" if n_branches else "")
        + (f", with --jobs {jobs} at least {_duration(found['at_least_s'])}" if jobs > 1 else "")
        + ", estimated from one step timed here. Crops, checkpoints and the report take more.",
        f"Memory: about {_size(memory)} for each fold that is trained at the same time, and "
        f"{_size(max(run['bank_bytes'] for run in runs))} for the features, which all folds share.",
        f"Disk: up to {_size(sum(run['disk_bytes'] for run in runs))} more"
        + (f", {_size(banks)} of it features in the cache." if banks else "."),
    ]
    for sentence in sentences:
        _say(console, sentence)


def show_plan(plan: Mapping[str, Any]) -> None:
    """Print one row for every design, and all assumptions."""
    console = Console(highlight=False)
    difference, metric = plan["difference"], plan["metric"]
    table = Table(title=f"{metric}, a difference of {difference:g}", title_justify="left")
    for name in ("folds", "repeats", "people"):
        table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name in ("power", "detectable", "people needed"):
        table.add_column(name, justify="right")
    for each in plan["designs"]:
        needed = each["people_needed"]
        table.add_row(
            *(str(each[name]) for name in ("folds", "repeats", "people")),
            interval(each),
            f"{each['power']:.0%}".replace("%", " %"),
            number(each["detectable"]),
            "none" if needed is None else str(needed),
        )
    console.print(table)
    _say(
        console,
        "Interval: for the expected performance of one variant. Power: the chance to detect a "
        f"difference of {difference:g} at the 5 % level. Detectable: the difference that is "
        f"detected with 80 % power. People needed: to detect {difference:g} with 80 % power; "
        "none where no number is enough. Assumptions:",
    )
    for sentence in plan["assumptions"]:
        _say(console, f"- {sentence}.")


def show_split(
    split: Mapping[str, Any],
    balances: Sequence[Sequence[Mapping[str, Any]]],
    comparison: Sequence[Mapping[str, Any]],
) -> None:
    """Print the counts in every fold, and how even they are compared with other splits."""
    console = Console(highlight=False)
    by = "people" if split["settings"]["by"] == "person" else "patient ids"
    settings = split["settings"]
    for repeat, rows in enumerate(balances):
        title = f"split {split['digest'][:16]}, seed {split['seed']}, {by} by fold"
        title += f", repeat {repeat}" if len(balances) > 1 else ""
        table = Table(title=title, title_justify="left")
        table.add_column("number of")
        for name in settings.get("values", map(str, range(split["n_folds"]))):
            table.add_column(escape(name), justify="right")
        table.add_column("deviation", justify="right")
        table.add_column("rounding limit", justify="right")
        pairs = [row for row in rows if row["kind"] == "label" and "+" in row["task"]]
        n_pairs = len({row["task"] for row in pairs})
        worst = max(pairs, key=lambda row: row["deviation"] - row["limit"], default=None)
        for row in rows:
            if row in pairs and n_pairs > 1 and row is not worst:
                continue
            name = (
                row["class"] if row in pairs and n_pairs == 1 else f"{row['task']} {row['class']}"
            )
            ends = (f"{row['deviation']:.1%}", f"{row['limit']:.1%}")
            table.add_row(escape(name), *map(str, row["counts"]), *ends)
        console.print(table)
        if n_pairs > 1:
            _say(
                console,
                f"Of the {len(pairs)} joint classes of {n_pairs} pairs of tasks, the one that is "
                "furthest above its rounding limit.",
            )
    if column := settings.get("hold_out"):
        _say(console, f"Each fold is one {column}, held out from the others.")
        if several := settings["in_several"]:
            _say(
                console,
                f"{counted(len(several), 'person has', 'persons have')} recordings of several "
                f"values of {column}, and {'is' if len(several) == 1 else 'are'} in no fold: "
                f"{listing(several)}.",
            )
    if not comparison:
        return
    title = "largest relative deviation of a fold (in brackets: above the rounding limit)"
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for name in ("classes", "covariates", "sizes"):
        table.add_column(name, justify="right")
    for row in comparison:
        each = [row[kind] for kind in ("label", "covariate", "size")]
        table.add_row(row["name"], *(_off(value) for value in each))
    console.print(table)


def show_findings(findings: Sequence[Mapping[str, Any]], n_recordings: int) -> None:
    """Print one paragraph for every finding of the audit."""
    console = Console(highlight=False)
    for finding in findings:
        word = Text("LEAK  " if finding["is_leak"] else "note  ")
        word.stylize("bold red" if finding["is_leak"] else "bold")
        console.print(word + Text(f"{finding['kind']}: {finding['text']}."), soft_wrap=True)
        for item in finding["items"][:_MOST_ITEMS]:
            _say(console, f"      {item}")
        if (rest := len(finding["items"]) - _MOST_ITEMS) > 0:
            console.print(Text(f"      and {rest} more (--json shows all)"))
        _say(console, f"      {finding['advice']}")
    n_leaks = sum(finding["is_leak"] for finding in findings)
    said = f"{counted(n_leaks, 'kind')} of leak" if n_leaks else "no leak"
    console.print(Text(f"{counted(n_recordings, 'recording')} checked: {said}."))


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _say_why(console: Console, estimates: Mapping[str, Mapping[str, Any]]) -> None:
    """One line for every reason why an interval is unknown."""
    reasons: dict[str, list[str]] = {}
    for label, each in estimates.items():
        if each["low"] is None and each.get("method"):
            reasons.setdefault(each["method"], []).append(label)
    for reason, labels in reasons.items():
        why = str(reason).removeprefix("no interval: ")
        _say(console, f"No interval for {', '.join(labels)}: {why}.")


def _estimate(found: Mapping[str, Any], form: str = ".3f") -> str:
    if found["value"] is None:
        return "–"
    if found["low"] is None:
        return format(found["value"], form) + " (interval unknown)"
    low, high = format(found["low"], form), format(found["high"], form)
    return f"{format(found['value'], form)} ({low} to {high})"


def number(value: float | None) -> str:
    """Three decimals, none from 100 on; "-" where there is no value."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:z.3f}"


def interval(found: Mapping[str, Any]) -> str:
    """``low to high``, with enough digits to show its width; "unknown" where there is none."""
    low, high = found["low"], found["high"]
    if low is None or high is None or not low < high:  # older versions wrote some without width
        return "unknown"
    if max(abs(low), abs(high)) >= 100:
        return f"{low:,.0f} to {high:,.0f}"
    shown = number(low), number(high)
    if shown[0] == shown[1]:  # three decimals would hide the width
        shown = f"{low:.2g}", f"{high:.2g}"
    return f"{shown[0]} to {shown[1]}"


def _duration(seconds: float) -> str:
    """A duration, such as 40 s, 12 min or 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(n_bytes: float) -> str:
    """A size in MB, or in GB from 1 GB on."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def _off(value: Mapping[str, float | None]) -> str:
    if value["deviation"] is None or value["above_limit"] is None:
        return "-"
    return f"{value['deviation']:.1%} (+{max(0.0, value['above_limit']):.1%})"
