"""tinygrad 0.14.0: an array engine whose kernels are generated.

    pip install tinygrad==0.14.0
    gradproof check examples/third_party/tinygrad_tensors.py:adapter

Conventions. The network is written here in methods of ``Tensor``; ``binary_crossentropy_logits`` and
``sparse_categorical_crossentropy`` are its own. The device is the one that interprets kernels in Python, so that no
compiler is needed: the gradient is the same. At a ReLU's kink its derivative is 0.
"""

import os

os.environ.setdefault("DEV", "PYTHON")

from tinygrad import Tensor

import gradproof

ACTIVATIONS = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: z.sigmoid(),
    "tanh": lambda z, _: z.tanh(),
    "relu": lambda z, _: z.relu(),
    "leaky_relu": lambda z, slope: z.leaky_relu(slope),
    "softplus": lambda z, _: z.softplus(),
    "softmax": lambda z, _: z.softmax(),
}
LOSSES = {
    "squared_error/sum": lambda y, t: ((y - t) ** 2).sum(),
    "squared_error/element_mean": lambda y, t: (y - t).square().mean(),
    "binary_cross_entropy_with_logits/element_mean": lambda y, t: y.binary_crossentropy_logits(t),
}


@gradproof.target(
    losses=tuple(LOSSES), hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS), bias="either", dtypes="float32"
)
def adapter(case):
    stack = case.stack
    inputs = outputs = Tensor(case.inputs)
    weights = [Tensor(weight) for weight in stack.weights]
    biases = [None if b is None else Tensor(b) for b in stack.biases]
    for w, b, name, parameter in zip(weights, biases, stack.activations, stack.parameters):
        outputs = ACTIVATIONS[name](outputs.linear(w, b), parameter)
    loss = LOSSES[str(case.network.loss)](outputs, Tensor(case.targets))
    given = [b for b in biases if b is not None]
    grads = [grad.numpy() for grad in loss.gradient(inputs, *weights, *given)]
    named = stack.name(grads[1 : 1 + len(weights)], grads[1 + len(weights) :])
    return {"loss": loss.numpy(), "outputs": outputs.numpy(), "inputs": grads[0], "parameters": named}
