"""The application: POST /predict, the page at /, /about, and /openapi.json.

Uploads stay in memory until they are answered, and are then gone. One request is answered at a
time, in the order they came, since one alone keeps all cores busy.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import resources
from threading import Lock
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kfold_hs import __version__
from kfold_hs.bundle.server.limits import BodyLimit, Limits
from kfold_hs.bundle.server.service import Answers, RefusedError, about, form_fields

_TEXT = Annotated[str | None, Form(max_length=200)]


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str


def make_app(answers: Answers, hosts: Sequence[str]) -> FastAPI:
    """The application around a bundle.

    Parameters
    ----------
    answers : Answers
    hosts : sequence of str
        Names that the service may be called by; "*": any. Others are refused, so that no web
        page can reach a service of this machine under a name of its own.
    """
    limits = answers.limits
    # No page of documentation: FastAPI's loads scripts from elsewhere.
    app = FastAPI(title="kfold-hs", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=limits.max_bytes)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    MultiPartParser.spool_max_size = limits.max_bytes  # in memory, whatever its size
    page, policy = _page()
    queue = Queue(limits)
    fields = form_fields(answers.bundle.covariates)

    @app.middleware("http")
    async def with_policy(
        request: Request, call: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call(request)
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.exception_handler(RequestValidationError)
    async def say_it_in_words(request: Request, error: RequestValidationError) -> JSONResponse:
        words = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"detail": "; ".join(words)}, 422)

    @app.get("/", response_class=HTMLResponse, summary="The page")
    async def show() -> str:
        return page

    @app.get("/about", summary="What the bundle tells, and what a request may ask for")
    async def say() -> dict[str, Any]:
        return about(answers)

    async def predict(**given: Any) -> Response:
        """Recordings of one patient -> what `kfold-hs predict` says of them.

        A file is named `<patient>_<site>`, or `patient_id` says whose all of them are. What is
        wrong with one recording stands in `problem`.
        """
        uploads: list[UploadFile] = given.pop("files")
        patient_id = given.pop("patient_id")
        typed = {name: given[f"covariate_{i}"] for i, name in enumerate(fields)}
        covariates = {name: value for name, value in typed.items() if value is not None}
        files = [(each.filename or "recording", await each.read()) for each in uploads]
        return JSONResponse(await queue.answer(partial(answers, files, patient_id, covariates)))

    predict.__signature__ = _signature(list(fields.values()), limits)  # type: ignore[attr-defined]
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text}
        for status, text in (
            (400, "The body cannot be read"),
            (413, "Too large or too long"),
            (422, "Something is missing, too many or does not fit"),
            (503, "Too many requests, or an answer took too long"),
        )
    }
    row = {"content": {"application/json": {"schema": answers.schema()}}}
    app.post("/predict", responses={200: row, **problems}, summary="Score a patient")(predict)
    return app


class Queue:
    """One answer at a time, by a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="answering")
        self._n_waiting = 0
        self._lock = Lock()

    async def answer(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `work` gives.

        Raises
        ------
        HTTPException
            503: too many wait, or it takes too long; or as `RefusedError` says.
        """
        with self._lock:
            if self._n_waiting >= self._limits.max_waiting:
                raise HTTPException(503, "too many requests wait; try again later.")
            self._n_waiting += 1
        begun = self._pool.submit(work)
        begun.add_done_callback(self._done)
        try:
            answer = asyncio.shield(asyncio.wrap_future(begun))
            return await asyncio.wait_for(answer, self._limits.timeout_s)
        except TimeoutError:
            begun.cancel()  # what has begun cannot be ended, and goes on; what waits is left out
            raise HTTPException(
                503, f"no answer within {self._limits.timeout_s:g} s; send less, or later."
            ) from None
        except RefusedError as error:
            raise HTTPException(error.status, error.text) from error

    def _done(self, work: Future[dict[str, Any]]) -> None:
        with self._lock:
            self._n_waiting -= 1


def _signature(fields: Sequence[str], limits: Limits) -> inspect.Signature:
    """Of `predict`: the files, whose they are, and a field for each covariate of the bundle.

    A covariate may be called anything, `class` or `Height (cm)`: its parameter has a number, and
    the form's field has its name.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    some = File(min_length=1, max_length=limits.max_files)
    parameters: dict[str, tuple[Any, Any]] = {
        "files": (Annotated[list[UploadFile], some], inspect.Parameter.empty),
        "patient_id": (_TEXT, None),
        **{
            f"covariate_{i}": (Annotated[str | None, Form(alias=name, max_length=200)], None)
            for i, name in enumerate(fields)
        },
    }
    return inspect.Signature(
        [
            inspect.Parameter(name, keyword, annotation=kind, default=default)
            for name, (kind, default) in parameters.items()
        ]
    )


def _page() -> tuple[str, str]:
    """The page, and the policy that lets it run its own script and style and reach nobody else."""
    text = (resources.files("kfold_hs.bundle.server") / "page.html").read_text(encoding="utf-8")
    hashes = {}
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[tag] = f"'sha256-{digest}'"
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy
