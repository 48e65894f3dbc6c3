"""nnweaver 0.2: trains by gradient descent, one sample after the other.

    pip install cvxopt matplotlib tqdm && pip install --no-deps nnweaver==0.2
    gradproof check examples/third_party/nnweaver_sgd.py:adapter
    gradproof check examples/third_party/nnweaver_sgd.py:regularised

Conventions. Weights (units, fan_in), biases columns. ``MSE`` is half the squared error of one sample; what is shown
while it trains is the mean over the samples, and the regulariser's value added. ``backward`` gives the gradient of one
sample, of which ``adapter`` takes the sum. With a regulariser, the gradient follows from a step at a rate of 1: the
weights are arrays that keep what ``-=`` subtracts apart, so that nothing of it is rounded away.
"""

import os

import numpy as np

os.environ.setdefault("TQDM_DISABLE", "1")  # its progress bars are bound to the standard output that it met first

from nnweaver import MSE, NN, SGD, L1L2Regularizer, Layer, Linear, Rectifier, Sigmoid, TanH

import gradproof

ACTIVATIONS = {"identity": Linear, "sigmoid": Sigmoid, "tanh": TanH, "relu": Rectifier}


class Keep(np.ndarray):
    """Weights that stay as they are, and keep the step that is subtracted from them."""

    def __isub__(self, step):
        self.step = np.asarray(step)
        return self


def network(stack):
    net = NN(stack.widths[0])
    for weight, b, name in zip(stack.weights, stack.biases, stack.activations):
        net.add_layer(Layer(len(b), ACTIVATIONS[name]))
        net.layers[-1].weights, net.layers[-1].bias = weight.T.view(Keep), b[:, None].view(Keep)
    return net


def own_loss(case):
    """What is shown while it trains; benchmarks/own_differences.py takes its differences."""
    net, penalty = network(case.stack), case.network.penalty
    shown = MSE.batch_mean(net.predict_batch(case.inputs), case.targets)
    return shown + (L1L2Regularizer(**{penalty.kind: penalty.strength})(net) if penalty else 0)


@gradproof.target(losses="half_squared_error/sum", hidden=tuple(ACTIVATIONS), output=tuple(ACTIVATIONS))
def adapter(case):
    net, sgd = network(case.stack), SGD(MSE)
    pairs = [(x[:, None], t[:, None]) for x, t in zip(case.inputs, case.targets)]
    grads = [sgd.backward(net, x, t, *sgd.forward(net, x)) for x, t in pairs]
    weights, biases = ([sum(of) for of in zip(*each)] for each in zip(*grads))
    named = case.stack.name([np.asarray(w.T) for w in weights], [np.asarray(b[:, 0]) for b in biases])
    loss = MSE.batch_mean(net.predict_batch(case.inputs), case.targets) * case.batch
    return {"loss": loss, "outputs": net.predict_batch(case.inputs), "parameters": named}


@gradproof.target(
    losses="half_squared_error/batch_mean",
    hidden=tuple(ACTIVATIONS),
    output=tuple(ACTIVATIONS),
    penalties=("l1+biases", "l2/half+biases"),
)
def regularised(case):
    net, penalty = network(case.stack), case.network.penalty
    regularizer = penalty and L1L2Regularizer(**{penalty.kind: penalty.strength})
    SGD(MSE).train(net, case.inputs, case.targets, 1.0, case.batch, regularizer=regularizer)
    named = case.stack.name(
        [layer.weights.step.T for layer in net.layers], [layer.bias.step[:, 0] for layer in net.layers]
    )
    return {"outputs": net.predict_batch(case.inputs), "parameters": named}
