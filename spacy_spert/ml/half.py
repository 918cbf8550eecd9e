"""Half precision for encoders of transformers, in prediction only."""

from typing import Any

import torch
from torch import nn

from ..errors import Errors


def halve(encoder: nn.Module) -> None:
    """Turn an encoder's weights into 16-bit numbers. What it returns is in 32 bits as before.

    encoder (nn.Module): An encoder of transformers.
    """
    encoder.half()
    encoder.register_forward_pre_hook(_refuse_training)
    encoder.register_forward_hook(_lengthen)


def _refuse_training(encoder: nn.Module, inputs: Any) -> None:
    # Predictions have no gradients. The encoder's own flag changes while other threads predict.
    if encoder.training and torch.is_grad_enabled():
        raise ValueError(Errors.S143)


def _lengthen(encoder: nn.Module, inputs: Any, output: Any) -> Any:
    for name, value in output.items():
        if isinstance(value, torch.Tensor) and value.dtype == torch.float16:
            output[name] = value.float()
    return output
