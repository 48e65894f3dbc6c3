"""nnlib 0.2: functions that hand dicts to one another, features × batch.

    pip install nnlib==0.2
    gradproof check examples/third_party/nnlib_functions.py:adapter

Conventions. Samples are columns, weights are (units, fan_in), biases columns, layers are counted from 1; ReLU between
the layers, sigmoid after the last. ``cross_entropy`` is the mean over the samples of the sum over outputs, with
alpha/(2·samples) · ΣW² added; here alpha = strength × samples, so that its penalty is strength/2 · ΣW². At a ReLU's
kink its derivative is 0.
"""

from nnlib.l_layer.backward import model_backward
from nnlib.l_layer.forward import model_forward
from nnlib.utils.cost import cross_entropy

import gradproof


@gradproof.target(
    losses="binary_cross_entropy/batch_mean", hidden="relu", output="sigmoid", depth=(1, 4), penalties="l2/half"
)
def adapter(case):
    layers = range(1, len(case.stack.weights) + 1)
    parameters = {
        "W": dict(zip(layers, (weight.T for weight in case.stack.weights))),
        "b": dict(zip(layers, (b[:, None] for b in case.stack.biases))),
    }
    alpha = case.network.penalty.strength * case.batch if case.network.penalty else 0
    outputs, caches = model_forward(case.inputs.T, parameters, keep_prob=1)
    grads = model_backward(outputs, case.targets.T, parameters, caches, alpha, keep_prob=1)
    return {
        "loss": cross_entropy(outputs, case.targets.T, parameters, alpha),
        "outputs": outputs.T,
        "parameters": case.stack.name([grads["dW"][i].T for i in layers], [grads["db"][i][:, 0] for i in layers]),
    }
