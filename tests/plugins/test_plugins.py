"""Plug-ins from their files: chosen, trained, resumed, compared, changed, absent."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import soundfile
import torch
import torchaudio
from support.commands import COMMAND, Child
from support.plugin_files import commands, examples, importable
from support.project import TINY, kfold_hs, write_table

from kfold_hs.config import plugins
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.errors import ConfigError
from kfold_hs.judge.metrics.own import add_metric
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.predictions.table import Predictions

SHORT = ["data.n_patients=30", "split.n_folds=2", "train.epochs=2", "train.batch_size=8",
         "judge.gallery.patients=0", "judge.band_resamples=0", "track=[]"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, text in examples().items():
        (tmp_path / name).write_text(text)
    metrics = dict(METRICS)
    with importable(tmp_path):
        yield tmp_path
    METRICS.clear()
    METRICS.update(metrics)


def metrics_in(folder: Path) -> set[str]:
    summary = json.loads((folder / "summary.json").read_text())
    return {name for task in summary["tasks"].values() for name in task["metrics"]}


def test_examples_are_short() -> None:
    found = examples()
    assert len(found) == 6
    for name, text in found.items():
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) <= 21, name  # 20 and the line that a class's decorator takes


@pytest.mark.slow
@pytest.mark.parametrize("line", commands(), ids=lambda line: line.split("]")[0].split("[")[1])
def test_the_documentation_runs(folder: Path, line: str) -> None:
    if "my_encoder" in line:
        pytest.importorskip("transformers")
    if "my_reader" in line:
        (folder / "clinic").mkdir()
        write_table(folder / "clinic", 12, 1)
        people = [f"p{i} {i + 1} {int(i % 4 == 0)}" for i in range(12)]
        (folder / "clinic" / "people.txt").write_text("\n".join(people))
    short = [word for word in SHORT if "my_reader" not in line or "n_patients" not in word]
    done = kfold_hs(*line.split(), *short, cwd=folder)
    assert done.returncode == 0, done.stderr
    (config,) = folder.glob("reports/*/config.yaml")
    (plugin,) = load_yaml(config).plugins.values()
    assert len(plugin.sha256) == 64
    if "my_parts" in line:
        assert "f2" in metrics_in(config.parent)


WAVES = ["plugins=[my_waves]", "model=waves", "features=waveform", "train.crop_frames=2000",
         "augment=none",
         *(w for w in TINY if not any(key in w for key in ("features", "crop", "resamples"))),
         "judge.band_resamples=0", "track=[]"]  # fmt: skip


BANDS = """import numpy as np
from kfold_hs import register

