"""The page of `kfold-hs serve` in a real browser: a recording dropped, its answer and spectrogram.

Skipped, visibly, where there is no browser: `apt install chromium`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from support.browser import find_browser
from support.project import TINY, Silent

from kfold_hs.config.compose import compose
from kfold_hs.workflows import bundles, cross_validation, serving
from kfold_hs.workflows.bundles import PredictOptions
from kfold_hs.workflows.options import RunOptions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    folder = tmp_path_factory.mktemp("page")
    words = [*TINY, "train.epochs=1", "model.covariates=[age]", f"data.path={shared_table_csv}"]
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=folder, name="one", device="cpu")
    )
    bundles.export(folder / "reports" / "one", folder / "bundle", Silent())
    return folder / "bundle"


@pytest.fixture(scope="module")
def address(bundle: Path) -> Iterator[str]:
    """A running server, as the command starts it."""
    servers: list[uvicorn.Server] = []
    found: list[str] = []
    run = uvicorn.Server.run

    def remembered(server: uvicorn.Server, sockets: Any) -> None:
        servers.append(server)
        run(server, sockets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.Server, "run", remembered)
        thread = threading.Thread(
            target=serving.serve,
            args=(bundle, ("127.0.0.1", 0), found.append, PredictOptions(device="cpu")),
        )  # fmt: skip
        thread.start()
        while not (servers and servers[0].started):
            assert thread.is_alive()
            time.sleep(0.05)
        yield found[0]
        servers[0].should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if (path := find_browser()) is None:
        pytest.skip("no browser is here: `make browser`")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield found
        found.close()


def test_a_recording_is_dropped_and_answered(
    browser: Any, address: str, bundle: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    logged: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_text("2 models; at most 16 recordings").wait_for()
    page.locator("input[name=age]").fill("Child")
    files = [shared_table_csv.parent / f"p7_{k}.wav" for k in range(2)]
    page.locator("input[name=patient_id]").fill("p7")
    page.locator("#files").set_input_files(files)
    page.locator("#answer").wait_for(state="visible")
    assert page.locator("#patient").inner_text() == "p7"
    assert page.locator("#quality").inner_text() == "Quality: ok"
    assert "did not train on this person (r0-f" in page.locator("#who").inner_text()
    assert page.locator("#rows tr").count() == 5
    said = page.locator("#sets").inner_text()
    assert "a coverage of 90 %, promised to the patients of every class" in said
    assert "Unknown is in every set" in said
    assert page.locator("canvas").count() == 2
    colours = page.evaluate(
        "() => { const c = document.querySelector('canvas');"
        "return new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size; }"
    )
    assert colours > 50  # drawn, and not of one colour

    # What it shows is what `predict` says.
    table = "recording,patient_id,age\n" + "".join(f"{file},p7,Child\n" for file in files)
    (tmp_path / "table.csv").write_text(table)
    output = tmp_path / "row.json"
    bundles.predict(
        bundle, [tmp_path / "table.csv"], Silent(), bundles.PredictOptions(output, device="cpu")
    )
    (row,) = json.loads(output.read_text())
    first = page.locator("#rows tr").first.locator("td.number").first.inner_text()
    assert first == f"{100 * row['p.murmur.Present']:.1f} %"

    # A refusal is told in words, and nothing was asked elsewhere.
    page.locator("input[name=patient_id]").fill("")
    page.locator("#files").set_input_files([files[0], shared_table_csv.parent / "p8_0.wav"])
    page.get_by_text("recordings of several patients: p7_0, p8_0").wait_for()
    assert not page.locator("#answer").is_visible()
    assert all(url.startswith(address) for url in asked)
    assert [text for text in logged if "422" not in text] == []
    page.close()
