"""A network for any array library that follows the array API standard: it asks its arrays for their namespace."""


def run(xp, weights, biases, x, t):
    """Outputs, loss (half the squared error, summed) and gradients; tanh in every layer."""
    activations = [x]
    for w, b in zip(weights, biases):
        activations.append(xp.tanh(activations[-1] @ w + b))
    error = activations[-1] - t
    loss, dw, db = xp.sum(error * error) / 2, [], []
    for k in reversed(range(len(weights))):
        delta = error * (1 - activations[k + 1] * activations[k + 1])
        dw.insert(0, activations[k].T @ delta)
        db.insert(0, xp.sum(delta, axis=0))
        error = delta @ weights[k].T
    return activations[-1], loss, dw, db, error
