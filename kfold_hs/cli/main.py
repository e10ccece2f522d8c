"""The door: parses a command line, calls one of `kfold_hs.workflows`, prints.

Nothing heavy is imported before it is needed, so that --help answers at once.
Exit status: 0 done, 1 an error of ours, 2 wrong usage, 130 interrupted and resumable.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfold_hs import __version__
from kfold_hs.cli.bundle import export, predict
from kfold_hs.cli.compare import compare
from kfold_hs.cli.dry_run import print_foreseen
from kfold_hs.cli.gallery import gallery
from kfold_hs.cli.lr_find import lr_find
from kfold_hs.cli.options import (
    DEBUG,
    DEVICE,
    DRY_RUN,
    FOLDS,
    OVERRIDES,
    QUIET,
    REPEATS,
    ROOT,
    SEEDS,
    command_line,
    counts,
    resumable,
    with_counts,
    with_fleet,
)
from kfold_hs.cli.plan import plan
from kfold_hs.cli.report import report
from kfold_hs.cli.score import score
from kfold_hs.cli.serve import serve
from kfold_hs.cli.tune import Asked, tune, with_search

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.workflows.search.spec import Search


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kfold-hs")
@DEBUG
def cli() -> None:
    """K-fold cross-validation of heart-sound classifiers that can be trusted.

    Settings are given as KEY=VALUE or GROUP=NAME, e.g. data=circor data.root=DIR
    recipe=lite optim.lr=1e-4; `kfold-hs config` prints them all.
    """


@cli.command()
@OVERRIDES
@FOLDS
@REPEATS
@SEEDS
@click.option(
    "--name", metavar="NAME", help="Name of the run's folders. [default: <data>-<recipe>-<digest>]"
)
@click.option(
    "--nested", is_flag=True, help="Search inside every fold; the options of `tune` say what for."
)
@click.option(
    "--inner-folds", type=int, metavar="N", help="Folds of the searches of --nested. [default: 3]"
)
@with_search
@ROOT
@DEVICE
@with_fleet
@DRY_RUN
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on standard output.")
@QUIET
def run(
    overrides: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    seeds: int | None,
    name: str | None,
    nested: bool,
    inner_folds: int | None,
    asked: Asked,
    root: Path,
    device: str,
    fleet: Fleet,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Cross-validate: train a model per fold and report on people it never heard.

    Repeating a command goes on with what an interrupted one left; a finished fold is
    never trained again. With --nested, keys with several values are searched on
    the training people of every fold, which then scores what was chosen.
    """
    from kfold_hs.cli.tables import Terminal, show_run
    from kfold_hs.workflows import cross_validation

    command = command_line()
    if nested and dry_run:
        raise click.UsageError(
            "--dry-run cannot foresee what a search would choose: leave it out with --nested."
        )
    if nested:
        search = asked.search(overrides, counts(folds, repeats, seeds))
        _nested(search, inner_folds, name, root, device, fleet, command, as_json, quiet)
        return
    if inner_folds is not None or not asked.is_empty:
        raise click.UsageError("the options of a search go with --nested, or with `tune`.")
    settings = _config(overrides, folds, repeats, seeds)
    if dry_run:
        print_foreseen({"": settings}, name, root, device, fleet, as_json, quiet)
        return
    with resumable(command), Terminal(quiet=quiet) as terminal:
        result = cross_validation.run(
            settings, terminal, name=name, root=root, device=device, command=command, fleet=fleet,
            gallery=True,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(result.summary.to_json(), indent=1, allow_nan=False))
    else:
        show_run(result.summary.to_json(), result.paths.report)


def _nested(
    search: Search,
    inner_folds: int | None,
    name: str | None,
    root: Path,
    device: str,
    fleet: Fleet,
    command: str,
    as_json: bool,
    quiet: bool,
) -> None:
    from kfold_hs.cli.tables import Terminal, show_run
    from kfold_hs.cli.terminal_tune import show_nested
    from kfold_hs.workflows.search.nested import INNER_FOLDS, nested

    with resumable(command), Terminal(quiet=quiet) as terminal:
        result = nested(
            search, terminal, inner_folds=INNER_FOLDS if inner_folds is None else inner_folds,
            name=name, root=root, device=device, command=command, fleet=fleet,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(result.summary.to_json(), indent=1, allow_nan=False))
    else:
        assert result.summary.nested is not None
        show_nested(result.summary.nested)
        show_run(result.summary.to_json(), result.paths.report)


