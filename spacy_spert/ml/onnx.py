"""A transformer that runs on ONNX Runtime, as `spacy spert optimize` makes it.

The model is the one of spacy-transformers, so that windows, wordpieces, alignment, listeners and storage are the same
as with torch. Only what computes the embeddings is another: a module without weights that holds the bytes of a graph.
"""

import os
from functools import partial
from importlib.util import find_spec
from typing import Any, Callable, Dict, List, cast

import numpy
import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch, HFObjects
from spacy_transformers.layers import TransformerModel
from spacy_transformers.layers.hf_wrapper import HFWrapper
from thinc.api import Model, get_torch_default_device
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from ..errors import Errors
from .listening import replace_listener_cfg

ARCHITECTURE = "spacy-spert.OnnxTransformer.v1"
OUTPUT = "last_hidden_state"
# Types of inputs, as ONNX Runtime calls them.
DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


def build_onnx_transformer(get_spans: Callable, name: str = "") -> Model[List[Doc], FullTransformerBatch]:
    """Build a transformer that runs on ONNX Runtime. It has no graph until it is loaded, and can't be trained.

    get_spans (Callable[[List[Doc]], List[List[Span]]]): Cuts documents into windows.
    name (str): Name of the encoder it was made of.
    RETURNS (Model[List[Doc], FullTransformerBatch]): The model, for the component 'transformer' of spacy-transformers.
    RAISES (ImportError): If ONNX Runtime is not installed.
    """
    require("onnxruntime")
    model = TransformerModel(name, get_spans)
    torch_layer = model.layers[0]
    # That of the model without torch's classes. HFWrapper takes others, TransformerModel doesn't pass them on.
    model.layers[0] = HFWrapper(HFObjects(None, None, None), **torch_layer.attrs, model_cls=OnnxEncoder)
    model.init = init
    model.attrs["replace_listener_cfg"] = partial(replace_listener_cfg, error=Errors.S142)
    return model


def init(model: TransformerModel, X: Any = None, Y: Any = None) -> None:
    """Nothing is left to do once the graph is there."""
    if model.transformer is None:
        raise ValueError(Errors.S141)


def require(*names: str) -> None:
    """Make sure that what is optional is installed.

    names (str): The packages.
    RAISES (ImportError): If one is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise ImportError(Errors.S140.format(name=name))


class OnnxEncoder(nn.Module):
    """An ONNX graph with the interface of an encoder of transformers, as far as spacy-transformers uses it.

    config (PretrainedConfig): The encoder's settings.
    graph (bytes): The graph in the format of ONNX. Its inputs are called as those of the encoder.
    """

    def __init__(self, config: Any, graph: bytes = b""):
        super().__init__()
        self.config = config
        self.graph = graph
        self._sessions: Dict[int, Any] = {}

    @classmethod
    def from_config(cls, config: Any) -> "OnnxEncoder":
        """RETURNS (OnnxEncoder): An encoder that gets its graph later, with `load_state_dict`."""
        return cls(config)

    @property
    def device(self) -> torch.device:
        """RETURNS (torch.device): Where the inputs have to be."""
        return torch.device("cpu")

    def forward(self, **inputs: Tensor) -> BaseModelOutput:
        """Embed wordpieces.

        inputs (Tensor): "input_ids", "attention_mask" and for some encoders "token_type_ids", each (n_windows, length).
        RETURNS (BaseModelOutput): The last hidden state, shape (n_windows, length, width).
        RAISES (ValueError): In training.
        """
        # Predictions have no gradients. The flag changes while other threads predict.
        if self.training and torch.is_grad_enabled():
            raise ValueError(Errors.S143)
        session = self._session()
        arrays = {node.name: inputs[node.name].numpy().astype(DTYPES[node.type]) for node in session.get_inputs()}
        (array,) = session.run([OUTPUT], arrays)
        states = torch.from_numpy(array).to(get_torch_default_device())
        return BaseModelOutput(last_hidden_state=cast(torch.FloatTensor, states))

    def get_extra_state(self) -> Tensor:
        """RETURNS (Tensor): The graph as bytes, which `state_dict` keeps: tensors are all that torch loads safely."""
        return torch.from_numpy(numpy.frombuffer(bytearray(self.graph), dtype="uint8"))

    def set_extra_state(self, state: Any) -> None:
        """Take the graph from a state dict.

        state (Tensor): What get_extra_state returned.
        """
        self.graph = state.cpu().numpy().tobytes()
        self._sessions = {}

    def __getstate__(self) -> Dict[str, Any]:
        # For copies and pickles, which make a session of their own.
        return {**self.__dict__, "_sessions": {}}

    def _session(self) -> Any:
        """The session of this process. One that was inherited in a fork has no threads; to free it waits for them."""
        process = os.getpid()
        if process not in self._sessions:
            self._sessions[process] = make_session(self.graph)
        return self._sessions[process]


def make_session(graph: bytes) -> Any:
    """Prepare a graph to be run on the CPU, with as many threads as torch uses.

    graph (bytes): The graph.
    RETURNS (onnxruntime.InferenceSession): The session.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
