"""`spacy spert serve`: a pipeline behind HTTP."""

from typing import Annotated, Any, Optional

import typer
from wasabi import msg

from ..errors import Errors
from . import app
from ._options import ComponentOption, GpuOption, ModelArg


@app.command("serve")
def serve_cli(
    model: ModelArg,
    host: Annotated[str, typer.Option("--host", "-H", help="Address to listen on; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="Port to listen on", min=0, max=65535)] = 8000,
    component: ComponentOption = None,
    threshold: Annotated[
        Optional[float], typer.Option("--threshold", help="Lowest probability of a relation, instead of the model's")
    ] = None,
    given_sentences: Annotated[
        bool, typer.Option("--given-sentences", "-s", help="Use the records' sent_starts instead of the model's marks")
    ] = False,
    gpu_id: GpuOption = -1,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Most texts processed at a time", min=1)] = 32,
    max_texts: Annotated[int, typer.Option("--max-texts", help="Most texts of a request", min=1)] = 256,
    max_characters: Annotated[
        int, typer.Option("--max-characters", help="Most characters of a request", min=1)
    ] = 200_000,
    max_waiting: Annotated[int, typer.Option("--max-waiting", help="Most requests that wait", min=1)] = 100,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds until a request is given up", min=0.001)] = 60.0,
) -> None:
    """
    Answer requests over HTTP: POST /extract with texts gives their entities
    and relations. GET / is a page to try it.
    """
    try:
        serve(
            model,
            host=host,
            port=port,
            component=component,
            threshold=threshold,
            given_sentences=given_sentences,
            gpu_id=gpu_id,
            batch_size=batch_size,
            max_texts=max_texts,
            max_characters=max_characters,
            max_waiting=max_waiting,
            timeout=timeout,
        )
    except (ValueError, OSError, ImportError) as err:
        msg.fail("Can't serve", str(err), exits=1)


def serve(model: str, *, host: str = "127.0.0.1", port: int = 8000, timeout: float = 60.0, **settings: Any) -> None:
    """Answer requests until the process is told to end. What is under way then is finished.

    model (str): Name or path of the pipeline.
    host (str): The address to listen on.
    port (int): The port; 0 for any that is free.
    timeout (float): Seconds until a request is given up.
    **settings: The others of `spacy_spert.serving.app.create_app`.
    RAISES (ImportError): If the packages that it needs are not installed.
    RAISES (ValueError): If the pipeline can't be used.
    """
    try:
        import uvicorn

        from ..serving.app import create_app
    except ImportError as err:
        raise ImportError(Errors.S150.format(error=err)) from err

    app = create_app(model, timeout=timeout, **settings)
    # Before the server starts, which would show a mistake as a traceback.
    app.state.service.start()
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=round(timeout) + 5)