@cli.command()
@OVERRIDES
@FOLDS
@REPEATS
def config(overrides: tuple[str, ...], folds: int | None, repeats: int | None) -> None:
    """Print the composed configuration as YAML; one document a variant of a sweep."""
    from kfold_hs.config.compose import compose, expand

    documents = [
        compose(variant).to_yaml() for variant in expand(with_counts(overrides, folds, repeats))
    ]
    click.echo("---\n".join(documents), nl=False)


@cli.command()
@OVERRIDES
@FOLDS
@REPEATS
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the split here; use it with split.file=FILE.",
)
@QUIET
def split(
    overrides: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    output: Path | None,
    quiet: bool,
) -> None:
    """Draw the split of a cohort and show how well it is balanced."""
    from kfold_hs.cli.tables import Terminal, show_split
    from kfold_hs.splits import balance
    from kfold_hs.splits.balance import compare
    from kfold_hs.splits.make import check_output, make_split
    from kfold_hs.workflows.inputs import load_cohort

    with Terminal(quiet=quiet) as terminal:
        settings = _config(overrides, folds, repeats)
        if output is not None:
            check_output(settings, output)
        cohort = load_cohort(settings, terminal)
        drawn = make_split(settings, cohort)
    both = range(drawn.n_repeats)
    show_split(drawn.to_dict(), [balance(cohort, drawn, r) for r in both], compare(cohort, drawn))
    if output is not None:
        drawn.write(output)
        click.echo(f"Written to {output}.")


@cli.command()
@click.argument("words", nargs=-1, metavar="[SPLIT] [KEY=VALUE]...")
@FOLDS
@REPEATS
@click.option(
    "--aliases",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of two columns: ids that are one person.",
)
@click.option("--fix", is_flag=True, help="Join who is one person and write a new split.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("split.json"),
    help="Where --fix writes the split. [default: split.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@QUIET
def audit(
    words: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    aliases: Path | None,
    fix: bool,
    output: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for leaks in a split, or in the data when no SPLIT is given; exit 1 on a leak.

    SPLIT is a split.json, a CSV of patient and fold, nnU-Net's splits_final.json, a
    folder with a folder for each fold, or column:NAME of the data's own table.
    """
    from kfold_hs.cli.tables import Terminal, show_findings
    from kfold_hs.splits.make import fix_split
    from kfold_hs.workflows import cross_validation

    first = words[:1] if words and ("=" not in words[0] or Path(words[0]).exists()) else ()
    with Terminal(quiet=quiet) as terminal:
        settings = _config(words[len(first) :], folds, repeats)
        source = Path(first[0]) if first else None
        cohort, findings = cross_validation.audit_split(settings, source, aliases, terminal)
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=1))
    else:
        show_findings([finding.to_dict() for finding in findings], cohort.n_recordings)
    leaks = any(finding.is_leak for finding in findings)
    if fix and leaks:
        new, table = fix_split(settings, cohort, findings, output)
        click.echo(
            f"Written: {output} (split {new.digest[:16]}) and {table}. Train with\n"
            f"  data.aliases={table} split.file={output} split.n_folds={new.n_folds}",
            err=as_json,
        )
    raise SystemExit(1 if leaks else 0)


def _config(
    overrides: tuple[str, ...], folds: int | None, repeats: int | None, seeds: int | None = None
) -> Config:
    from kfold_hs.config.compose import compose

    return compose(with_counts(overrides, folds, repeats, seeds))


for each in (compare, gallery, lr_find, plan, report, tune, score, export, predict, serve):
    cli.add_command(each)
for each in cli.commands.values():
    DEBUG(each)  # after the command's name as well as before


def _unforeseen(error: Exception) -> str:
    """An error of the system in its words; any other is a fault of ours, and says so."""
    from kfold_hs.errors import readable

    text = readable(f"{type(error).__name__}: {error}", 600)
    if isinstance(error, MemoryError):
        return "the memory is full. Use fewer --jobs, or a smaller train.batch_size."
    if isinstance(error, OSError):
        return f"the system refuses: {text}. --debug shows where."
    return f"{text}. This is an error that kfold-hs does not foresee: --debug shows where."


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error of ours ends in one paragraph, not a traceback."""
    from kfold_hs.errors import KfoldHsError, readable

    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        result: Any = cli.main(args=words, prog_name="kfold-hs", standalone_mode=False)
    except KfoldHsError as error:
        if debug:
            raise
        click.echo(f"kfold-hs: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except click.ClickException as error:
        said = io.StringIO()
        error.show(file=said)
        click.echo(readable(said.getvalue()), err=True, nl=False)
        raise SystemExit(error.exit_code) from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        if debug:
            raise
        click.echo(f"kfold-hs: {_unforeseen(error)}", err=True)
        raise SystemExit(1) from None
    raise SystemExit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
