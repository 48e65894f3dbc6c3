"""mygrad 2.5.0: an array engine that takes the place of NumPy.

    pip install mygrad==2.5.0
    gradproof check examples/third_party/mygrad_tensors.py:adapter
    gradproof check examples/third_party/mygrad_tensors.py:engine

Conventions. The network is written here in the engine's functions of arrays and its own ``nnet`` activations and
losses. ``softmax_crossentropy`` takes integer labels and is the mean over samples. A Python number becomes an array of
float64 here, so that float32 does not stay what it is: float64 alone is declared. At a kink the derivatives of ReLU
and leaky ReLU are those on the left.
"""

import mygrad as mg
import numpy as np
from mygrad.nnet import activations
from mygrad.nnet.losses import softmax_crossentropy

import gradproof

ACTIVATIONS = {
    "identity": lambda z, _: z,
    "sigmoid": lambda z, _: activations.sigmoid(z),
    "tanh": lambda z, _: activations.tanh(z),
    "relu": lambda z, _: activations.relu(z),
    "leaky_relu": activations.leaky_relu,
    "softplus": lambda z, _: mg.logaddexp(z, 0.0),
    "softmax": lambda z, _: activations.softmax(z, axis=1),
}
LOSSES = {
    "squared_error/element_mean": lambda y, t: mg.mean((y - t) ** 2),
    "squared_error/sum": lambda y, t: mg.sum(mg.square(y - t)),
    "categorical_cross_entropy_with_logits/batch_mean": lambda y, t: softmax_crossentropy(y, t.argmax(axis=1)),
}


@gradproof.target(
    losses=tuple(LOSSES),
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    depth=(1, 4),
    bias="either",
)
def adapter(case):
    stack = case.stack
    inputs = outputs = mg.tensor(case.inputs)
    weights = [mg.tensor(weight) for weight in stack.weights]
    biases = [None if b is None else mg.tensor(b) for b in stack.biases]
    for w, b, name, parameter in zip(weights, biases, stack.activations, stack.parameters):
        z = outputs @ w if b is None else outputs @ w + b
        outputs = ACTIVATIONS[name](z, parameter)
    loss = LOSSES[str(case.network.loss)](outputs, case.targets)
    loss.backward()
    named = stack.name([w.grad for w in weights], [None if b is None else b.grad for b in biases])
    return {"loss": np.asarray(loss.data), "outputs": outputs.data, "inputs": inputs.grad, "parameters": named}


functions = {name: getattr(mg, name) for name in ("exp", "log", "sqrt", "tanh", "abs", "maximum", "minimum")}
engine = gradproof.engine(
    mg.tensor,
    operators="+ - * / ** x**y neg @ sum mean sum(axis) mean(axis) T reshape x[i] x[i:j] x[[i,j]] "
    + " ".join(functions),
    passes="once",
    functions=functions,
)