@register.encoder("bands", n_features=8)
def bands(samples, rate_hz, floor: float = 1e-3):
    found = np.abs(np.fft.rfft(samples))[: len(samples) // 16 * 8]
    return np.log(found.reshape(8, -1).mean(axis=1) + floor)
"""
ENCODER = ["plugins=[my_bands]", "features=bands", "model=linear", "train.crop_frames=1",
           *(w for w in WAVES if w.split("=")[0] not in
             {"plugins", "model", "features", "train.crop_frames"})]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [pytest.param(WAVES, id="waveform"), pytest.param(ENCODER, id="encoder")]
)
def test_killed_resumed_compared_exported_and_asked(folder: Path, words: list[str]) -> None:
    """A killed process, and others that import nothing but by the plug-in's name."""
    (folder / "my_bands.py").write_text(BANDS)
    words = [*words, f"data.path={write_table(folder)}"]
    is_wave = words[0] == WAVES[0]
    whole, killed = ["--name", "whole"], ["--name", "killed"]
    assert kfold_hs("run", *words, *whole, cwd=folder).returncode == 0
    with subprocess.Popen([*COMMAND, "run", *words, *killed], cwd=folder,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        while not list(folder.glob("checkpoints/killed/*/resume.pt")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    more = [] if is_wave else ["--jobs", "2"]  # processes of their own import it, too
    again = kfold_hs("run", *words, *killed, *more, cwd=folder)
    assert again.returncode == 0, again.stderr
    tables = [Predictions.read(folder / "reports" / name / "predictions.parquet").table
              for name in ("whole", "killed")]  # fmt: skip
    assert tables[0].equals(tables[1])

    variants = ["model=waves,linear"] if is_wave else ["model.dropout=0,0.5"]
    compared = [w for w in words if not (is_wave and w.startswith("model="))]
    done = kfold_hs("compare", *compared, *variants, cwd=folder)
    assert done.returncode == 0, done.stderr

    assert kfold_hs("export", "reports/whole", "-o", "bundle", cwd=folder).returncode == 0
    assert len(list((folder / "bundle" / "plugins").glob("my_*.py"))) == 1
    graphs = kfold_hs("export", "reports/whole", "-o", "graphs", "--onnx", cwd=folder)
    if is_wave:
        assert graphs.returncode == 0, graphs.stderr
        check_graph_says_the_same(folder, tables[0])
    else:
        assert "features=bands is Python code of a plug-in" in graphs.stderr
    told = kfold_hs("predict", "bundle", "p3_0.wav", "p3_1.wav", "-o", "rows.csv", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert len((folder / "rows.csv").read_text().splitlines()) >= 2
    if is_wave:
        return
    (folder / "my_bands.py").unlink()  # as on another machine, with the source that came along
    own = {**os.environ, "PYTHONPATH": "bundle/plugins"}
    asked = subprocess.run(
        [*COMMAND, "predict", "bundle", "p3_0.wav"], cwd=folder, capture_output=True, text=True,
        check=False, env=own,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr


def check_graph_says_the_same(folder: Path, table: pd.DataFrame) -> None:
    """The ONNX file of a fold's model, on the samples that it was trained to read."""
    samples, rate_hz = soundfile.read(folder / "p0_0.wav", dtype="float32")
    wave = torchaudio.functional.resample(torch.from_numpy(samples), rate_hz, 2000)
    mine = table[(table["level"] == "recording") & (table["recording_id"] == "p0_0.wav")]
    (row,) = mine.to_dict("records")
    file = folder / "graphs" / "onnx" / f"r0-s0-f{row['fold']}.onnx"
    session = onnxruntime.InferenceSession(file.read_bytes())
    (murmur,) = session.run(["murmur"], {"samples": wave.numpy()})
    want = [row[f"p.murmur.{name}"] for name in ("Present", "Unknown", "Absent")]
    np.testing.assert_allclose(murmur, want, atol=1e-5)


def test_a_changed_source_is_another_run_and_says_why(folder: Path) -> None:
    words = [*WAVES, f"data.path={write_table(folder, 8, 1)}", "train.epochs=1"]
    assert kfold_hs("run", *words, cwd=folder).returncode == 0
    (first,) = (path.name for path in (folder / "reports").iterdir() if path.is_dir())
    again = kfold_hs("run", *words, cwd=folder)
    assert "has changed" not in again.stderr
    file = folder / "my_waves.py"
    file.write_text(file.read_text().replace("11, stride=5", "9, stride=5"))
    done = kfold_hs("run", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"The source of my_waves has changed since the run {first}" in done.stderr
    runs = {path.name for path in (folder / "reports").iterdir() if path.is_dir()}
    assert len(runs) == 2
    refused = kfold_hs("run", *words, "--name", first, cwd=folder)
    assert refused.returncode == 2
    assert "plugins.my_waves.sha256" in refused.stderr
    # The old models are of the old source.
    exported = kfold_hs("export", f"reports/{first}", "-o", "old", cwd=folder)
    assert exported.returncode == 2
    assert "the source of the plug-in my_waves has changed" in exported.stderr


@pytest.mark.slow
def test_a_report_needs_no_plugin_and_what_computes_says_what_is_missing(folder: Path) -> None:
    words = [*WAVES, f"data.path={write_table(folder, 8, 1)}", "train.epochs=1", "--name", "r"]
    assert kfold_hs("run", *words, cwd=folder).returncode == 0
    assert kfold_hs("export", "reports/r", "-o", "bundle", cwd=folder).returncode == 0
    page = (folder / "reports" / "r" / "report.html").read_text()
    digest = load_yaml(folder / "reports" / "r" / "config.yaml").digest
    (folder / "my_waves.py").unlink()
    alone = """
import sys
from pathlib import Path
from kfold_hs.config.compose import load_yaml
from kfold_hs.workflows.cross_validation import report
print(load_yaml(Path("reports/r/config.yaml")).digest)
report(Path("reports/r"))
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", alone], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest
    assert (folder / "reports" / "r" / "report.html").read_text() == page
    asked = Child(["predict", "bundle", "p3_0.wav"], folder)
    _, told = asked.communicate()
    assert asked.returncode == 2
    assert "there is no plug-in my_waves" in told
    assert "PYTHONPATH" in told


def test_a_configuration_takes_its_plugins_along(folder: Path) -> None:
    words = ["plugins=[my_net]", "model=mynet", "model.width=5"]
    with contextlib.chdir(folder):
        config = compose(words)
    assert config.plugins["my_net"].adds == ("model mynet",)
    raw = pickle.dumps(config)
    code = f"import pickle; c = pickle.loads({raw!r}); print(c.digest, c.model.width)"
    with_cache = {**os.environ, "KFOLD_HS_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False,
        env=with_cache,
    )  # fmt: skip
    assert done.stdout.split() == [config.digest, "5"], done.stderr


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "adds nothing"),
        ("import no_such_module_", "No module named 'no_such_module_'"),
        ("@register.schedule('cosine')\ndef f(n): ...", "one of kfold-hs"),
        ("@register.model('a b')\ndef f(n): ...", "cannot be called"),
        ("@register.model('m')\ndef f(hidden): ...", "hidden"),
        ("@register.loss('m')\ndef f(x): ...", "begins with log_p"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_plugin_is_told(folder: Path, source: str, fault: str) -> None:
    (folder / "wrong.py").write_text(f"from kfold_hs import register\n{source}")
    with contextlib.chdir(folder), pytest.raises(ConfigError, match=re.escape(fault)):
        compose(["plugins=[wrong]"])
    assert "mynet" not in plugins.REGISTRIES["model"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("return x.mean(dim=(1, 2, 3))", "backbone and gives a tensor"),
        ("return {'murmur': x}", "backbone and gives a tensor"),
        ("raise ValueError('too small')", "cannot take crops"),
    ],
)
def test_a_network_that_gives_something_else_is_refused(
    folder: Path, body: str, fault: str
) -> None:
    source = "from torch import nn\nfrom kfold_hs import register\n@register.model('odd')\n"
    source += f"class Odd(nn.Module):\n    def forward(self, x):\n        {body}\n"
    (folder / "odd.py").write_text(source)
    done = kfold_hs("run", "plugins=[odd.py]", "model=odd", "data.n_patients=30", cwd=folder)
    assert done.returncode == 2
    assert fault in done.stderr


def test_settings_have_types_bounds_and_names(folder: Path) -> None:
    for word, fault in (
        ("model.width=x", "model.width='x' does not fit"),
        ("model.depth=2", "unknown key"),
        ("model=mynot", "Did you mean 'mynet'"),
    ):
        done = kfold_hs("config", "plugins=[my_net]", "model=mynet", word, cwd=folder)
        assert done.returncode == 2
        assert fault in done.stderr
    missing = kfold_hs("config", "plugins=[nowhere]", cwd=folder)
    assert "there is no plug-in nowhere" in missing.stderr


def test_doctor_lists_what_was_found(folder: Path) -> None:
    done = kfold_hs("doctor", "plugins=[my_parts]", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "metric f2, schedule poly, loss poly1, augmentation shift" in done.stdout


def test_sources_beside_a_plugin_count(folder: Path) -> None:
    (folder / "parts_of_it.py").write_text("WIDTH = 4\n")
    (folder / "with_parts.py").write_text(
        "from parts_of_it import WIDTH\n" + examples()["my_net.py"].replace("= 8", "= WIDTH")
    )
    with contextlib.chdir(folder):
        first = compose(["plugins=[with_parts]", "model=mynet"])
        (folder / "parts_of_it.py").write_text("WIDTH = 6\n")
        second = compose(["plugins=[with_parts]", "model=mynet"])
    assert first.as_dict()["model"]["width"] == 4
    assert second.as_dict()["model"]["width"] == 6
    assert first.plugins != second.plugins
    assert first.digest != second.digest


def test_a_metric_alone_trains_nothing_anew(folder: Path) -> None:
    (folder / "only_metric.py").write_text(
        "from kfold_hs import register\n@register.metric('half')\ndef half(y, p): return 0.5\n"
    )
    with contextlib.chdir(folder):
        assert compose(["plugins=[only_metric]"]).digest == compose([]).digest
        assert compose(["plugins=[my_parts]"]).digest != compose([]).digest


def test_own_metrics_by_hand() -> None:
    y_true, y_prob = (
        np.array([0, 0, 1, 1]),
        np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]),
    )
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 0], [0, 1, 1, 1]])
    try:
        add_metric(lambda y, p, weights: float(np.average(p > 0.5, weights=weights)), "t",
                   name="called", label="called", bounds=(0, 1), margin=0.1)  # fmt: skip
        add_metric(lambda y, p: float((p > 0.5).mean()), "t", name="repeated", label="repeated",
                   bounds=(0, 1), margin=0.1)  # fmt: skip
        for name in ("called", "repeated"):
            np.testing.assert_allclose(
                METRICS[name](y_true, y_prob, 0, weights), [0.5, 2 / 3, 1 / 3]
            )
        add_metric(lambda y_true, y_prob, positive: 3.0, "t", name="three", label="three",
                   bounds=(0, 1), margin=0.1)  # fmt: skip
        with pytest.raises(ConfigError, match="outside its bounds"):
            METRICS["three"](y_true, y_prob, 0, weights)
        with pytest.raises(ConfigError, match="there is already"):
            add_metric(len, "t", name="accuracy", label="", bounds=(0, 1), margin=0.1)
    finally:
        for name in ("called", "repeated", "three"):
            METRICS.pop(name, None)


def test_metrics_are_those_that_a_run_names(folder: Path) -> None:
    """Whatever other runs lie beside it, and however their metrics fail."""
    table = write_table(folder, 8, 1)
    plain = [*TINY, f"data.path={table}", "train.epochs=1", "judge.gallery.patients=0",
             "judge.band_resamples=0", "track=[]"]  # fmt: skip
    mine = kfold_hs("run", *plain, "plugins=[my_parts]", "--name", "mine", cwd=folder)
    assert mine.returncode == 0, mine.stderr
    assert "f2" in metrics_in(folder / "reports" / "mine")
    # As a run whose plug-in became worse since would leave it.
    file = folder / "my_parts.py"
    file.write_text(file.read_text().replace("return fbeta_score", "return None and fbeta_score"))
    done = kfold_hs("run", *plain, "seed=1", "--name", "plain", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "f2" not in metrics_in(folder / "reports" / "plain")
    early = kfold_hs("run", *plain, "seed=2", "plugins=[my_parts]", cwd=folder)
    assert early.returncode == 2
    assert "the metric 'f2' gave None" in early.stderr
    assert "fold 0" not in early.stderr  # before any training
    file.write_text(file.read_text().replace("return None and", "1 / 0; return"))
    failed = kfold_hs("run", *plain, "seed=2", "plugins=[my_parts]", cwd=folder)
    assert "the metric 'f2' failed: ZeroDivisionError" in failed.stderr
    assert "my_parts.py, line" in failed.stderr


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("pd.DataFrame()", "without a row"),
        ("pd.DataFrame({'recording': ['a.wav'], 'murmur': ['Present']})", "without 'patient_id'"),
        ("{}['x']", "data=ill failed: KeyError"),
        ("3", "gave a int"),
    ],
)
def test_what_is_wrong_with_a_readers_table_is_told(folder: Path, table: str, fault: str) -> None:
    (folder / "ill.py").write_text(
        "import pandas as pd\nfrom kfold_hs import register\n"
        "@register.reader('ill', tasks={'murmur': ['Present', 'Absent']})\n"
        f"def ill():\n    return {table}\n"
    )
    done = kfold_hs("run", "plugins=[ill]", "data=ill", cwd=folder)
    assert done.returncode in (1, 2)
    assert fault in done.stderr


def test_a_name_of_pythons_own_is_refused(folder: Path) -> None:
    (folder / "wave.py").write_text(examples()["my_net.py"])
    done = kfold_hs("config", "plugins=[wave]", cwd=folder)
    assert "Python has a module wave of its own" in done.stderr
