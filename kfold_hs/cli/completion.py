"""The command `completion`, and what a shell's TAB key asks for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE = "_KFOLD_HS_COMPLETE"
"""Set by the scripts: that words are asked for, and by which shell."""
_LINE = "_KFOLD_HS_LINE"
"""Set by the scripts: the command line up to the cursor."""

# The shells cut words at other places; each script hands over the line as it was typed. An answer
# is a line for each word: kind, word, help. What ends in = . / is to be continued.
_BASH = r"""_kfold_hs_completion() {
    local typed="${COMP_LINE:0:COMP_POINT}" kind word help prefix=""
    local current="${typed##*[[:space:]]}"
    # Readline replaces what follows the last of these signs only.
    [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && prefix="${current%"${current##*=}"}"
    [[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && prefix="${current%"${current##*:}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r kind word help; do
        if [[ $kind == plain ]]; then
            [[ $word == *[=./] ]] && compopt -o nospace 2>/dev/null
            word="${word#"$prefix"}"
            [[ $current == *[\'\"]* ]] || word="${word// /\\ }"
            COMPREPLY+=("$word")
        elif [[ -n $kind ]]; then
            compopt -o default -o bashdefault 2>/dev/null
        fi
    done < <(_KFOLD_HS_LINE="$typed" _KFOLD_HS_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -F _kfold_hs_completion kfold-hs
"""
_ZSH = r"""#compdef kfold-hs
_kfold_hs_completion() {
    local kind word help line
    local -a whole open shown_whole shown_open
    for line in "${(@f)$(_KFOLD_HS_LINE="${(j: :)words[1,CURRENT]}" \
            _KFOLD_HS_COMPLETE=zsh_complete ${words[1]} 2>/dev/null)}"; do
        kind="${line%%$'\t'*}" word="${${line#*$'\t'}%%$'\t'*}" help="${line##*$'\t'}"
        if [[ $kind == plain ]]; then
            if [[ $word == *[=./] ]]; then
                open+=("$word") shown_open+=("$word")
            else
                whole+=("$word") shown_whole+=("$word${help:+  -- $help}")
            fi
        elif [[ -n $kind ]]; then
            _path_files
        fi
    done
    (( $#open )) && compadd -S '' -d shown_open -a open
    (( $#whole )) && compadd -l -d shown_whole -a whole
    (( $#open + $#whole ))
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _kfold_hs_completion "$@"
else
    compdef _kfold_hs_completion kfold-hs
fi
"""
_FISH = r"""function _kfold_hs_completion
    set -l command (commandline -cpo)[1]
    set -lx _KFOLD_HS_LINE (commandline -cp)
    set -lx _KFOLD_HS_COMPLETE fish_complete
    for line in ($command 2>/dev/null)
        set -l parts (string split \t -- $line)
        if test "$parts[1]" = plain
            printf '%%s\t%%s\n' $parts[2] $parts[3]
        else if test -n "$parts[1]"
            __fish_complete_path (commandline -ct)
        end
    end
end
complete --no-files --command kfold-hs --arguments '(_kfold_hs_completion)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH.replace("%%", "%")}
_WHERE = {
    "bash": "kfold-hs completion bash > ~/.local/share/bash-completion/completions/kfold-hs",
    "zsh": "kfold-hs completion zsh > a folder of $fpath, as _kfold-hs",
    "fish": "kfold-hs completion fish > ~/.config/fish/completions/kfold-hs.fish",
}


@click.command(short_help="Print a script that completes words at the TAB key.")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def completion(shell: str) -> None:
    """Print a script for a shell, which completes commands, options, groups, keys, their values,
    paths and study files.

    \b
    bash   eval "$(kfold-hs completion bash)"      in ~/.bashrc
    zsh    eval "$(kfold-hs completion zsh)"       in ~/.zshrc, after compinit
    fish   kfold-hs completion fish | source       in ~/.config/fish/config.fish

    To start a shell faster, write the script to a file that the shell looks at by itself.
    """
    click.echo(SCRIPTS[shell], nl=False)
    if sys.stdout.isatty():
        click.echo(f"# To be kept:\n#   {_WHERE[shell]}")


def complete_settings(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """KEY=VALUE and GROUP=NAME; paths where a command takes those, too."""
    from kfold_hs.config.completion import paths_like, settings_like

    found = settings_like(incomplete)
    takes_paths = parameter.metavar is not None and not parameter.metavar.startswith("[KEY")
    if takes_paths and "=" not in incomplete and not context.params.get(parameter.name or ""):
        found += paths_like(incomplete)
    return _items(found)


def complete_study(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """YAML files, and folders that may hold some."""
    from kfold_hs.config.completion import STUDIES, paths_like

    return _items(paths_like(incomplete, STUDIES))


def _items(words: list[str]) -> list[CompletionItem[str]]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words]


def answer_shells() -> None:
    """Teach click the form in which our scripts ask, where one does."""
    if VARIABLE not in os.environ:
        return
    from click.shell_completion import (
        ShellComplete,
        add_completion_class,
        split_arg_string,
    )

    def asked(_: ShellComplete) -> tuple[list[str], str]:
        line = os.environ.get(_LINE, "")
        words = split_arg_string(line)[1:]
        is_new = line[-1:].isspace() and not line.endswith("\\ ")
        return (words, "") if is_new or not words else (words[:-1], words[-1])

    def line_of(_: ShellComplete, item: CompletionItem[str]) -> str:
        text = " ".join((item.help or "").split())
        return f"{item.type}\t{item.value}\t{text}"

    methods = {"get_completion_args": asked, "format_completion": line_of}
    for name, script in SCRIPTS.items():
        kind = type(name, (ShellComplete,), {"name": name, "source_template": script, **methods})
        add_completion_class(kind, name)
