"""Pipelines whose transformer runs on ONNX Runtime, in float32 or int8, made of trained ones."""

import logging
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Callable, Dict, Iterator, List, Optional

import torch
from spacy.language import Language
from spacy.training import Example
from spacy.util import load_model_from_config, split_requirement
from spacy_transformers import Transformer
from spacy_transformers.data_classes import HFObjects
from spacy_transformers.layers.transformer_model import huggingface_tokenize
from torch import Tensor, nn

from .errors import Errors
from .evaluation.run import evaluate_pipeline
from .ml.onnx import ARCHITECTURE, OUTPUT, OnnxEncoder, require
from .versions import requirement

# Largest difference of embeddings computed by torch and by ONNX Runtime in float32.
MAX_DIFFERENCE = 1e-4
OPSET = 17
# The one that is traced, and those that show whether the graph is right for other shapes as well.
WORDS = "One of the two partners, Ann Lee (Bonn), hired Bob's naïve friends in 1999. "
TRACED = [WORDS, "Ann"]
OTHERS = [["Ann"], ["Bonn", 2 * WORDS, "", WORDS, "Ann works"]]


def optimize_pipeline(nlp: Language, *, int8: bool = False) -> Language:
    """Make a pipeline whose transformers run on ONNX Runtime. It can be saved and used like any other.

    nlp (Language): A trained pipeline. It stays as it is.
    int8 (bool): Compute matrix products with fixed weights in int8.
    RETURNS (Language): The pipeline.
    RAISES (ValueError): If there is no transformer, or one that can't be exported.
    RAISES (ImportError): If something is not installed that is needed for this.
    """
    require("onnx", "onnxruntime")
    transformers: Dict[str, Any] = {name: pipe for name, pipe in nlp.components if _is_torch_transformer(pipe)}
    if not transformers:
        raise ValueError(Errors.S144.format(names=nlp.component_names))
    encoders = {name: make_encoder(name, pipe.model, int8=int8) for name, pipe in transformers.items()}
    config = nlp.config.copy()
    for name in transformers:
        before = config["components"][name]["model"]
        after = {"@architectures": ARCHITECTURE, "name": before["name"], "get_spans": before["get_spans"]}
        config["components"][name]["model"] = after
    optimized = load_model_from_config(config, validate=True)
    exclude = list(transformers)
    optimized.from_bytes(nlp.to_bytes(exclude=exclude), exclude=exclude)
    for name, pipe in transformers.items():
        own: Any = dict(optimized.components)[name]
        own.cfg.update(pipe.cfg)
        objects = HFObjects(pipe.model.tokenizer, encoders[name], _vocabulary(pipe.model))
        own.model.attrs["set_transformer"](own.model, objects)
    optimized.meta["requirements"] = _requirements(optimized.meta.get("requirements", []))
    return optimized


def make_encoder(name: str, model: Any, *, int8: bool = False) -> OnnxEncoder:
    """Export the encoder of a transformer component, and compare.

    name (str): Name of the component, for messages.
    model (TransformerModel): Its model.
    int8 (bool): Compute matrix products with fixed weights in int8.
    RETURNS (OnnxEncoder): The encoder to use in place of it.
    RAISES (ValueError): If it can't be exported, or gives other embeddings.
    """
    encoder = model.transformer.eval()
    kind = encoder.config.model_type
    try:
        exported = OnnxEncoder(encoder.config, export_graph(encoder, _tokenize(model, TRACED))).eval()
        difference = max(_difference(encoder, exported, _tokenize(model, texts)) for texts in (TRACED, *OTHERS))
    except Exception as err:  # whatever exporters and runtime meet in a model of a kind they don't know
        reason = str(err).strip().rstrip(".") or type(err).__name__
        raise ValueError(Errors.S145.format(name=name, kind=kind, reason=reason)) from err
    if not difference <= MAX_DIFFERENCE:
        raise ValueError(Errors.S146.format(name=name, kind=kind, difference=difference, limit=MAX_DIFFERENCE))
    return OnnxEncoder(encoder.config, quantize(exported.graph)) if int8 else exported


