"""What a span is scored on, and how (section 3.1 of the paper)."""

from functools import partial
from typing import Callable, Dict, Optional

from torch import Tensor, nn

from .heads import ConcatLinear, Output, Sizes, SpanFeatures, check_dropout, check_size

SpanHeadBuilder = Callable[[Sizes], "SpanHead"]


def build_span_head(
    hidden_width: int = 0, dropout: Optional[float] = None, logit_dropout: float = 0.0, edges: bool = False
) -> SpanHeadBuilder:
    """The span classifier. Register name: "spacy-spert.SpanHead.v1". By default that of the paper, a linear layer.

    hidden_width (int): Width of a hidden layer; 0 for none.
    dropout (Optional[float]): Dropout of the input and of the hidden layer; by default the model's.
    logit_dropout (float): Dropout of the logits in training.
    edges (bool): Whether the first and the last wordpiece stand beside the pooled ones.
    RAISES (ValueError): If a setting is out of range.
    RETURNS (Callable[[Sizes], SpanHead]): Makes the head, when the sizes are known.
    """
    check_size("span_head.hidden_width", hidden_width, 0)
    check_dropout("span_head.dropout", dropout)
    check_dropout("span_head.logit_dropout", logit_dropout)
    # No closure: a pipeline must be picklable, for workers that are not forked.
    return partial(SpanHead, hidden_width=hidden_width, dropout=dropout, logit_dropout=logit_dropout, edges=edges)


class SpanHead(nn.Module):
    """Scores spans. The score is `score` of the sum of the terms of the sentence, the edges and the span.

    In training all inputs of a span are put together (`forward`); prediction computes the terms of each sentence, each
    token and each window once and adds them up. Both must give the same. A head of another kind is a subclass, or
    any module with the same attributes and methods. Whether to train comes with each call.

    uses_edges (bool): Whether SpanFeatures need the first and last wordpieces.
    output_layer (nn.Linear): The layer whose rows are the labels, "none" first.
    """

    def __init__(self, sizes: Sizes, hidden_width: int, dropout: Optional[float], logit_dropout: float, edges: bool):
        super().__init__()
        dropout = sizes.dropout if dropout is None else dropout
        n_labels = 1 + sizes.n_entity_labels
        parts = {"context": sizes.width, "span": sizes.width, "width": sizes.width_embedding}
        if edges:
            parts.update(first=sizes.width, last=sizes.width)
        self.uses_edges = edges
        self.dropout = dropout
        self.layer = ConcatLinear(parts, hidden_width or n_labels)
        self.output = Output(hidden_width, n_labels, dropout, logit_dropout)

    @property
    def output_layer(self) -> nn.Linear:
        return self.layer if self.output.layer is None else self.output.layer

    def forward(self, contexts: Tensor, spans: SpanFeatures, is_train: bool) -> Tensor:
        """Score spans one by one.

        contexts (Tensor): The vector of each span's sentence, shape (n_spans, width).
        spans (SpanFeatures): The spans.
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): Logits, "none" first, shape (n_spans, 1 + n_entity_labels).
        """
        inputs: Dict[str, Tensor] = {"context": contexts, "span": spans.vectors, "width": spans.widths}
        if spans.first is not None and spans.last is not None:
            inputs.update(first=spans.first, last=spans.last)
        return self.score(
            self.layer(nn.functional.dropout(self.layer.concat(inputs), self.dropout, is_train)), is_train
        )

    def context_terms(self, contexts: Tensor) -> Tensor:
        """The terms of sentences, bias included.

        contexts (Tensor): Shape (n_sentences, width).
        RETURNS (Tensor): Shape (n_sentences, hidden).
        """
        return self.layer.term("context", contexts) + self.layer.bias

    def span_terms(self, vectors: Tensor, widths: Tensor) -> Tensor:
        """The terms of spans.

        vectors (Tensor): Their wordpieces pooled, shape (..., width).
        widths (Tensor): The embeddings of their widths, which can be broadcast to shape (..., width_embedding).
        RETURNS (Tensor): Shape (..., hidden).
        """
        return self.layer.term("span", vectors) + self.layer.term("width", widths)

    def edge_terms(self, side: str, pieces: Tensor) -> Tensor:
        """The terms of the wordpieces that a span may begin or end with.

        side (str): "first" or "last".
        pieces (Tensor): Shape (n_tokens, width).
        RETURNS (Tensor): Shape (n_tokens, hidden).
        """
        return self.layer.term(side, pieces)

    def score(self, hidden: Tensor, is_train: bool) -> Tensor:
        """From the sum of the terms to logits.

        hidden (Tensor): Shape (..., hidden).
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): Shape (..., 1 + n_entity_labels).
        """
        return self.output(hidden, is_train)
