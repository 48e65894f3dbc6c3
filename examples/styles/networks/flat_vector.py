"""A cost function of one flat vector, as optimisers want it: every Theta (units, 1 + fan_in) unrolled by columns."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def unroll(thetas):
    """One vector, each matrix column by column."""
    return np.concatenate([theta.ravel(order="F") for theta in thetas])


def roll(vector, sizes):
    """The matrices that were unrolled."""
    thetas = []
    for m, n in zip(sizes, sizes[1:]):
        thetas.append(vector[: n * (m + 1)].reshape((n, m + 1), order="F"))
        vector = vector[n * (m + 1) :]
    return thetas


def cost_function(vector, sizes, X, Y, lam):
    """J and its gradient as one vector; the biases, each Theta's first column, are not regularised."""
    thetas, m = roll(vector, sizes), len(X)
    a = [X]
    for theta in thetas:
        with_ones = np.hstack([np.ones((m, 1)), a[-1]])
        a.append(sigmoid(with_ones @ theta.T))
    J = -np.sum(Y * np.log(a[-1]) + (1 - Y) * np.log(1 - a[-1])) / m
    J += lam / 2 * sum(np.sum(theta[:, 1:] ** 2) for theta in thetas)
    gradients, delta = [], a[-1] - Y
    for k in range(len(thetas) - 1, -1, -1):
        gradient = delta.T @ np.hstack([np.ones((m, 1)), a[k]]) / m
        gradient[:, 1:] += lam * thetas[k][:, 1:]
        gradients.insert(0, gradient)
        delta = delta @ thetas[k][:, 1:] * a[k] * (1 - a[k])
    return J, unroll(gradients)
