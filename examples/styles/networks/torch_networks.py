"""PyTorch: a module of one's own, and a dense layer as a custom ``autograd.Function``."""

import torch


class Perceptron(torch.nn.Module):
    """Linear layers with tanh between them."""

    def __init__(self, widths):
        super().__init__()
        self.linear = torch.nn.ModuleList(torch.nn.Linear(m, n) for m, n in zip(widths, widths[1:]))

    def forward(self, x):
        """The outputs, one sample a row."""
        for linear in self.linear[:-1]:
            x = torch.tanh(linear(x))
        return self.linear[-1](x)


class DenseSigmoid(torch.autograd.Function):
    """σ(x W + b), with its backward written by hand."""

    @staticmethod
    def forward(ctx, x, W, b):
        """The activations, samples as rows."""
        a = torch.sigmoid(x @ W + b)
        ctx.save_for_backward(x, W, a)
        return a

    @staticmethod
    def backward(ctx, grad):
        """The gradients for x, W and b."""
        x, W, a = ctx.saved_tensors
        delta = grad * a * (1 - a)
        return delta @ W.T, x.T @ delta, delta.sum(dim=0)
