"""PyTorch as an engine: functions in place of methods, and backward twice from one result.

    gradproof check examples/engines/torch_engine.py:adapter

What has no operator or method of the expected name is given under ``functions``; so is what starts a reverse pass,
which by itself would let go of what a second one needs.
"""

import torch

import gradproof


def tensor(array):
    return torch.tensor(array, requires_grad=True)


adapter = gradproof.engine(
    tensor,
    operators="+ - * / ** x**y 2**x neg exp log sqrt tanh sigmoid relu abs maximum minimum softplus "
    "sum mean sum(axis) mean(axis) @ T reshape x[i] x[i:j] x[[i,j]]",
    functions={
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "softplus": torch.nn.functional.softplus,
        "backward": lambda result: result.backward(retain_graph=True),
    },
    passes="once steps accumulate repeat",
    axes=(0, 3),
    dtypes="float64 float32",
)
