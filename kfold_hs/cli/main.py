"""The group of all commands; `main` turns every error into one paragraph and an exit status.

Nothing heavy is imported before it is needed, so that --help answers at once.
Exit status: 0 done, 1 an error, 2 wrong usage, 130 interrupted; the work can be continued.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

from kfold_hs import __version__
from kfold_hs.cli.bundle import export, predict
from kfold_hs.cli.compare import compare
from kfold_hs.cli.completion import VARIABLE, answer_shells, completion
from kfold_hs.cli.config import config
from kfold_hs.cli.doctor import doctor
from kfold_hs.cli.evaluate import evaluate
from kfold_hs.cli.gallery import gallery
from kfold_hs.cli.init import init
from kfold_hs.cli.learning_curve import learning_curve
from kfold_hs.cli.lr_find import lr_find
from kfold_hs.cli.options import DEBUG
from kfold_hs.cli.paper import paper
from kfold_hs.cli.plan import plan
from kfold_hs.cli.report import report
from kfold_hs.cli.run import run
from kfold_hs.cli.score import score
from kfold_hs.cli.segment import segment
from kfold_hs.cli.serve import serve
from kfold_hs.cli.splits import audit, split
from kfold_hs.cli.tune import tune
from kfold_hs.cli.validate import validate

SECTIONS = {
    "Measure": (init, run, evaluate, plan, learning_curve),
    "Choose": (compare, tune, lr_find),
    "Look at results": (report, gallery, paper),
    "Use the ensemble": (export, predict, segment, validate, serve),
    "Check data, splits and settings": (split, audit, config, score, doctor, completion),
}
"""The commands by what a user wants to do, in the order of --help."""


class Sections(click.Group):
    """A group whose --help lists its commands in `SECTIONS`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of commands for every section, all with columns of one width."""
        width = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{each.name:{width}}", each.get_short_help_str(80)) for each in commands]
                )


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kfold-hs")
@DEBUG
def cli() -> None:
    """K-fold cross-validation of heart-sound classifiers that can be trusted.

    Settings are given as KEY=VALUE or GROUP=NAME, e.g. data=circor data.root=DIR
    recipe=lite optim.lr=1e-4, or in a study file: -c study.yaml, which `kfold-hs init` writes for
    data of your own. `kfold-hs config` prints them all.
    """


for each in (command for commands in SECTIONS.values() for command in commands):
    cli.add_command(each)
    DEBUG(each)  # --debug is allowed after the command's name, too


def _unforeseen(error: Exception) -> str:
    """The message for an unexpected error."""
    from kfold_hs.errors import readable

    text = readable(f"{type(error).__name__}: {error}", 600)
    if isinstance(error, MemoryError):
        return "the memory is full. Use fewer --jobs, or a smaller train.batch_size."
    if isinstance(error, OSError):
        return f"the operating system refuses: {text}. --debug shows where."
    return f"{text}. kfold-hs does not expect this error. --debug shows where it comes from."


def _print_anything() -> None:
    """A letter that the console's encoding lacks is printed as its number; it ends no command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_chosen = sys.stdout.isatty() or "PYTHONIOENCODING" in os.environ
        if sys.platform == "win32" and not is_chosen:  # into a file or a pipe: by default cp1252
            sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.reconfigure(errors="backslashreplace")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error ends in one paragraph, not in a traceback."""
    from kfold_hs.errors import KfoldHsError, readable

    _print_anything()
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    answer_shells()
    try:
        result: Any = cli.main(
            args=words, prog_name="kfold-hs", complete_var=VARIABLE, standalone_mode=False
        )
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
    except BrokenPipeError:  # the reader of the output has ended, e.g. `head`
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
