"""What a pair of spans is scored on, and how (section 3.2 of the paper)."""

from functools import partial
from typing import Callable, Dict, Optional

import numpy
import torch
from torch import Tensor, nn

from ..errors import Errors
from .arrays import Ints
from .heads import ConcatLinear, Output, Sizes, SpanFeatures, check_dropout, check_size

RelationHeadBuilder = Callable[[Sizes], "RelationHead"]

# Distances of 0, 1, 2, 3, 4-5, 6-8, 9-12, 13-20, 21-40 and more tokens are told apart.
DISTANCES = (1, 2, 3, 4, 6, 9, 13, 21, 41)


def build_relation_head(
    hidden_width: int = 0,
    dropout: Optional[float] = None,
    logit_dropout: float = 0.0,
    labels: bool = False,
    empty_context: bool = False,
    distance: int = 0,
    edges: bool = False,
    inverse: bool = False,
) -> RelationHeadBuilder:
    """The relation classifier. Register name: "spacy-spert.RelationHead.v1". By default that of the paper, a linear
    layer over context, head, tail and their widths.

    hidden_width (int): Width of a hidden layer; 0 for none.
    dropout (Optional[float]): Dropout of the input and of the hidden layer; by default the model's.
    logit_dropout (float): Dropout of the logits in training.
    labels (bool): Whether a pair is also scored on what the span classifier thinks of head and tail, the probability of
        each entity label, or on the given label.
    empty_context (bool): Whether a learned vector stands for the context where nothing lies between head and tail.
    distance (int): Width of a learned embedding of the number of tokens between head and tail; 0 for none.
    edges (bool): Whether the first and the last wordpiece of head and tail stand beside the pooled ones.
    inverse (bool): Whether a pair is also scored the other way round, as what is related by the inverse of each label;
        both scores are added up. Needs a hidden layer, as a linear one would only be written as a sum of two.
    RAISES (ValueError): If a setting is out of range, or if `inverse` comes without a hidden layer.
    RETURNS (Callable[[Sizes], RelationHead]): Makes the head, when the sizes are known.
    """
    check_size("relation_head.hidden_width", hidden_width, 0)
    check_size("relation_head.distance", distance, 0)
    check_dropout("relation_head.dropout", dropout)
    check_dropout("relation_head.logit_dropout", logit_dropout)
    if inverse and not hidden_width:
        raise ValueError(Errors.S112)
    # No closure: a pipeline must be picklable, for workers that are not forked.
    return partial(
        RelationHead,
        hidden_width=hidden_width,
        dropout=dropout,
        logit_dropout=logit_dropout,
        labels=labels,
        empty_context=empty_context,
        distance=distance,
        edges=edges,
        inverse=inverse,
    )


def distance_buckets(distances: Ints) -> Ints:
    """Group numbers of tokens.

    distances (Ints): Numbers of tokens, shape (n,).
    RETURNS (Ints): Rows of the embedding of distances, shape (n,).
    """
    return numpy.searchsorted(DISTANCES, distances, side="right")


