"""A ``torch.nn.Module`` as a target, in float64 and float32, with the gradient for the inputs too.

    pip install "gradproof[torch]"
    gradproof check examples/torch_module.py:adapter

Torch keeps a linear layer's weight as (units, fan_in), and ``mse_loss(reduction="mean")`` averages over all elements.
"""

from functools import partial

import gradproof

try:
    import torch
except ImportError as error:
    raise ImportError('this example needs torch: pip install "gradproof[torch]"') from error

ACTIVATIONS = {
    "identity": torch.nn.Identity,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    # Above its default threshold of 20 torch's softplus is the identity, off by up to 2e-9: too much for float64.
    "softplus": partial(torch.nn.Softplus, threshold=40),
}


class Perceptron(torch.nn.Module):
    """Linear layers of these widths, an activation after each."""

    def __init__(self, widths, activations):
        super().__init__()
        self.linear = torch.nn.ModuleList(torch.nn.Linear(m, n) for m, n in zip(widths, widths[1:]))
        self.activations = torch.nn.ModuleList(ACTIVATIONS[name]() for name in activations)

    def forward(self, x):
        """The outputs for a batch, one sample a row."""
        for linear, activation in zip(self.linear, self.activations):
            x = activation(linear(x))
        return x


@gradproof.target(
    losses="squared_error/element_mean",
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    depth=(1, 4),
    dtypes=("float64", "float32"),
)
def adapter(case):
    module = Perceptron(case.stack.widths, case.stack.activations)
    for linear, weight, bias in zip(module.linear, case.stack.weights, case.stack.biases):
        linear.weight = torch.nn.Parameter(torch.tensor(weight.T))
        linear.bias = torch.nn.Parameter(torch.tensor(bias))
    inputs = torch.tensor(case.inputs, requires_grad=True)
    outputs = module(inputs)
    loss = torch.nn.functional.mse_loss(outputs, torch.tensor(case.targets))
    loss.backward()
    return {
        "loss": loss.detach().numpy(),
        "outputs": outputs.detach().numpy(),
        "inputs": inputs.grad.numpy(),
        "parameters": case.stack.name(
            [linear.weight.grad.T.numpy() for linear in module.linear],
            [linear.bias.grad.numpy() for linear in module.linear],
        ),
    }
