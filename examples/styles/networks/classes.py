"""A softmax classifier with one hidden layer of ReLUs, whose targets are the numbers of classes."""

import numpy as np


def loss_and_gradients(params, X, y):
    """The loss, averaged over the samples, and its gradients, under the names of the parameters."""
    hidden = np.maximum(0, X @ params["W1"] + params["b1"])
    scores = hidden @ params["W2"] + params["b2"]
    scores = scores - scores.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(scores).sum(axis=1))
    rows = np.arange(len(X))
    loss = np.mean(log_sums - scores[rows, y])
    dscores = np.exp(scores - log_sums[:, None])
    dscores[rows, y] -= 1
    dscores /= len(X)
    dhidden = dscores @ params["W2"].T
    dhidden[hidden <= 0] = 0
    grads = {"W1": X.T @ dhidden, "b1": dhidden.sum(axis=0), "W2": hidden.T @ dscores, "b2": dscores.sum(axis=0)}
    return loss, grads
