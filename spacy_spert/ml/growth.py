"""More labels for a trained model: rows for its classifiers that change no decision until they are trained."""

from itertools import chain
from typing import Any

import torch
from thinc.api import Model
from torch import Tensor, nn

from .heads import ConcatLinear
from .model import get_network

# How far a new entity label lies below "none", as a logit. With it the other probabilities lose less than 0.0004.
ENTITY_BIAS = -8.0
# The logit of a new relation label for any pair: a probability of 0.007.
RELATION_BIAS = -5.0


def grow(model: Model[Any, Any], n_entity_labels: int, n_relation_labels: int) -> None:
    """Add labels at the end of those that a model has. The weights of the others stay as they are.

    The head is made anew. Optimizers take its weights for new ones, as the moments of the former have other shapes.

    model (Model): The model of the component, initialized.
    n_entity_labels (int): Number of entity labels, without "none".
    n_relation_labels (int): Number of relation labels.
    """
    old = get_network(model)
    model.attrs["remove_head"](model)
    model.set_dim("nE", n_entity_labels, force=True)
    model.set_dim("nR", n_relation_labels, force=True)
    if model.init is not None:
        model.init(model, None, None)
    new = get_network(model)
    with torch.no_grad():
        _copy_weights(old, new)
        entities = new.span_head.output_layer
        n_old = old.span_head.output_layer.out_features
        # As copies of "none" they have a lower logit than it for every span.
        entities.weight[n_old:] = entities.weight[0]
        entities.bias[n_old:] = entities.bias[0] + ENTITY_BIAS
        if new.relation_head is not None:
            relations = new.relation_head.output_layer
            n_old = 0 if old.relation_head is None else old.relation_head.output_layer.out_features
            relations.weight[n_old:] = 0.0
            relations.bias[n_old:] = RELATION_BIAS


def _copy_weights(old: nn.Module, new: nn.Module) -> None:
    """Copy weights to where they belong in a module that has more. What it has more are zeros."""
    for name, module in old.named_modules():
        other = new.get_submodule(name)
        targets = {**dict(other.named_parameters(recurse=False)), **dict(other.named_buffers(recurse=False))}
        for key, weight in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
            target = targets[key]
            if target.shape != weight.shape:
                target.zero_()
            if weight.ndim == 2 and isinstance(module, ConcatLinear) and isinstance(other, ConcatLinear):
                _copy_parts(weight, module, target, other)
            else:
                target[tuple(slice(size) for size in weight.shape)] = weight


def _copy_parts(weight: Tensor, old: ConcatLinear, target: Tensor, new: ConcatLinear) -> None:
    """Each part of the input has columns of its own, and those of labels have become more."""
    start = new_start = 0
    for name, width in old.parts.items():
        target[: len(weight), new_start : new_start + width] = weight[:, start : start + width]
        start, new_start = start + width, new_start + new.parts[name]
