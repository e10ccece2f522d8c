"""One word of a command line: an override in Hydra's grammar, read within bounds.

Three things are ours. The value of a setting that is a path is taken as it stands, blanks,
commas, brackets and all, unless it is in quotes or says `choice(A,B)`; a leading `~/` is the home
folder. Several values are written out or a `range`; what draws or looks up values by itself
(`interval`, `glob`, `shuffle`) is refused. And whatever cannot be read is a `ConfigError`.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
    Sweep,
)
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kfold_hs.config import plugins
from kfold_hs.config.keys import is_path, is_text
from kfold_hs.errors import ConfigError, KfoldHsError, listing, readable, shown

MOST_WORDS = 500
LONGEST_WORD = 10_000
DEEPEST = 20
MOST_INTERPOLATIONS = 20
MOST_VALUES = 100
"""Of one key; and variants that several keys make together."""


class Word(str):
    """An override from a study file; `file` and `line` say from where."""

    file: Path
    line: int

    @classmethod
    def at(cls, text: str, file: Path, line: int) -> Word:
        """The override `text`, which a line of a file makes."""
        word = cls(text)
        word.file, word.line = file, line
        return word


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_KEY = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@]*")
_DIGITS = re.compile(r"\d[\d_]{400,}")
_SHUFFLE = re.compile(r"=\s*shuffle\s*\(")
_EXAMPLE = "An override is key=value or group=name, e.g. optim.lr=1e-4 or sched=cosine."


def read(words: Sequence[str]) -> list[Override]:
    """Read words of a command line.

    Raises
    ------
    ConfigError
        A word is no override, or there are too many; the message says what to write instead.
    """
    if len(words) > MOST_WORDS:
        raise ConfigError(f"{len(words)} overrides are too many: at most {MOST_WORDS}.")
    if sum(word.count("${") for word in words) > MOST_INTERPOLATIONS:
        raise ConfigError(f"at most {MOST_INTERPOLATIONS} times ${{...}} in all overrides.")
    return [_read(word) for word in words]


@plugins.cached
def _read(word: str) -> Override:
    check_text(word)
    if "=" not in word and word.lower().endswith((".yaml", ".yml")):
        there = "is a file" if Path(word).is_file() else "looks like a file"
        raise ConfigError(f"{shown(word)} {there}, and no setting: write -c {shlex.quote(word)}.")
    typed = _with_literal_path(word)
    if _SHUFFLE.search(typed):
        raise ConfigError(
            f"{shown(word)}: shuffle draws another order each time; write the values out."
        )
    try:
        return _parsed(typed)
    except Exception as error:  # of the parser: it is of the word, whatever it is
        if "=" not in word and ("/" in word or Path(word).exists()):
            is_there = "is there, but no setting" if Path(word).exists() else "does not exist"
            raise ConfigError(f"{shown(word)} {is_there} (from {Path.cwd()}). {_EXAMPLE}") from None
        raise ConfigError(
            f"cannot read {shown(word)}: {cause(error)}. {_EXAMPLE}{_way_out(word)}"
        ) from error


def _parsed(word: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([word])
    return override


def with_places(error: ConfigError, words: Sequence[str]) -> ConfigError:
    """The error, with the file and line of each key in it that a study file sets."""
    text, found = str(error), []
    for word in words:
        if isinstance(word, Word):
            key = word.partition("=")[0].lstrip("+~")
            end = r"(?!\w)" if "." in key else "(?=[='])"
            if re.search(rf"(?<![\w.]){re.escape(key)}{end}", text):
                found.append(f"{word.file}, line {word.line} ({key})")
    known = "study file" in text or not found
    return error if known else ConfigError(f"{text} See {listing(found, 3)}.")


def check_text(word: str) -> None:
    """Refuse what no override can be, before anything looks at its grammar.

    Raises
    ------
    ConfigError
        It is too long, nested too deeply, or holds what is no text.
    """
    if len(word) > LONGEST_WORD:
        raise ConfigError(
            f"{shown(word)} has {len(word)} characters, and an override at most {LONGEST_WORD}. "
            "Long lists have a place in a file: split.file=FILE, data.path=FILE."
        )
    if "\0" in word or any("\ud800" <= c <= "\udfff" for c in word):
        raise ConfigError(
            f"{shown(word)} holds bytes that are no text (UTF-8). Rename the file, or reach it by "
            "a link with another name."
        )
    if not is_path(_key(word)) and (depth := _depth(word)) > DEEPEST:
        raise ConfigError(f"{shown(word)} is nested {depth} deep, and may be {DEEPEST}.")


def whole_at(text: str) -> list[bool]:
    """Whether all quotes and brackets before a character are closed; one more for the end."""
    quote, depth, found = "", 0, []
    for character in text:
        found.append(not quote and depth == 0)
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
    return [*found, not quote and depth == 0]


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _QUOTED.sub("", text):
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def is_of_path(word: str) -> bool:
    """Whether a word's value is a path, taken as it stands."""
    return "=" in word and is_path(_key(word))


