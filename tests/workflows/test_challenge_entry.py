"""The entry to the challenge, driven as the official scripts drive it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from support.project import TINY, Silent

from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.judge.results.challenge2022 import score_folders
from kfold_hs.workflows import challenge_entry

SETTINGS = [word for word in TINY if not word.startswith("data")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder as the challenge gives it: headers and recordings, no table."""
    folder = tmp_path_factory.mktemp("challenge")
    table = pd.read_csv(shared_table_csv, dtype=str, keep_default_na=False)
    for name, rows in table.groupby("patient_id", sort=False):
        lines = [f"{name} {len(rows)} 4000"]
        for row in rows.itertuples():
            stem = f"{name}_{row.site}"
            lines.append(f"{row.site} {stem}.hea {stem}.wav {stem}.tsv")
            samples, rate = soundfile.read(shared_table_csv.parent / row.recording, dtype="int16")
            soundfile.write(folder / f"{stem}.wav", samples, rate, subtype="PCM_16")
            (folder / f"{stem}.hea").write_text(f"{stem} 1 {rate} {len(samples)}\r\n")
        first = rows.iloc[0]
        lines += [f"#Age: {first['age'] or 'nan'}", "#Sex: Female", "#Height: 98.0"]
        lines += ["#Weight: nan", f"#Murmur: {first['murmur']}", f"#Outcome: {first['outcome']}"]
        other = {"p0": "p1", "p1": "p0"}.get(str(name), "nan")
        lines += ["#Murmur locations: nan", f"#Additional ID: {other}"]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def imported(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("team_code", folder / "team_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_trains_loads_and_runs(data: Path, tmp_path: Path) -> None:
    entry, model_folder, outputs = tmp_path / "entry", tmp_path / "model", tmp_path / "outputs"
    words = [*SETTINGS, "train.epochs=1"]
    done = CliRunner().invoke(cli, ["export", "--challenge", str(entry), "-q", *words])
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in entry.iterdir())
    assert names == ["config.yaml", "requirements.txt", "team_code.py"]
    team_code = imported(entry)
    team_code.train_challenge_model(str(data), str(model_folder), 0)
    model = team_code.load_challenge_model(str(model_folder), 0)
    outputs.mkdir()
    for path in sorted(data.glob("*.txt")):
        text = path.read_text()
        recordings = [
            soundfile.read(data / line.split()[2], dtype="int16")[0]
            for line in text.split("\n")[1 : int(text.split()[1]) + 1]
        ]
        found = team_code.run_challenge_model(model, text, recordings, 0)
        classes, labels, probabilities = found
        assert classes == ["Present", "Unknown", "Absent", "Abnormal", "Normal"]
        assert sum(labels[:3]) == sum(labels[3:]) == 1
        assert sum(probabilities) == pytest.approx(2)
        lines = [",".join(map(str, each)) for each in found]
        (outputs / f"{path.stem}.csv").write_text("\n".join([f"#{path.stem}", *lines]) + "\n")
    assert 0 <= score_folders(data, outputs)["murmur"]["weighted_accuracy"] <= 1

    # The same bundle on the same files by the command line: the same files, to the byte.
    words = [str(model_folder / "bundle"), str(data), "-o", str(tmp_path / "again"), "-q"]
    done = CliRunner().invoke(cli, ["predict", *words, "--format", "challenge", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for path in outputs.iterdir():
        assert (tmp_path / "again" / path.name).read_text() == path.read_text()

    with pytest.raises(CohortError, match="lists 2 recordings, and 1 came"):
        team_code.run_challenge_model(model, text, recordings[:1], 0)
    with pytest.raises(CohortError, match="begins with id, number of recordings and rate"):
        team_code.run_challenge_model(model, "p1\n", recordings, 0)
    none = team_code.run_challenge_model(model, text, [r[:0] for r in recordings], 0)
    assert none == ([], [], [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x"], "a bundle needs one RUN"),
        (["reports/one"], "give -o DIR for a bundle, or --challenge DIR"),
        (["reports/one", "seed=1", "--challenge", "x"], "has its own settings. Leave out seed=1"),
    ],
)
def test_what_export_takes(words: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["export", *words])
    assert done.exit_code == 2
    assert message in done.output


def test_what_the_challenge_cannot_use_makes_no_entry(tmp_path: Path) -> None:
    stacked = "data.tasks.outcome.stack=[murmur,tone_hz]"
    asked = "asks for two tasks \\(murmur: Present, Unknown, Absent; outcome: Abnormal, Normal\\)"
    for words, message in (
        (["~data.tasks.outcome"], asked),
        (
            [
                "data.tasks.murmur.classes=[Present,Absent]",
                "data.tasks.murmur.class_weights=null",
                "data.tasks.murmur.uncertain=null",
            ],
            asked,
        ),
        (["+data.tasks.age.classes=[young,old]"], asked),
        ([stacked], "its data hold age, sex, .* and not tone_hz"),
        (["model.covariates=[tone_hz]"], "and not tone_hz"),
        (["split.stratify=[tone_hz,site]"], "and not tone_hz"),
    ):
        config = compose(["data=circor", "data.root=data", *words])
        with pytest.raises(
            ConfigError, match=f"no entry can be made of these settings: .*{message}"
        ):
            challenge_entry.write_entry(tmp_path / "entry", config, None, Silent())
        with pytest.raises(ConfigError, match="no entry can be made of reports/one"):
            challenge_entry.write_entry(tmp_path / "entry", config, Path("reports/one"), Silent())
    assert not list(tmp_path.iterdir())
