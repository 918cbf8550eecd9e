"""More labels for a trained model: rows for its classifiers that change no decision until they are trained."""

from typing import Any, Optional, Tuple

import torch
from thinc.api import Model, Shim
from torch import Tensor, nn

# How far a new entity label lies below "none", as a logit. With it the other probabilities lose less than 0.0004.
ENTITY_BIAS = -8.0
# The logit of a new relation label on any pair: a probability of 0.007.
RELATION_BIAS = -5.0


def grow(model: Model[Any, Any], n_entity_labels: int, n_relation_labels: int) -> None:
    """Add labels at the end of those that a model has. The weights of the others stay as they are.

    model (Model): The model of the component, initialized.
    n_entity_labels (int): Number of entity labels, without "none".
    n_relation_labels (int): Number of relation labels.
    """
    entities, relations = output_layers(torch_module(model))
    if n_relation_labels and relations is None:
        relations = _add_relation_head(model, n_relation_labels)
        entities, _ = output_layers(torch_module(model))
    if entities.out_features < 1 + n_entity_labels:
        # As copies of "none" they have a lower logit than it on every span.
        n_new = 1 + n_entity_labels - entities.out_features
        weight, bias = entities.weight.detach()[:1], entities.bias.detach()[:1]
        _add_rows(entities, weight.expand(n_new, -1), bias.expand(n_new) + ENTITY_BIAS)
    if relations is not None and relations.out_features < n_relation_labels:
        n_new = n_relation_labels - relations.out_features
        weight = relations.weight.detach().new_zeros(n_new, relations.in_features)
        _add_rows(relations, weight, weight.new_full((n_new,), RELATION_BIAS))
    model.set_dim("nE", n_entity_labels, force=True)
    model.set_dim("nR", n_relation_labels, force=True)
    _forget_moments(model)


def torch_module(model: Model[Any, Any]) -> nn.Module:
    """The torch module of an initialized model.

    model (Model): The model of the component.
    RETURNS (nn.Module): The module.
    """
    # thinc has no public way to the module inside a PyTorchWrapper.
    return model.get_ref("head").shims[0]._model


def output_layers(module: Any) -> Tuple[nn.Linear, Optional[nn.Linear]]:
    """The layers whose rows are labels.

    module (nn.Module): The module of a model.
    RETURNS (Tuple[nn.Linear, Optional[nn.Linear]]): That of the entity labels, with "none" in row 0, and that of the
        relation labels; None without any.
    """
    return module.span_classifier, module.relation_classifier


def _add_relation_head(model: Model[Any, Any], n_relation_labels: int) -> nn.Linear:
    """Make the model anew with relation labels, and give it the weights that it had."""
    weights = torch_module(model).state_dict()
    model.attrs["remove_head"](model)
    model.set_dim("nR", n_relation_labels, force=True)
    if model.init is not None:
        model.init(model, None, None)
    module = torch_module(model)
    module.load_state_dict(weights, strict=False)
    relations = output_layers(module)[1]
    if relations is None:
        raise TypeError(type(module))
    with torch.no_grad():
        relations.weight.zero_()
        relations.bias.fill_(RELATION_BIAS)
    return relations


def _add_rows(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), weight]))
    layer.bias = nn.Parameter(torch.cat([layer.bias.detach(), bias]))
    layer.out_features = len(layer.weight)


def _forget_moments(model: Model[Any, Any]) -> None:
    """Let optimizers take the weights for new ones: they keep moments, of the former shapes, by the id of the shim."""
    shim = model.get_ref("head").shims[0]
    with Shim.global_id_lock:
        Shim.global_id += 1
        shim.id = Shim.global_id
