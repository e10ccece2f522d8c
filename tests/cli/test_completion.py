"""`kfold-hs completion`: what the TAB key makes of a word, in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.project import kfold_hs

from kfold_hs.config.completion import settings_like

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")
WORDS = {
    "kfold-hs ini": "kfold-hs init",
    "kfold-hs run sched=cos": "kfold-hs run sched=cosine",
    "kfold-hs run train.average=em": "kfold-hs run train.average=ema",
    "kfold-hs run data.root=recor": "kfold-hs run data.root=recordings/",
    "kfold-hs run --config my": "kfold-hs run --config my.yaml",
    "kfold-hs run -c my": "kfold-hs run -c my.yaml",
    "kfold-hs compare sched=cosine,one": "kfold-hs compare sched=cosine,onecycle",
    "kfold-hs tune --racin": "kfold-hs tune --racing",
}
"""A line, and what TAB at its end makes of it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to type in, and `bin/kfold-hs` beside it."""
    made = tmp_path_factory.mktemp("shell")
    (made / "bin").mkdir()
    command = made / "bin" / "kfold-hs"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kfold_hs.cli.main "$@"\n')
    command.chmod(0o755)
    (made / "here" / "recordings").mkdir(parents=True)
    (made / "here" / "my.yaml").write_text("seed: 1\n")
    (made / "here" / "my.csv").write_text("a\n")
    return made


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "KFOLD_HS_CACHE": str(folder / "cache"),
        "HOME": str(folder),
    }


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def answer(line: str, environment: dict[str, str], folder: Path) -> list[str]:
    """What the command says to the scripts."""
    asked = {**environment, "_KFOLD_HS_LINE": line, "_KFOLD_HS_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [folder / "bin" / "kfold-hs"], env=asked, cwd=folder / "here", capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return [each.split("\t")[1] for each in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def bash(folder: Path, environment: dict[str, str]) -> Iterator[object]:
    pexpect = pytest.importorskip("pexpect")
    shell = pexpect.spawn(
        program("bash"), ["--norc", "--noprofile", "-i"], env=environment, encoding="utf-8",
        cwd=str(folder / "here"), timeout=120, dimensions=(50, 300),
    )  # fmt: skip
    shell.sendline(
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; "
        'eval "$(kfold-hs completion bash)"; echo rea""dy'
    )
    shell.expect("ready\r\n")
    yield shell
    shell.close(force=True)


@pytest.mark.parametrize("line", WORDS)
def test_bash_completes(line: str, bash: object) -> None:
    """Readline itself: TAB, then the line is made an argument of printf and printed."""
    shell = bash
    shell.send(f"{line}\t\x01printf '<%s>\\n' '\x05'\r")  # type: ignore[attr-defined]
    shell.expect(r"\r\n<(.*)>\r\n")  # type: ignore[attr-defined]
    assert shell.match[1].rstrip() == WORDS[line]  # type: ignore[attr-defined]


def test_fish_completes(folder: Path, environment: dict[str, str]) -> None:
    asked = "; ".join(f"complete -C '{line}'; echo ." for line in WORDS)
    done = subprocess.run(
        [program("fish"), "--no-config", "-c", f"kfold-hs completion fish | source; {asked}"],
        env=environment, cwd=folder / "here", capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [block.split("\t")[0].strip() for block in done.stdout.split("\n.\n") if block]
    assert found == [line.rsplit(" ", 1)[1] for line in WORDS.values()]


def test_zsh_completes(folder: Path, environment: dict[str, str]) -> None:
    pexpect = pytest.importorskip("pexpect")
    shell = pexpect.spawn(
        program("zsh"), ["-f", "-i"], env=environment, encoding="utf-8",
        cwd=str(folder / "here"), timeout=120, dimensions=(50, 300),
    )  # fmt: skip
    shell.sendline(
        "bindkey -e; unsetopt prompt_cr prompt_sp zle_bracketed_paste; autoload -U compinit; "
        'compinit -u -D; eval "$(kfold-hs completion zsh)"; echo rea""dy'
    )
    shell.expect("ready\r\n")
    for line, wanted in WORDS.items():
        shell.send(f"{line}\t\x01printf '<%s>\\n' '\x05'\r")
        shell.expect(r"\n<(.*)>\r\n")
        assert shell.match[1].rstrip() == wanted
    shell.close(force=True)


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("kfold-hs ", {"run", "init", "completion"}),
        ("kfold-hs run train.", {"train.epochs=", "train.average="}),
        ("kfold-hs run judge.", {"judge.margins.", "judge.gallery."}),
        ("kfold-hs run model=", {"model=tiny", "model=lite0"}),
        ("kfold-hs run sched", {"sched=", "sched."}),
        ("kfold-hs run split.audit=", {"split.audit=true", "split.audit=false"}),
        ("kfold-hs audit ", {"recordings/", "my.csv", "data="}),
    ],
)
def test_what_may_follow(
    line: str, some: set[str], folder: Path, environment: dict[str, str]
) -> None:
    assert some <= set(answer(line, environment, folder))


def test_it_loads_no_torch(folder: Path, environment: dict[str, str]) -> None:
    answer("kfold-hs run sched=", environment, folder)  # the settings are in the cache now
    code = (
        "import sys\nfrom kfold_hs.cli.main import main\n"
        "try:\n    main([])\nfinally:\n    sys.stderr.write(str('torch' in sys.modules))"
    )
    asked = {"_KFOLD_HS_LINE": "kfold-hs run train.", "_KFOLD_HS_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **asked}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "train.epochs=" in done.stdout
    assert done.stderr == "False"


def test_unknown_words_and_no_cache(
    folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings_like("nowhere=") == []
    assert settings_like("optim.lr=") == []
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("KFOLD_HS_CACHE", str(blocked / "cache"))
    assert "sched=cosine" in settings_like("sched=")
    assert kfold_hs("completion", "tcsh", cwd=tmp_path).returncode == 2


def test_the_cache_follows_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path))
    settings_like("sched=")
    (kept,) = tmp_path.glob("completion-*.json")
    kept.write_text("{}")
    assert settings_like("sched=") == []
    kept.rename(kept.with_name("completion-0.json"))
    assert "sched=cosine" in settings_like("sched=")
    assert [each.name for each in tmp_path.glob("completion-*.json")] == [kept.name]
    assert time.time() - kept.stat().st_mtime < 600
