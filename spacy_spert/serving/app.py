"""The service as an ASGI app: texts in, entities and relations out.

gunicorn -k uvicorn_worker.UvicornWorker "spacy_spert.serving.app:create_app('my_model')"
"""

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Union

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from .. import __version__
from ..devices import choose_device
from ..errors import Errors
from ..extraction.codec import json_line
from ..extraction.extractor import Extractor, load_extractor
from ..formats.losses import shorten
from ..formats.values import expect, parse_json
from .batcher import Batcher, Busy, Stopped, count_characters
from .metrics import Metrics
from .page import colours_of, draw_record, render_page

# A character is at most 12 bytes of JSON, and a text may come with offsets of tokens and meta data.
BYTES_PER_CHARACTER, MORE_BYTES = 16, 2**20
FORMS = {"texts": {"type": "string"}, "records": {"type": "object"}}
EXAMPLE = {"texts": ["Ana Reis works for Halden Marine."]}


def create_app(
    model: Union[str, Path],
    *,
    component: Optional[str] = None,
    threshold: Optional[float] = None,
    given_sentences: bool = False,
    gpu_id: int = -1,
    batch_size: int = 32,
    max_texts: int = 256,
    max_characters: int = 200_000,
    max_waiting: int = 100,
    timeout: float = 60.0,
) -> FastAPI:
    """Make the app. The pipeline is loaded when the app is started.

    model (Union[str, Path]): Name or path of the pipeline.
    component (Optional[str]): The name of the component, needed only if there are several.
    threshold (Optional[float]): Lowest probability of a relation; by default that of the pipeline.
    given_sentences (bool): Use the `sent_starts` of records. By default the pipeline's own marks count.
    gpu_id (int): The GPU, or -1 for the CPU.
    batch_size (int): Most texts that are processed at a time.
    max_texts (int): Most texts of a request; more are refused with 413.
    max_characters (int): Most characters of a request; more are refused with 413.
    max_waiting (int): Most requests that wait or are under way; more are refused with 429.
    timeout (float): Seconds for a request to arrive (408), and from then on to be answered (504).
    RETURNS (FastAPI): The app. `app.state.service` is the `Service` behind it.
    """

    service = Service(
        partial(_load, str(model), gpu_id, threshold=threshold, component=component, given_sentences=given_sentences),
        Path(model).name,
        batch_size=batch_size,
        max_texts=max_texts,
        max_characters=max_characters,
        max_waiting=max_waiting,
        timeout=timeout,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.start)
        yield
        await asyncio.to_thread(service.batcher.stop, timeout)

    app = FastAPI(title=f"spacy-spert: {service.name}", version=__version__, lifespan=lifespan)
    app.state.service = service
    app.middleware("http")(service.count)
    app.post("/extract", summary="Find entities and relations", openapi_extra=_openapi())(service.extract)
    app.post("/draw", include_in_schema=False)(service.draw)
    app.get("/health", summary="Whether texts can be sent")(service.health)
    app.get("/labels", summary="The labels of the pipeline")(service.labels)
    app.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse)(service.show_metrics)
    app.get("/", include_in_schema=False, response_class=HTMLResponse)(service.page)
    return app


