"""A bundle over HTTP: the answers of `predict`, limits, and the page."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from click.testing import CliRunner
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.project import TINY, Silent

from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.rows import RowOptions
from kfold_hs.bundle.server.app import make_app
from kfold_hs.bundle.server.limits import Limits
from kfold_hs.bundle.server.service import Answers
from kfold_hs.cli.main import cli
from kfold_hs.cli.serve import is_loopback
from kfold_hs.config.compose import compose
from kfold_hs.errors import StorageError
from kfold_hs.judge.selection.conformal import PROMISES
from kfold_hs.workflows import bundles, cross_validation, serving
from kfold_hs.workflows.bundles import PredictOptions
from kfold_hs.workflows.options import RunOptions

FIELDS = {"files": "files_", "files_": "files__"}
CPU = torch.device("cpu")
ODD = ["Height (cm)", "class", "files", "a-b", "größe", "files_", "1st"]
HERE = "http://127.0.0.1"
LIMITS = Limits(max_bytes=400_000, max_files=3, max_seconds=10, timeout_s=900, max_waiting=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    table = pd.read_csv(shared_table_csv)
    for i, name in enumerate(ODD):
        numbers = [int(each[1:]) >> (i % 4) & 1 for each in table["patient_id"]]
        table[name] = np.where(numbers, "high", "low")
    table["recording"] = [str(shared_table_csv.parent / each) for each in table["recording"]]
    table.to_csv(folder / "table.csv", index=False)
    names = ",".join(f"'{name}'" for name in ("age", *ODD))
    words = [*TINY, "train.epochs=1", f"model.covariates=[{names}]"]
    words.append(f"data.path={folder / 'table.csv'}")
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=folder, name="one", device="cpu")
    )
    bundles.export(folder / "reports" / "one", folder / "bundle", Silent())
    return folder / "bundle"


@pytest.fixture(scope="module")
def answers(bundle: Path) -> Answers:
    return Answers(Bundle.read(bundle), CPU, LIMITS, RowOptions())


@pytest.fixture(scope="module")
def app(answers: Answers) -> FastAPI:
    return make_app(answers, serving.LOOPBACK)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=HERE) as found:
        yield found


def wav(seconds: float = 2.0, seed: int = 7, rate: int = 4000) -> bytes:
    file = io.BytesIO()
    sound = 0.1 * np.random.default_rng(seed).standard_normal(round(rate * seconds))
    soundfile.write(file, sound, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def silence(n_samples: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(n_samples), 96_000, format="FLAC")
    return file.getvalue()


def without_size(seconds: float) -> bytes:
    content = wav(seconds)
    return content[:4] + bytes(4) + content[8:40] + bytes(4) + content[44:]


def post(client: TestClient, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    return client.post("/predict", files=[("files", each) for each in files], data=fields)


def predicted(bundle: Path, folder: Path, output: Path) -> dict[str, Any]:
    bundles.predict(bundle, [folder], Silent(), bundles.PredictOptions(output, device="cpu"))
    (row,) = json.loads(output.read_text())
    return dict(row)


def test_answers_are_those_of_predict(
    client: TestClient, bundle: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    known = shared_table_csv.parent / "p7_1.wav"
    for name, files in {
        "new": {"x_AV.wav": wav(), "x_MV.wav": wav(seed=8)},
        "known by its samples": {"y_TV.wav": known.read_bytes(), "y_AV.wav": wav()},
        "broken": {"z_AV.wav": b"RIFF, and then nothing", "z_PV.wav": wav(0.6)},
        "unheard": {"u.wav": b""},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        wanted = predicted(bundle, folder, tmp_path / "row.json")
        response = post(client, *((file, files[file]) for file in sorted(files)))
        assert response.status_code == 200, response.text
        found = response.json()
        # A file that cannot be read is named as it was uploaded, and not by its path.
        wanted["problem"] = wanted["problem"].replace(f"{folder}/", "")
        assert found == wanted
    assert found["p.murmur.Present"] is None


def test_covariates_and_ids_count_as_in_a_table(
    client: TestClient, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").write_bytes(wav())
    (tmp_path / "table.csv").write_text("recording,patient_id,age\na.wav,p3,Child\n")
    wanted = predicted(bundle, tmp_path / "table.csv", tmp_path / "row.json")
    found = post(client, ("a.wav", wav()), patient_id="p3", age="Child").json()
    assert found["known"] == wanted["known"] == "yes"
    assert {k: v for k, v in found.items() if k != "sites"} == {
        k: v for k, v in wanted.items() if k != "sites"
    }
    for odd in (" p3\u00a0", "p\u200b3", "ｐ3"):
        assert post(client, ("a.wav", wav()), patient_id=odd, age="Child").json() == found
    without = post(client, ("a.wav", wav()), patient_id="p3").json()
    assert without["p.murmur.Present"] != found["p.murmur.Present"]


def test_a_covariate_may_have_any_name(client: TestClient, bundle: Path) -> None:
    fields = client.get("/about").json()["covariates"]
    assert list(fields) == ["age", *ODD]
    assert len({*fields.values(), "files", "patient_id"}) == len(fields) + 2
    schema = client.get("/openapi.json").json()["components"]["schemas"]
    (body,) = [each for name, each in schema.items() if name.startswith("Body")]
    assert set(body["properties"]) == {*fields.values(), "files", "patient_id"}
    rows = [
        post(client, ("z.wav", wav()), **{fields[name]: value}).json()["p.murmur.Present"]
        for name in ODD
        for value in ("low", "high")
    ]
    assert all(low != high for low, high in zip(rows[::2], rows[1::2], strict=True))


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ([("a_AV.wav", wav()), ("b_AV.wav", wav())], 422, "several patients: a, b"),
        ([("a.wav", wav(11))], 413, "a.wav is longer than 10 s"),
        ([("a_AV.wav", wav())] * 4, 422, "files: List should have at most 3 items"),
        ([("a.wav", b"\0" * 500_000)], 413, r"more than 0.38147 MiB"),
        ([("a.wav", silence(600_000))], 413, "has 600000 samples in each of 1 channels"),
        ([("a.wav", without_size(11))], 413, "a.wav is longer than 10 s"),
        ([], 422, "files: Field required"),
    ],
)
def test_what_is_refused(
    client: TestClient, files: list[tuple[str, bytes]], status: int, message: str
) -> None:
    response = post(client, *files) if files else client.post("/predict", data={"patient_id": "a"})
    assert response.status_code == status
    assert message in response.json()["detail"]


def test_a_header_that_lies_about_its_length(client: TestClient) -> None:
    content = bytearray(wav())
    content[40:44] = (2**30).to_bytes(4, "little")
    row = post(client, ("a.wav", bytes(content)))
    assert row.status_code in {200, 413}
    if row.status_code == 200:
        assert "cut short" in row.json()["problem"]


def test_patience_has_an_end(answers: Answers) -> None:
    class Slow(Answers):
        def __init__(self) -> None:
            self.bundle, self.coverage = answers.bundle, 0.9
            self.limits = Limits(timeout_s=0.05, max_waiting=1)

        def __call__(self, *given: Any) -> dict[str, Any]:
            time.sleep(0.5)
            return {}

    with TestClient(make_app(Slow(), ["*"]), base_url=HERE) as client:
        response = post(client, ("a.wav", wav()))
        assert response.status_code == 503
        assert "no answer within 0.05 s" in response.json()["detail"]
        response = post(client, ("a.wav", wav()))
        assert response.status_code == 503
        assert "too many requests wait" in response.json()["detail"]


def test_no_upload_is_kept_on_disk(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))  # writing there fails
    assert post(client, ("a_AV.wav", wav(9)), ("a_PV.wav", wav(9))).status_code == 200


def test_only_by_its_own_name(app: FastAPI) -> None:
    with TestClient(app, base_url="http://evil.example") as client:
        assert client.get("/").status_code == 400


def test_the_page_asks_nobody_else(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert "http" not in response.text.replace("http-equiv", "")
    assert "connect-src 'self'" in response.headers["content-security-policy"]
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    about = client.get("/about").json()
    assert about["covariates"] == {each: FIELDS.get(each, each) for each in ("age", *ODD)}
    assert about["tasks"]["murmur"]["classes"] == ["Present", "Unknown", "Absent"]
    assert (about["sets"]["coverage"], about["sets"]["promise"]) == (0.9, PROMISES["class"])
    assert any("with Unknown can promise" in each for each in about["sets"]["beyond"])


def test_openapi_names_every_column(client: TestClient, answers: Answers) -> None:
    document = client.get("/openapi.json").json()
    row = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    found = post(client, ("a_AV.wav", wav())).json()
    assert list(row["application/json"]["schema"]["properties"]) == list(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/about"), ("POST", "/predict")]
)
def test_the_service_keeps_to_its_openapi_document(
    answers: Answers, method: str, path: str
) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(answers, ["*"]))

    @given(data=st.data())
    @settings(
        max_examples=40, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    def check(data: Any) -> None:
        data.draw(schema[path][method].as_strategy()).call_and_validate()

    check()


# --- the command --------------------------------------------------------------------------------


def test_who_is_warned() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_the_command(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: ran.append(server.config))
    done = CliRunner().invoke(cli, ["serve", str(bundle), "--port", "0", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert f"Serving {bundle} at http://127.0.0.1:" in done.output
    assert "Warning" not in done.output
    with TestClient(ran[0].app, base_url=HERE) as client:
        assert client.get("/about").json()["max_files"] == 16
    words = ["--host", "0.0.0.0", "--port", "0", "--device", "cpu"]
    done = CliRunner().invoke(cli, ["serve", str(bundle), *words])
    assert "Warning: with --host 0.0.0.0, everybody" in done.output


def test_a_port_that_is_taken(bundle: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StorageError, match="Name another --port"):
            serving.serve(
                bundle, ("127.0.0.1", port), lambda address: None, PredictOptions(device="cpu")
            )
