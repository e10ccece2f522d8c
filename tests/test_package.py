"""What is installed is what is here: the wheel, the README, the command's own help."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfold_hs import __version__
from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked folders, so that no build leaves traces here."""
    source = tmp_path_factory.mktemp("source")
    names = ["kfold_hs", "configs", "setup.cfg", "setup.py", "pyproject.toml", "README.md"]
    names += ["LICENSE", "THIRD_PARTY.md"]
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


def test_wheel_says_whose_it_is_and_under_which_terms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        about = message_from_bytes(archive.read(f"{info}/METADATA"))
        for name in ("LICENSE", "THIRD_PARTY.md"):
            assert archive.read(f"{info}/licenses/{name}") == (ROOT / name).read_bytes()
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Author"] == "kfold-hs developers"
    assert about["Version"] == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    # What `pip install .` brings: nothing of the extras.
    needed = [text for text in about.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert not re.findall(r"^(?:ray|wandb|playwright|schemathesis|optuna)", "\n".join(needed), re.M)


def test_extras_are_documented_and_name_extras_that_exist() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    text = (ROOT / "docs" / "install.md").read_text()
    for name, lines in extras.items():
        assert f"`{name}`" in text
        for inner in re.findall(r"kfold-hs\[(.*)\]", lines):
            assert set(inner.split(",")) <= set(extras)


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
