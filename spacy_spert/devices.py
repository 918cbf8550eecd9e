"""What suits the device that a pipeline runs on: the size of the transformer's batches, and half precision.

Imported with the commands, so neither torch nor transformers are imported here.
"""

from contextlib import contextmanager
from typing import Any, Iterator, List

from spacy import util
from spacy.language import Language
from thinc.api import get_current_ops, require_gpu

from .errors import Errors
from .ml.batches import CPU_BATCH, batch_size


def choose_device(gpu_id: int) -> None:
    """Compute on a GPU from now on, or on the device that is chosen already.

    gpu_id (int): The GPU's number; -1 for none.
    RAISES (ValueError): If there is no GPU.
    """
    if gpu_id >= 0:
        require_gpu(gpu_id)


def load_pipeline(name: str, *, half: bool = False) -> Language:
    """Load a pipeline and fit it to the device.

    name (str): Name or path of the pipeline.
    half (bool): Use half precision for the transformer.
    RETURNS (Language): The pipeline.
    """
    nlp = fit_to_device(util.load_model(name))
    return use_half_precision(nlp) if half else nlp


def fit_to_device(nlp: Language) -> Language:
    """Have the transformer read at most 512 tokens at a time on a CPU, padding included, and at least 4096 on a GPU.

    The transformer stores its `max_batch_items` with its weights, so that a pipeline from a GPU runs with large batches
    on a CPU, whatever the config says. Smaller ones on a CPU and larger ones on a GPU are left as they are.

    nlp (Language): The pipeline.
    RETURNS (Language): The same pipeline.
    """
    size = batch_size(get_current_ops())
    choose = min if size == CPU_BATCH else max
    for pipe in _transformers(nlp):
        pipe.cfg["max_batch_items"] = choose(pipe.cfg["max_batch_items"], size)
    return nlp


@contextmanager
def fitted_to_device(*pipelines: Language) -> Iterator[None]:
    """Fit pipelines to the device for a while, such as before they are saved.

    pipelines (Language): The pipelines.
    """
    before = [(pipe, pipe.cfg["max_batch_items"]) for nlp in pipelines for pipe in _transformers(nlp)]
    try:
        for nlp in pipelines:
            fit_to_device(nlp)
        yield
    finally:
        for pipe, size in before:
            pipe.cfg["max_batch_items"] = size


def use_half_precision(nlp: Language) -> Language:
    """Turn the transformer's weights into 16-bit numbers, for prediction on a GPU: half the memory, and faster.

    What the transformer gives are 32-bit numbers as before, so that other components see no difference but in the last
    decimals. It can't be trained any more, and saving the pipeline would save the shortened weights.

    nlp (Language): The pipeline.
    RETURNS (Language): The same pipeline.
    RAISES (ValueError): If it has no transformer with weights of its own.
    """
    from .ml.half import halve

    encoders = [pipe.model.transformer for pipe in _transformers(nlp)]
    # One on ONNX Runtime has no weights, and neither has one that is not loaded yet.
    encoders = [encoder for encoder in encoders if encoder is not None and any(True for _ in encoder.parameters())]
    if not encoders:
        raise ValueError(Errors.S149.format(names=nlp.component_names))
    for encoder in encoders:
        halve(encoder)
    return nlp


def _transformers(nlp: Language) -> List[Any]:
    """The transformer components of spacy-transformers, found by what they have."""
    return [
        pipe
        for _, pipe in nlp.components
        if "max_batch_items" in getattr(pipe, "cfg", {}) and hasattr(getattr(pipe, "model", None), "transformer")
    ]
