"""What both kinds of heads are made of."""

from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ..errors import Errors


@dataclass(frozen=True)
class Sizes:
    """What a head must know to be made.

    width (int): Width of the embeddings.
    n_entity_labels (int): Number of entity labels, without "none".
    n_relation_labels (int): Number of relation labels.
    max_span_width (int): Longest candidate span in tokens.
    width_embedding (int): Width of the learned embedding of a span's width.
    dropout (float): Dropout of heads that don't set their own.
    """

    width: int
    n_entity_labels: int
    n_relation_labels: int
    max_span_width: int
    width_embedding: int = 25
    dropout: float = 0.1


def check_size(setting: str, size: int, least: int = 1) -> None:
    """Make sure that a width, or another size, can be had.

    setting (str): Its name, for the message.
    size (int): Its value.
    least (int): The lowest that there may be.
    RAISES (ValueError): If it is below that.
    """
    if size < least:
        expected = f"at least {least}"
        raise ValueError(Errors.S031.format(setting=setting, name="spert", expected=expected, value=size))


def check_dropout(setting: str, dropout: Optional[float]) -> None:
    """Make sure that a dropout leaves something to learn from.

    setting (str): Its name, for the message.
    dropout (Optional[float]): Its value; None for another's.
    RAISES (ValueError): If it is not from 0 to below 1.
    """
    if dropout is not None and not 0.0 <= dropout < 1.0:
        expected = "at least 0 and below 1"
        raise ValueError(Errors.S031.format(setting=setting, name="spert", expected=expected, value=dropout))


class SpanFeatures(NamedTuple):
    """What is known of some spans.

    vectors (Tensor): Their wordpieces pooled, shape (n_spans, width).
    widths (Tensor): The learned embeddings of their widths, shape (n_spans, width_embedding).
    first (Optional[Tensor]): Their first wordpieces, shape (n_spans, width), if a head asks for them.
    last (Optional[Tensor]): Their last wordpieces, likewise.
    labels (Optional[Tensor]): Probability of each entity label, without "none", shape (n_spans, n_entity_labels), if
        the relation head asks for them. No gradient flows through them.
    """

    vectors: Tensor
    widths: Tensor
    first: Optional[Tensor] = None
    last: Optional[Tensor] = None
    labels: Optional[Tensor] = None

    def select(self, indices: Tensor) -> "SpanFeatures":
        """Some of the spans.

        indices (Tensor): Which, shape (n,).
        RETURNS (SpanFeatures): Their features.
        """
        parts = {name: part.index_select(0, indices) for name, part in self._asdict().items() if part is not None}
        return SpanFeatures(**parts)


class ConcatLinear(nn.Linear):
    """A linear layer over a concatenation of named parts, which can be applied to each of them on its own.

    The one place that holds the order of the parts: training concatenates, prediction adds up the terms of the parts,
    and checkpoints come with this order.

    parts (Dict[str, int]): The width of each part, in their order.
    n_out (int): Width of the output.
    """

    def __init__(self, parts: Dict[str, int], n_out: int):
        super().__init__(sum(parts.values()), n_out)
        self.parts = dict(parts)

    def concat(self, inputs: Dict[str, Tensor]) -> Tensor:
        """Put the parts side by side.

        inputs (Dict[str, Tensor]): The parts, each (n, width of the part).
        RETURNS (Tensor): Shape (n, width of all).
        """
        return torch.cat([inputs[name] for name in self.parts], dim=1)

    def term(self, name: str, inputs: Tensor) -> Tensor:
        """What a part adds to the output. The bias is a term of its own.

        name (str): The part.
        inputs (Tensor): Its values, shape (..., width of the part).
        RETURNS (Tensor): Shape (..., n_out).
        """
        names = list(self.parts)
        start = sum(self.parts[other] for other in names[: names.index(name)])
        return nn.functional.linear(inputs, self.weight[:, start : start + self.parts[name]])


class Output(nn.Module):
    """What follows the first layer of a head: nothing for a linear one, activation and a second layer for others."""

    def __init__(self, hidden_width: int, n_labels: int, dropout: float, logit_dropout: float):
        """Make the layers.

        hidden_width (int): Width of the first layer's output; 0 if that are the logits already.
        n_labels (int): Number of logits.
        dropout (float): Dropout between the two layers.
        logit_dropout (float): Dropout of the logits, which keeps a model from relying on the surest.
        """
        super().__init__()
        self.dropout = dropout
        self.logit_dropout = logit_dropout
        self.layer = nn.Linear(hidden_width, n_labels) if hidden_width else None

    def forward(self, hidden: Tensor, is_train: bool) -> Tensor:
        if self.layer is not None:
            hidden = self.layer(nn.functional.dropout(nn.functional.gelu(hidden), self.dropout, is_train))
        return nn.functional.dropout(hidden, self.logit_dropout, is_train)
