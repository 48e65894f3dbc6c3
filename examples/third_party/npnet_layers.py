"""npnet 0.0.10: layer objects that pass errors on through variables, in float32.

    pip install npnet==0.0.10
    gradproof check examples/third_party/npnet_layers.py:adapter

Conventions. ``Dense`` has weights (fan_in, units), a bias row and its activation; ``Module.backward`` leaves the
gradients in ``params``. ``losses.MSE`` is half the squared error, mean over samples and outputs.
"""

import npnet
import numpy as np

import gradproof

ACTIVATIONS = {
    "identity": lambda _: npnet.act.Linear(),
    "sigmoid": lambda _: npnet.act.sigmoid,
    "tanh": lambda _: npnet.act.tanh,
    "relu": lambda _: npnet.act.relu,
    "leaky_relu": npnet.act.LeakyReLU,
    "softplus": lambda _: npnet.act.softplus,
}


@gradproof.target(
    losses="half_squared_error/element_mean",
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    bias="either",
    dtypes="float32",
)
def adapter(case):
    stack, module = case.stack, npnet.Module()
    layers = []
    for weight, b, name, parameter in zip(stack.weights, stack.biases, stack.activations, stack.parameters):
        layers.append(npnet.layers.Dense(*weight.shape, ACTIVATIONS[name](parameter), use_bias=b is not None))
        layers[-1].w[:] = weight
        if b is not None:
            layers[-1].b[:] = b
    forward = module.sequential(*layers)
    outputs = forward(np.array(case.inputs))
    loss = npnet.losses.MSE()(outputs, case.targets)
    module.backward(loss)
    grads = [module.params[f"layer_{i}"]["grads"] for i in range(len(layers))]
    biases = [grad["b"][0] if "b" in grad else None for grad in grads]
    named = stack.name([grad["w"] for grad in grads], biases)
    return {"loss": loss.data, "outputs": outputs.data, "parameters": named}
