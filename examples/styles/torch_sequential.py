"""A torch.nn.Sequential, with class numbers as targets."""

from torch.nn import CrossEntropyLoss, Linear, ReLU, Sequential

import gradproof

LOSS = "categorical_cross_entropy_with_logits/batch_mean"


@gradproof.adapters.torch_module(losses=LOSS, hidden="relu", output="identity", depth=(2, 2), labels="integer")
def adapter(net):
    inputs, units, outputs = net.widths
    return Sequential(Linear(inputs, units), ReLU(), Linear(units, outputs)), CrossEntropyLoss()
