"""microgradpp 0.1.0: an array engine below a few modules.

    pip install microgradpp==0.1.0
    gradproof check examples/third_party/microgradpp_tensors.py:adapter
    gradproof check examples/third_party/microgradpp_tensors.py:engine

Conventions. ``Linear`` is x @ W + b with W (fan_in, units). ``MSELoss`` and ``BCELoss`` are sums over outputs, means
over samples; sigmoid is not there and is 1 / (1 + exp(−x)) in the engine's own operators here. At a ReLU's kink its
derivative is 0.
"""

from mgp.np.loss import BCELoss, MSELoss
from mgp.np.nn import Linear
from mgp.np.tensor import Tensor

import gradproof

ACTIVATIONS = {"identity": lambda x: x, "relu": Tensor.relu, "sigmoid": lambda x: 1 / (1 + (-x).exp())}
LOSSES = {"squared_error": MSELoss, "binary_cross_entropy": BCELoss}


@gradproof.target(
    losses=[f"{name}/batch_mean" for name in LOSSES], hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS)
)
def adapter(case):
    inputs = outputs = Tensor(case.inputs)
    layers = []
    for weight, b, name in zip(case.stack.weights, case.stack.biases, case.stack.activations):
        layers.append(Linear(*weight.shape))
        layers[-1].W, layers[-1].b = Tensor(weight), Tensor(b)
        outputs = ACTIVATIONS[name](layers[-1](outputs))
    loss = LOSSES[case.network.loss.name]()(outputs, Tensor(case.targets))
    loss.backward()
    named = case.stack.name([layer.W.grad for layer in layers], [layer.b.grad for layer in layers])
    return {"loss": loss.data, "outputs": outputs.data, "inputs": inputs.grad, "parameters": named}


def transposed(x):
    return x.transpose(1, 0)


engine = gradproof.engine(
    Tensor,
    operators="+ - * / ** neg @ exp log relu sum reshape T",
    passes="once steps accumulate",
    functions={"T": transposed},
)
