"""A torch.nn.Module and a loss of torch."""

from networks.torch_networks import Perceptron
from torch.nn.functional import mse_loss

import gradproof


@gradproof.adapters.torch_module(losses="squared_error/element_mean", hidden="tanh", output="identity")
def adapter(net):
    return Perceptron(net.widths), mse_loss
