"""scikit-learn's partial_fit: the gradient follows from its weights before and after one step of plain descent."""

from sklearn.neural_network import MLPRegressor

import gradproof

LAYOUT = {"weights": "in_out", "bias": "vector", "samples": "rows", "depth": (2, 2)}
PLAIN = {"solver": "sgd", "alpha": 0, "momentum": 0, "shuffle": False, "activation": "tanh"}


@gradproof.adapters.training_step(losses="half_squared_error/batch_mean", hidden="tanh", output="identity", **LAYOUT)
def adapter(net):
    mlp = MLPRegressor(hidden_layer_sizes=net.widths[1], learning_rate_init=net.rate, batch_size=net.batch, **PLAIN)
    mlp.partial_fit(net.inputs, net.targets)  # makes its weights, which are then replaced
    mlp.coefs_, mlp.intercepts_ = net.weights, net.biases
    mlp.partial_fit(net.inputs, net.targets)
    return {"weights": mlp.coefs_, "biases": mlp.intercepts_}