def export_graph(encoder: nn.Module, inputs: Dict[str, Tensor]) -> bytes:
    """Export an encoder to ONNX.

    encoder (nn.Module): An encoder of transformers, in evaluation mode.
    inputs (Dict[str, Tensor]): Inputs to trace it with, each (n_windows, length).
    RETURNS (bytes): A graph with the same inputs, in any shape, and the last hidden state as its only output.
    """
    axes = {name: {0: "windows", 1: "pieces"} for name in (*inputs, OUTPUT)}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "float32.onnx"
        # Of what might become constant; the graph is compared with the encoder afterwards. And that the exporter is an
        # older one: the newer ones need more packages, and export fewer of the families.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _LastHiddenState(encoder, list(inputs)).eval(),
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def quantize(graph: bytes) -> bytes:
    """Have a graph compute matrix products with fixed weights in int8.

    The scales of weights are fixed, one for each column; those of inputs are found as they come. Embeddings, norms,
    and products of two inputs stay in float32. Weights are unsigned like the inputs, with their zero in the middle: on
    processors without instructions of their own for this, sums of signed ones could overflow.

    graph (bytes): The graph.
    RETURNS (bytes): The new graph.
    RAISES (ValueError): If it has no such product.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, _quiet_root_logger():
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            onnx.load_from_string(graph),
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
            extra_options={"WeightSymmetric": True},
        )
        quantized = path.read_bytes()
    if not any(node.op_type == "MatMulInteger" for node in onnx.load_from_string(quantized).graph.node):
        raise ValueError(Errors.S147)
    return quantized


@dataclass
class Measured:
    """What a pipeline reaches.

    entities (Optional[float]): F1 of entities; None if they are given and not predicted.
    relations (Optional[float]): F1 of strict relations; None if there are none.
    speed (float): Documents a second.
    """

    entities: Optional[float]
    relations: Optional[float]
    speed: float


def measure_pipelines(
    pipelines: Dict[str, Language],
    read: Callable[[Language], List[Example]],
    component: Optional[str] = None,
    batch_size: Optional[int] = None,
    repeats: int = 3,
) -> Dict[str, Measured]:
    """Score and time pipelines on the same documents.

    pipelines (Dict[str, Language]): The pipelines by name.
    read (Callable[[Language], List[Example]]): Reads annotated documents for a pipeline.
    component (Optional[str]): The name of the component, needed only if there are several.
    batch_size (Optional[int]): Documents at a time; by default that of each pipeline.
    repeats (int): How many times to take the time. The pipelines take turns, and the best time of each counts.
    RETURNS (Dict[str, Measured]): What each of them reaches.
    """
    measured = {}
    for name, nlp in pipelines.items():
        evaluation = evaluate_pipeline(nlp, read(nlp), component=component, batch_size=batch_size)
        scores, task = evaluation.scores, evaluation.cfg["task"]
        measured[name] = Measured(
            scores[f"spans_{evaluation.spans_key}_f"] if task != "relations" else None,
            scores["rels_strict_f"] if task != "entities" else None,
            0.0,
        )
    for _ in range(repeats):
        for name, nlp in pipelines.items():
            docs = [example.predicted for example in read(nlp)]
            start = time.perf_counter()
            for _ in nlp.pipe(docs, batch_size=batch_size):
                pass
            speed = len(docs) / (time.perf_counter() - start)
            measured[name].speed = max(measured[name].speed, speed)
    return measured


def check_losses(before: Measured, after: Measured, limit: float) -> None:
    """Make sure that a pipeline is nearly as good as the one it was made of.

    before (Measured): What the original reaches.
    after (Measured): What the new one reaches.
    limit (float): Most points of F1, from 0 to 100, that may be lost.
    RAISES (ValueError): If more is lost.
    """
    pairs = {"entities": (before.entities, after.entities), "relations": (before.relations, after.relations)}
    losses = {kind: 100 * (old - new) for kind, (old, new) in pairs.items() if old is not None and new is not None}
    # As exact as it is printed.
    if any(round(loss, 2) > limit for loss in losses.values()):
        shown = ", ".join(f"{loss:.2f} points of F1 of {kind}" for kind, loss in losses.items())
        raise ValueError(Errors.S148.format(losses=shown, limit=limit))


class _LastHiddenState(nn.Module):
    """An encoder with inputs by position and one output, as exporters want it."""

    def __init__(self, encoder: nn.Module, names: List[str]):
        super().__init__()
        self.encoder = encoder
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.encoder(**dict(zip(self.names, inputs)), return_dict=True).last_hidden_state


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """ONNX Runtime's quantization logs by the root logger, and each first message there would install a handler.

    It advises steps that find fixed shapes, of which there are none.
    """

    def drop(record: logging.LogRecord) -> bool:
        return False

    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    logging.root.addFilter(drop)
    try:
        yield
    finally:
        logging.root.removeFilter(drop)
        logging.root.removeHandler(handler)


def _is_torch_transformer(pipe: Any) -> bool:
    return isinstance(pipe, Transformer) and not isinstance(getattr(pipe.model, "transformer", None), OnnxEncoder)


def _tokenize(model: Any, texts: List[str]) -> Dict[str, Tensor]:
    """The inputs that the encoder gets for some texts."""
    tokenizer, encoder = model.tokenizer, model.transformer
    encoding = huggingface_tokenize(tokenizer, texts)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoding]
    arrays = {name: encoding[name][:, : tokenizer.model_max_length] for name in names}
    return {name: torch.from_numpy(array).to(encoder.device) for name, array in arrays.items()}


@torch.no_grad()
def _difference(encoder: nn.Module, exported: OnnxEncoder, inputs: Dict[str, Tensor]) -> float:
    """The largest difference between two encoders, padding aside."""
    expected = encoder(**inputs).last_hidden_state.cpu()
    got = exported(**{name: tensor.cpu() for name, tensor in inputs.items()}).last_hidden_state.cpu()
    is_piece = inputs["attention_mask"].cpu() > 0
    return float((expected - got)[is_piece].abs().max())


def _vocabulary(model: Any) -> Any:
    # HFShim writes it into a file whenever it saves the tokenizer. Nothing public returns it.
    return model.layers[0].shims[0]._hfmodel.vocab_file_contents


def _requirements(requirements: List[str]) -> List[str]:
    """Requirements of a package of the pipeline, with ONNX Runtime."""
    others = [each for each in requirements if split_requirement(each)[0] != "spacy-spert"]
    return [*others, requirement("[onnx]")]
