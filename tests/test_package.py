"""What is installed is what is here: the wheel, the README, the command's own help."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked folders, so that no build leaves traces here."""
    source = tmp_path_factory.mktemp("source")
    names = ["kfold_hs", "configs", "setup.cfg", "pyproject.toml", "README.md"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in names), str(source)], check=True)
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(target), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(target.glob("*.whl"))


def test_wheel_holds_every_module_template_and_configuration(wheel: Path) -> None:
    found = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "kfold_hs").rglob("*")
        if path.suffix in {".py", ".j2", ".typed"}
    }
    expected |= {
        f"kfold_hs/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")
    }
    assert not expected - found
    assert not [name for name in found if name.endswith((".pt", ".wav", ".flac"))]


def test_wheel_works_from_any_directory_with_the_same_defaults(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import kfold_hs; from kfold_hs.config.compose import compose\n"
        f"assert kfold_hs.__file__.startswith({str(tmp_path)!r}), kfold_hs.__file__\n"
        "print(compose(['recipe=lite', 'data=circor', 'data.root=x']).to_yaml(), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == compose(["recipe=lite", "data=circor", "data.root=x"]).to_yaml()


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {"run", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", [None, *cli.commands])
def test_help(name: str | None) -> None:
    result = CliRunner().invoke(cli, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_lists_every_command_once_in_a_line() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    for name, command in cli.commands.items():
        assert re.findall(rf"^  {name} +(.+)$", shown, re.MULTILINE) == [command.short_help]