class Service:
    """What answers: limits, the queue before the pipeline, counts, and the page."""

    def __init__(
        self,
        load: Callable[[], Extractor],
        name: str,
        *,
        batch_size: int,
        max_texts: int,
        max_characters: int,
        max_waiting: int,
        timeout: float,
    ) -> None:
        """Prepare. The settings are those of `create_app`.

        load (Callable[[], Extractor]): Loads the pipeline.
        name (str): How it is called.
        """
        self.name = name
        self.max_texts = max_texts
        self.max_characters = max_characters
        self.timeout = timeout
        self.metrics = Metrics(lambda: self.batcher.waiting)
        self.batcher = Batcher(load, batch_size=batch_size, max_waiting=max_waiting, observe=self.metrics.observe_batch)

    def start(self) -> None:
        """Load the pipeline, if that is not done yet, and read what the thread will not change.

        RAISES (Exception): What loading raised.
        """
        extractor = self.batcher.start()
        component = extractor.component
        self.component = extractor.name
        self.entity_labels, self.relation_labels = component.entity_labels, component.relation_labels
        self.symmetric_labels = list(component.cfg["symmetric_labels"])
        self.writing_system = extractor.nlp.vocab.writing_system

    async def extract(self, request: Request) -> Response:
        """What `extract` writes for each text, in their order. A text that can't be used is an error of its own."""
        lines = [_json(record) for record in await self._found(request)]
        return Response(b'{"records": [' + b", ".join(lines) + b"]}", media_type="application/json")

    async def draw(self, request: Request) -> Dict[str, Any]:
        """The same for one text, and a drawing of it. For the page."""
        found = await self._found(request)
        record = found[0] if len(found) == 1 and "tokens" not in found[0] else {"error": Errors.S158}
        if "error" in record:
            return {"record": {"error": record["error"]}}
        html = draw_record(record, colours_of(self.entity_labels), self.symmetric_labels, self.writing_system)
        return {"record": record, "html": html}

    async def health(self, response: Response) -> Dict[str, Any]:
        """200 if texts can be sent, else 503."""
        ready = self.batcher.running
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "stopped", "model": self.name, "waiting": self.batcher.waiting}

    async def labels(self) -> Dict[str, Any]:
        """The labels of entities and relations, and which of these have no direction."""
        return {
            "component": self.component,
            "entities": self.entity_labels,
            "relations": self.relation_labels,
            "symmetric": self.symmetric_labels,
        }

    async def show_metrics(self) -> Response:
        """Requests, texts, batches, and the process."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def page(self) -> str:
        """Text in, entities and relations drawn."""
        return render_page(self.name, self.entity_labels, self.relation_labels)

    async def count(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Middleware: count a request."""
        start, status = time.perf_counter(), 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            # Paths that don't exist are chosen by others, and could be endless.
            path = getattr(request.scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)

    async def _found(self, request: Request) -> List[Dict[str, Any]]:
        try:
            body = await asyncio.wait_for(self._read(request), self.timeout)
        except asyncio.TimeoutError as err:
            raise HTTPException(408, Errors.S157.format(timeout=self.timeout)) from err
        records = self._records(body)
        try:
            future = asyncio.wrap_future(self.batcher.submit(records))
        except Busy as err:
            limit = self.batcher.max_waiting
            raise HTTPException(429, Errors.S154.format(limit=limit), headers={"Retry-After": "1"}) from err
        except Stopped as err:
            raise HTTPException(503, Errors.S156) from err
        try:
            found = await asyncio.wait_for(future, self.timeout)
        except asyncio.TimeoutError as err:
            raise HTTPException(504, Errors.S155.format(timeout=self.timeout)) from err
        n_errors = sum("error" in record for record in found)
        self.metrics.texts.labels("error").inc(n_errors)
        self.metrics.texts.labels("ok").inc(len(found) - n_errors)
        return found

    async def _read(self, request: Request) -> bytes:
        """The body, if it is not longer than any request may be."""
        limit = BYTES_PER_CHARACTER * self.max_characters + MORE_BYTES
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise HTTPException(413, Errors.S153.format(limit=limit, unit="bytes"))
        return bytes(body)

    def _records(self, body: bytes) -> List[Any]:
        try:
            value = expect(parse_json(body), dict, "the request")
            if len(value) != 1 or not set(value) <= set(FORMS):
                raise ValueError(Errors.S151.format(value=shorten(repr(list(value)))))
            ((form, given),) = value.items()
            given = expect(given, list, f"'{form}'")
        except ValueError as err:
            raise HTTPException(422, str(err)) from err
        if len(given) > self.max_texts:
            raise HTTPException(413, Errors.S152.format(n=len(given), limit=self.max_texts))
        records = [{"text": text} for text in given] if form == "texts" else given
        if sum(map(count_characters, records)) > self.max_characters:
            raise HTTPException(413, Errors.S153.format(limit=self.max_characters, unit="characters"))
        return records


def _load(model: str, gpu_id: int, **settings: Any) -> Extractor:
    choose_device(gpu_id)
    return load_extractor(model, **settings)


def _json(record: Dict[str, Any]) -> bytes:
    try:
        return json_line(record).rstrip()
    except ValueError as err:
        # Half of a character in its id or meta data, which can't be sent back.
        return json_line({"error": str(err)}).rstrip()


def _openapi() -> Dict[str, Any]:
    """What a request holds. It is read here and not by FastAPI, which would take one of any size."""
    forms = [
        {"type": "object", "required": [form], "properties": {form: {"type": "array", "items": items}}}
        for form, items in FORMS.items()
    ]
    content = {"application/json": {"schema": {"oneOf": forms}, "example": EXAMPLE}}
    return {"requestBody": {"required": True, "content": content}}
