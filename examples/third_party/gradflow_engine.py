"""gradflow-kit 0.1.3: a scalar engine, one object for each number.

    pip install graphviz && pip install --no-deps --target packages/gradflow-kit gradflow-kit==0.1.3
    PYTHONPATH=packages/gradflow-kit gradproof check examples/third_party/gradflow_engine.py:adapter
    PYTHONPATH=packages/gradflow-kit gradproof check examples/third_party/gradflow_engine.py:engine

The package installs a module named ``micrograd``, as the package micrograd does; so it gets a folder of its own.

Conventions. The engine has no layers and no loss: here the squared error, summed, is written in its own operators, as
e·e with e = y − t. Its one activation is tanh.
"""

import numpy as np
from micrograd import Node

import gradproof

node = np.frompyfunc(Node, 1, 1)
tanh = np.frompyfunc(Node.tanh, 1, 1)
grad = np.frompyfunc(lambda entry: entry.grad, 1, 1)
data = np.frompyfunc(lambda entry: entry.data, 1, 1)


@gradproof.target(losses="squared_error/sum", hidden=("tanh", "identity"), output=("tanh", "identity"))
def adapter(case):
    inputs, weights, biases = node(case.inputs), [*map(node, case.stack.weights)], [*map(node, case.stack.biases)]
    outputs = inputs
    for weight, bias, name in zip(weights, biases, case.stack.activations):
        outputs = outputs @ weight + bias
        outputs = tanh(outputs) if name == "tanh" else outputs
    errors = outputs - node(case.targets)
    loss = (errors * errors).sum()
    loss.backward()
    named = case.stack.name([grad(w).astype(float) for w in weights], [grad(b).astype(float) for b in biases])
    values = {"loss": loss.data, "outputs": data(outputs).astype(float), "inputs": grad(inputs).astype(float)}
    return {**values, "parameters": named}


engine = gradproof.engine(Node, scalar=True, operators="+ - * / ** neg tanh")
