"""A transformer that gives a learned mix of its last layers instead of the last one alone.

The mix is part of the encoder. So it comes out in place of the last hidden state, the one output of a transformer that
spacy-transformers takes gradients for, and they flow on from there into each of the layers.
"""

from functools import partial
from typing import Any, Callable, Dict, List, Optional, cast

import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch, HFObjects
from spacy_transformers.layers import TransformerModel
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.layers.transformer_model import set_pytorch_transformer
from thinc.api import Model
from torch import Tensor, nn
from transformers import AutoModel
from transformers.modeling_outputs import BaseModelOutput

from ..errors import Errors
from .listening import replace_listener_cfg

# The shares learn as if with so many times the encoder's learning rate, which is low for what starts from nothing.
SPEED = 10.0


def build_layer_mix_transformer(
    name: str,
    get_spans: Callable,
    layers: int = 4,
    tokenizer_config: Optional[Dict[str, Any]] = None,
    transformer_config: Optional[Dict[str, Any]] = None,
    mixed_precision: bool = False,
    grad_scaler_config: Optional[Dict[str, Any]] = None,
) -> Model[List[Doc], FullTransformerBatch]:
    """Build a transformer whose output is a learned mix of its last layers. All else is as in
    "spacy-transformers.TransformerModel.v3". Register name: "spacy-spert.LayerMixTransformer.v1".

    name (str): Name or path of the encoder.
    get_spans (Callable[[List[Doc]], List[List[Span]]]): Cuts documents into windows.
    layers (int): How many of the last hidden states to mix; the embeddings below the first layer are one of them, too.
    tokenizer_config (Optional[Dict[str, Any]]): Settings of the tokenizer.
    transformer_config (Optional[Dict[str, Any]]): Settings of the encoder.
    mixed_precision (bool): Whether to compute partly in half precision, on a GPU.
    grad_scaler_config (Optional[Dict[str, Any]]): Settings of the scaling of gradients, for mixed precision.
    RETURNS (Model[List[Doc], FullTransformerBatch]): The model, for the component 'transformer' of spacy-transformers.
    RAISES (ValueError): If there is nothing to mix.
    """
    if layers < 1:
        raise ValueError(Errors.S230.format(layers=layers, most="as many as the encoder has"))
    # spacy-transformers writes into these.
    configs = [dict(config or {}) for config in (tokenizer_config, transformer_config, grad_scaler_config)]
    model = TransformerModel(name, get_spans, configs[0], configs[1], mixed_precision, configs[2])
    # The one makes the encoder of a saved pipeline, the other gets that which was downloaded.
    shim = cast(HFShim, model.layers[0].shims[0])
    shim.model_cls = MixedEncoders(layers)
    model.attrs["set_transformer"] = partial(set_transformer, layers=layers)
    model.attrs["replace_listener_cfg"] = partial(replace_listener_cfg, error=Errors.S231)
    return model


def set_transformer(model: TransformerModel, objects: HFObjects, layers: int) -> None:
    """Take an encoder into the model, with a new mix of its layers.

    model (TransformerModel): The model.
    objects (HFObjects): Tokenizer and encoder.
    layers (int): How many layers to mix.
    """
    objects.transformer = MixedEncoder(objects.transformer, layers).to(objects.transformer.device)
    set_pytorch_transformer(model, objects)


class MixedEncoders:
    """Makes encoders, as the classes of transformers do.

    layers (int): How many layers they mix.
    """

    def __init__(self, layers: int):
        self.layers = layers

    def from_config(self, config: Any) -> "MixedEncoder":
        """RETURNS (MixedEncoder): An encoder that gets its weights later, with `load_state_dict`."""
        return MixedEncoder(AutoModel.from_config(config), self.layers)


class MixedEncoder(nn.Module):
    """An encoder of transformers whose last hidden state is a learned mix of several.

    encoder (PreTrainedModel): The encoder.
    layers (int): How many of its last hidden states to mix.
    """

    def __init__(self, encoder: Any, layers: int):
        super().__init__()
        self.encoder = encoder
        # Each has the same share at first. Vectors are not decayed.
        self.logits = nn.Parameter(torch.zeros(layers))

    @property
    def config(self) -> Any:
        """RETURNS (PretrainedConfig): The encoder's settings."""
        return self.encoder.config

    @property
    def device(self) -> torch.device:
        """RETURNS (torch.device): Where the inputs have to be."""
        return self.encoder.device

    @property
    def dtype(self) -> torch.dtype:
        """RETURNS (torch.dtype): The precision of the encoder."""
        return self.encoder.dtype

    def shares(self) -> Tensor:
        """RETURNS (Tensor): The share of each layer, the last layer last, with a sum of 1, shape (layers,)."""
        return (SPEED * self.logits).softmax(dim=0)

    def forward(self, **inputs: Any) -> BaseModelOutput:
        """Embed wordpieces.

        inputs (Any): What the encoder takes.
        RETURNS (BaseModelOutput): The mix as the last hidden state, shape (n_windows, length, width), and nothing else.
        RAISES (ValueError): If the encoder has fewer layers, or does not give them.
        """
        n_layers = len(self.logits)
        states = self.encoder(**{**inputs, "output_hidden_states": True}).hidden_states or ()
        if len(states) < n_layers:
            raise ValueError(Errors.S230.format(layers=n_layers, most=len(states)))
        parts = [share * state for share, state in zip(self.shares(), states[-n_layers:])]
        return BaseModelOutput(last_hidden_state=sum(parts[1:], start=parts[0]))
