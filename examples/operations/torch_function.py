"""A custom ``torch.autograd.Function``, in four precisions and in every memory layout that torch knows.

    pip install "gradproof[torch]" ml-dtypes
    gradproof check examples/operations/torch_function.py:adapter

NumPy and torch share memory, so that tensors have the strides of the arrays. NumPy's own bfloat16 is a stranger to
torch, which takes its bits; what torch computed in bfloat16 goes back as float32, which holds the same numbers.
"""

import numpy as np

import gradproof

try:
    import torch
except ImportError as error:
    raise ImportError('this example needs torch: pip install "gradproof[torch]"') from error


class SiLU(torch.autograd.Function):
    """x σ(x)."""

    @staticmethod
    def forward(ctx, x):
        """The outputs, with x kept for the way back."""
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, upstream):
        """∂L/∂x from ∂L/∂y: σ(x)(1 + x(1 − σ(x)))."""
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return upstream * s * (1 + x * (1 - s))


def tensor(array):
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array(tensor):
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


@gradproof.operation(
    "silu",
    dtypes=("float64", "float32", "float16", "bfloat16"),
    layouts=("read-only", "offset", "fortran", "padded", "transposed", "strided", "broadcast", "expanded"),
)
def adapter(x, upstream):
    x = tensor(x).requires_grad_()
    y = SiLU.apply(x)
    y.backward(tensor(upstream))
    return array(y), array(x.grad)