def _with_literal_path(word: str) -> str:
    key, _, value = word.partition("=")
    if not is_of_path(word) or value.lower() == "null" or value == "???":
        return word
    if _QUOTED.fullmatch(value) or (value.startswith("choice(") and value.endswith(")")):
        return word
    if not value.strip():
        raise ConfigError(f"{shown(word)} names no path. Name one, or leave {_key(word)} out.")
    if value == "~" or value.startswith("~/"):
        try:
            value = str(Path(value).expanduser())
        except RuntimeError as error:
            raise ConfigError(f"{shown(word)}: there is no home folder; write it out.") from error
    return f"{key}={in_quotes(value)}"


def in_quotes(text: str) -> str:
    """A text as Hydra's grammar quotes it."""
    return QuotedString(text=text, quote=Quote.double).with_quotes()


def assignment(key: str, value: object) -> str:
    """The override that sets a key to a value of Python: a text stays a text."""
    if isinstance(value, str) and not is_of_path(f"{key}={value}"):
        try:
            as_it_is = _parsed(f"{key}={value}").value() == value
        except Exception:  # then it needs quotes
            as_it_is = False
        return f"{key}={value if as_it_is else in_quotes(value)}"
    return f"{key}={value}"


def values(override: Override) -> list[str]:
    """Every value of a key that has several, as the grammar writes it.

    Raises
    ------
    ConfigError
        They is unknown, or are too many.
    """
    sweep, word = override.value(), shown(override.input_line)
    if isinstance(sweep, ChoiceSweep) and not sweep.shuffle:
        n: float = len(sweep.list)
        plain = not any(isinstance(each, Sweep | Glob) for each in sweep.list)
    elif isinstance(sweep, RangeSweep) and not sweep.shuffle:
        n, plain = _length(sweep), True
    else:
        n, plain = 0, False
    if override.is_delete():
        raise ConfigError(f"{word} takes a key away, and there is one way to do that.")
    if not plain:
        raise ConfigError(f"{word}: write the values out, e.g. optim.lr=1e-4,1e-3, or range(1,4).")
    if not 1 <= n <= MOST_VALUES:
        count = f"{n:.0f} values" if n < 1e15 else "values without end"
        raise ConfigError(f"{word} has {count}; a key takes from 1 to {MOST_VALUES}.")
    return list(override.sweep_string_iterator())


def _length(sweep: RangeSweep) -> float:
    start, stop, step = sweep.start or 0, sweep.stop or 0, sweep.step
    try:
        return max(0, math.ceil((stop - start) / step))
    except (ArithmeticError, ValueError):  # a step of 0, an end that is infinite or no number
        return math.inf


@contextmanager
def understood(doing: str) -> Iterator[None]:
    """What is done in here to the user's words ends well or in a `ConfigError`.

    Parameters
    ----------
    doing : str
        What could not be done: "compose the configuration".
    """
    try:
        yield
    except KfoldHsError:
        raise
    except Exception as error:  # Hydra, OmegaConf, YAML, resolvers: each has its own kinds
        raise ConfigError(f"cannot {doing}: {cause(error)}.") from error


def cause(error: Exception) -> str:
    """What went wrong, in one short line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or refers to itself"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error parsing override"):
        del lines[0]
    text = readable((lines or [type(error).__name__])[0].rstrip("."), 300)
    if text.startswith("LexerNoViableAltException"):
        return "it holds a sign that must stand in quotes"
    if "integer string conversion" in text:
        return "it holds a number of thousands of digits"
    known = isinstance(error, HydraException | OmegaConfBaseException | YAMLError | OSError)
    return text if known else f"{text} ({type(error).__name__})"


def _way_out(word: str) -> str:
    """How to write a word that cannot be read; tried before it is advised."""
    key, sign, value = word.partition("=")
    if not sign or not _KEY.fullmatch(key) or "${" in value:
        return ""
    quoted = f"{key}={in_quotes(value)}"
    if is_text(_key(word)) and len(value) <= 200 and _parsed(quoted).value() == value:
        return f" Write {shlex.quote(quoted)}."
    return (
        " A text with other signs than letters, digits and _-./ stands in double quotes, the word "
        "in single ones: 'data.person_column=\"Height (cm)\"'."
    )
