"""scikit-learn's MLPRegressor with an L2 penalty (it prints another loss than it descends, for several outputs)."""

from sklearn.neural_network import MLPRegressor

import gradproof

LOSS = "half_squared_error/batch_mean"


@gradproof.adapters.sklearn_mlp(losses=LOSS, hidden="tanh", output="identity", penalties="l2/half")
def adapter(net):
    return MLPRegressor()