class RelationHead(nn.Module):
    """Scores ordered pairs of spans. The score is `score` of the sum of the terms of context, head and tail.

    In training all inputs of a pair are put together (`forward`); prediction computes the terms of each span as head
    and as tail once, and that of the context once for both orders. Both must give the same. A head of another kind is
    a subclass, or any module with the same attributes and methods. Whether to train comes with each call.

    uses_labels (bool): Whether SpanFeatures need the probabilities of the labels.
    uses_edges (bool): Whether SpanFeatures need the first and last wordpieces.
    empty_context (Optional[Tensor]): What stands for the context where nothing lies between, if not zeros.
    output_layer (nn.Linear): The layer whose rows are the labels.
    """

    def __init__(
        self,
        sizes: Sizes,
        hidden_width: int,
        dropout: Optional[float],
        logit_dropout: float,
        *,
        labels: bool,
        empty_context: bool,
        distance: int,
        edges: bool,
        inverse: bool = False,
    ):
        super().__init__()
        dropout = sizes.dropout if dropout is None else dropout
        sides = {"": sizes.width, "_width": sizes.width_embedding}
        if labels:
            sides["_labels"] = sizes.n_entity_labels
        if edges:
            sides.update(_first=sizes.width, _last=sizes.width)
        parts = {"context": sizes.width}
        for name, width in sides.items():
            parts.update({f"head{name}": width, f"tail{name}": width})
        if distance:
            parts["distance"] = distance
        self.uses_labels = labels
        self.uses_edges = edges
        self.dropout = dropout
        self.layer = ConcatLinear(parts, hidden_width or sizes.n_relation_labels)
        self.output = Output(hidden_width, sizes.n_relation_labels, dropout, logit_dropout)
        self.inverse = Output(hidden_width, sizes.n_relation_labels, dropout, logit_dropout) if inverse else None
        self.distance_embedding = nn.Embedding(len(DISTANCES) + 1, distance) if distance else None
        self.empty_context = nn.Parameter(torch.zeros(sizes.width)) if empty_context else None

    @property
    def output_layer(self) -> nn.Linear:
        return self.layer if self.output.layer is None else self.output.layer

    def forward(
        self, contexts: Tensor, heads: SpanFeatures, tails: SpanFeatures, distances: Tensor, is_train: bool
    ) -> Tensor:
        """Score pairs one by one.

        contexts (Tensor): The context of each pair, shape (n_pairs, width).
        heads (SpanFeatures): The head of each pair.
        tails (SpanFeatures): The tail of each pair.
        distances (Tensor): How far apart they are, as `distance_buckets` tells, shape (n_pairs,).
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): Logits, shape (n_pairs, n_relation_labels).
        """
        logits = self.score(self._hidden(contexts, heads, tails, distances, is_train), is_train)
        if self.inverse is None:
            return logits
        return logits + self.inverse(self._hidden(contexts, tails, heads, distances, is_train), is_train)

    def side_terms(self, side: str, spans: SpanFeatures) -> Tensor:
        """The terms of spans as head or as tail.

        side (str): "head" or "tail".
        spans (SpanFeatures): The spans.
        RETURNS (Tensor): Shape (n_spans, hidden).
        """
        terms = [self.layer.term(name, part) for name, part in _named(side, spans).items() if name in self.layer.parts]
        return sum(terms[1:], start=terms[0])

    def context_terms(self, contexts: Tensor, distances: Tensor) -> Tensor:
        """The terms of what does not depend on the order of a pair, bias included.

        contexts (Tensor): The context of each pair, shape (n_pairs, width).
        distances (Tensor): How far apart its spans are, shape (n_pairs,).
        RETURNS (Tensor): Shape (n_pairs, hidden).
        """
        terms = self.layer.term("context", contexts) + self.layer.bias
        if self.distance_embedding is not None:
            table = self.layer.term("distance", self.distance_embedding.weight)
            terms = terms + table.index_select(0, distances)
        return terms

    def score(self, hidden: Tensor, is_train: bool) -> Tensor:
        """From the sum of the terms to logits.

        hidden (Tensor): Shape (..., hidden).
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): Shape (..., n_relation_labels).
        """
        return self.output(hidden, is_train)

    def score_both(self, hidden: Tensor) -> Tensor:
        """From the sums of the terms of pairs in both orders to logits, in prediction.

        hidden (Tensor): Those of the pairs, and those with head and tail exchanged, shape (2, n_pairs, hidden).
        RETURNS (Tensor): Logits likewise, shape (2, n_pairs, n_relation_labels).
        """
        logits = self.score(hidden, False)
        return logits if self.inverse is None else logits + self.inverse(hidden.flip(0), False)

    def _hidden(
        self, contexts: Tensor, heads: SpanFeatures, tails: SpanFeatures, distances: Tensor, is_train: bool
    ) -> Tensor:
        inputs: Dict[str, Tensor] = {"context": contexts}
        for side, spans in (("head", heads), ("tail", tails)):
            inputs.update({name: part for name, part in _named(side, spans).items() if name in self.layer.parts})
        if self.distance_embedding is not None:
            inputs["distance"] = self.distance_embedding(distances)
        return self.layer(nn.functional.dropout(self.layer.concat(inputs), self.dropout, is_train))


def _named(side: str, spans: SpanFeatures) -> Dict[str, Tensor]:
    parts = {
        side: spans.vectors,
        f"{side}_width": spans.widths,
        f"{side}_labels": spans.labels,
        f"{side}_first": spans.first,
        f"{side}_last": spans.last,
    }
    return {name: part for name, part in parts.items() if part is not None}
