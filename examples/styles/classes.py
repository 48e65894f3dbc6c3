"""Integer labels: targets are the numbers of classes; gradients come in a dict under the parameters' names."""

from networks.classes import loss_and_gradients

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows", "labels": "integer", "depth": (2, 2)}
LOSS = "categorical_cross_entropy_with_logits/batch_mean"


@gradproof.adapters.plain(losses=LOSS, hidden="relu", output="identity", **LAYOUT)
def adapter(net):
    loss, grads = loss_and_gradients(net.to_dict("W{}", "b{}"), net.inputs, net.targets)
    return {"loss": loss, **net.from_dict(grads, "W{}", "b{}")}
