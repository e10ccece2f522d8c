"""What kfold-hs wrote is read as it was written, or refused: never another result."""

from __future__ import annotations

import ast
import base64
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import torch

import kfold_hs
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.errors import DamagedFileError, KfoldHsError
from kfold_hs.files import atomic, stored
from kfold_hs.files.atomic import checksum_file, remove, sweep, write_json, write_text, writing
from kfold_hs.learn import checkpoint
from kfold_hs.predictions.table import Predictions

sys.path.append(str(Path(__file__).parents[1] / "robustness"))
from mutations import mutations

PACKAGE = Path(kfold_hs.__file__).parent
HISTORY = """epoch,train_loss,val_loss,acc.murmur,lr,seconds,kept,best,overfitting
0,1.25,1.5,0.5,0.001,0.1,False,False,False
1,1.0,1.25,0.75,0.001,0.1,True,True,False
"""


def predictions() -> Predictions:
    rows = [("patient", 0, 0, i % 2, 0, f"p{i}", f"p{i}", "", "ab"[i % 2], 0.25, 0.75)
            for i in range(8)]  # fmt: skip
    names = ["level", "repeat", "seed", "fold", "epoch", "person_id", "patient_id", "recording_id"]
    return Predictions(
        pd.DataFrame(rows, columns=[*names, "y.t", "p.t.a", "p.t.b"]), {"t": ("a", "b")}
    )


KINDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], Any]]] = {
    "a.json": (lambda p: write_json(p, {"a": [1, 2.5, {"b": "text"}], "c": None}),
               lambda p: stored.read_json(p, "the content")),
    "config.yaml": (lambda p: write_text(p, compose([]).to_yaml(), True),
                    lambda p: load_yaml(p).as_dict()),
    "history.csv": (lambda p: write_text(p, HISTORY, True),
                    lambda p: stored.read_history(p, of_fold=True).to_csv()),
    "p.parquet": (lambda p: predictions().write(p, {"config": "x"}),
                  lambda p: (Predictions.read(p).table.to_csv(), Predictions.digests(p))),
    "m.pt": (lambda p: checkpoint.save(p, {"w": torch.arange(50.0), "digests": {}}),
             lambda p: checkpoint.load(p)["w"].tolist()),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_refused_and_named(tmp_path: Path, name: str) -> None:
    write, read = KINDS[name]
    path = tmp_path / name
    write(path)
    raw, whole = path.read_bytes(), read(path)
    rng = random.Random(0)
    for kind, mutate in mutations(name, n_flips=12).items():
        path.write_bytes(mutate(raw, rng))
        with pytest.raises(KfoldHsError, match=name) as caught:
            read(path)
        assert len(str(caught.value)) < 900, kind
        kept = checksum_file(path)
        digest = kept.read_bytes()
        kept.unlink()  # as a file of an older version, or copied alone: whatever it holds
        try:
            read(path)
        except KfoldHsError as error:
            assert name in str(error), kind  # noqa: PT017
        kept.write_bytes(digest)
    path.write_bytes(raw)
    assert read(path) == whole
    path.unlink()
    with pytest.raises(KfoldHsError, match=name):
        read(path)


def test_a_table_with_text_that_is_none_is_refused(tmp_path: Path) -> None:
    """In what pandas wrote of the columns, which Arrow keeps in base64 and without a checksum."""
    path = tmp_path / "p.parquet"
    KINDS["p.parquet"][0](path)
    raw = path.read_bytes()
    checksum_file(path).unlink()
    schema = max(re.findall(rb"[A-Za-z0-9+/=]{200,}", raw), key=len)
    for text in (b"index_columns", b"pandas_type", b"numpy_type"):
        other = base64.b64decode(schema).replace(text, b"\xff" + text[1:])
        path.write_bytes(raw.replace(schema, base64.b64encode(other)))
        assert path.read_bytes() != raw
        with pytest.raises(DamagedFileError, match=r"p\.parquet"):
            stored.read_parquet(path, "the predictions")


def test_a_file_is_whole_at_whatever_moment_its_writer_is_killed(tmp_path: Path) -> None:
    """Every system call of the replacement in turn is the last; also of the one after it."""
    path = tmp_path / "a.json"

    class Killed(BaseException):
        pass

    def write(content: int, n_calls: int) -> bool:
        """Whether the writer lived."""
        left = [n_calls]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def calling(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return call(*arguments, **named)

            return calling

        with (
            mock.patch.object(os, "pwrite", counted(os.pwrite)),
            mock.patch.object(os, "ftruncate", counted(os.ftruncate)),
            mock.patch.object(os, "pread", counted(os.pread)),
            mock.patch.object(Path, "replace", counted(Path.replace)),
        ):
            try:
                write_json(path, [content])
            except Killed:
                return False
            return True

    lived, content = 0, 0
    for with_checksum in (True, False):
        for first in range(8):
            for second in range(8):
                remove(path)
                write_json(path, [0], checksum=with_checksum)
                known = {0}
                for n_calls in (first, second):
                    content += 1
                    lived += write(content, n_calls)
                    (now,) = stored.read_json(path, "it", list)
                    assert now in known | {content}
                    known = {now}
    assert 0 < lived < 256


def test_two_writers_leave_a_file_that_fits_its_checksum(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from kfold_hs.files.atomic import write_json
from kfold_hs.files.stored import read_json
for i in range(150):
    write_json(Path("a.json"), [sys.argv[1], i])
    read_json(Path("a.json"), "it", list)
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path, stderr=subprocess.PIPE)
        for name in ("one", "two")
    ]
    for each in both:
        assert each.communicate()[1] == b""
    stored.read_json(tmp_path / "a.json", "it", list)


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    code = """
import os, signal
from pathlib import Path
from kfold_hs.files.atomic import writing, writing_folder
with writing(Path("a.json")), writing_folder(Path("bank")) as folder:
    (folder / "frames").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".notes.of.abcdefgh").write_text("a hidden file of the user's")
    with writing(tmp_path / "b.json") as temporary:
        sweep(tmp_path, ours=False)
        assert temporary.exists()
        temporary.write_text("{}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".notes.of.abcdefgh", "b.json"]


def test_a_folder_that_is_not_what_was_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    with atomic.writing_folder(folder, sums=True) as temporary:
        (temporary / "inside").mkdir()
        (temporary / "inside" / "a").write_bytes(bytes(1000))
        (temporary / "b").write_text("b")
    atomic.check_sums(folder)
    for name in ("inside/a", "b", atomic.SUMS):
        raw = (folder / name).read_bytes()
        for kind, mutate in mutations("x", 3).items():
            (folder / name).write_bytes(mutate(raw, random.Random(1)))
            with pytest.raises(DamagedFileError):
                atomic.check_sums(folder)
            assert kind
        (folder / name).write_bytes(raw)
    atomic.check_sums(folder)


# Who reads otherwise: files of the user's, of the system and of the package itself.
OTHERS_FILES = {
    "cohort", "config/compose.py", "config/space.py", "config/study.py", "bundle/inputs.py",
    "splits/imported.py",
    "learn/tracking/energy.py", "learn/device.py", "learn/models/pretrained.py",
    "orchestrator/hardware.py", "judge/results/challenge2022.py", "judge/results/baselines.py",
    "workflows/challenge_entry.py", "bundle/server/app.py", "workflows/prediction_folders.py",
    "config/plugins.py", "config/source_files.py", "config/backbones.py", "api/cohorts.py",
}  # fmt: skip
THE_DOOR = {"files/stored.py", "files/yaml_text.py", "files/atomic.py", "learn/checkpoint.py"}
READERS = {
    "json": {"load"}, "yaml": {"load", "safe_load"}, "OmegaConf": {"load"}, "pq": {"read_table"},
    "pd": {"read_csv", "read_parquet", "read_json"}, "torch": {"load"}, "np": {"fromfile"},
}  # fmt: skip


def test_nothing_that_we_wrote_is_read_but_by_the_door() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if {name, name.split("/")[0]} & (OTHERS_FILES | THE_DOOR):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            module = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            is_reader = node.func.attr in READERS.get(module, set())
            if is_reader or node.func.attr in {"read_text", "read_bytes", "read_schema"}:
                found.append(f"{name}:{node.lineno} {module}.{node.func.attr}")
    # The page that was drawn a moment before, columns of a row and tables in memory.
    allowed = {"workflows/pages.py", "api/results.py", "api/evidence.py"}
    assert [each for each in found if each.split(":")[0] not in allowed
            and "stored.read_bytes" not in each] == []  # fmt: skip


def test_aliases_and_depth_are_refused_at_once(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{c}: &{c} [*{p}, *{p}]\n"
        for p, c in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
    )
    (tmp_path / "config.yaml").write_text(bomb)
    with pytest.raises(DamagedFileError, match="aliases"):
        stored.read_yaml(tmp_path / "config.yaml", "it")
    (tmp_path / "a.json").write_text(json.dumps({"a": eval("[" * 90 + "]" * 90)}))
    stored.read_json(tmp_path / "a.json", "it")
    (tmp_path / "a.json").write_text('{"a":' + "[" * 150 + "]" * 150 + "}")
    with pytest.raises(DamagedFileError, match="nested more than 100 deep"):
        stored.read_json(tmp_path / "a.json", "it")


def test_files_are_written_into_a_folder_that_is_being_written(tmp_path: Path) -> None:
    with atomic.writing_folder(tmp_path / "bundle") as temporary:
        write_json(temporary / "content.json", {"a": 1}, checksum=False)
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["content.json"]
