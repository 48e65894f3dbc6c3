"""Adam in plain NumPy, with a mistake that many make: ε stands under the square root."""

import numpy as np

import gradproof


class Adam:
    """Kingma and Ba's Adam, but for the place of ε."""

    def __init__(self, rate, beta1, beta2, epsilon):
        self.rate, self.beta1, self.beta2, self.epsilon = rate, beta1, beta2, epsilon
        self.m, self.v, self.t = {}, {}, 0

    def step(self, params, grads):
        """Changes the parameters in place."""
        self.t += 1
        for name, g in grads.items():
            self.m[name] = self.beta1 * self.m.get(name, 0) + (1 - self.beta1) * g
            self.v[name] = self.beta2 * self.v.get(name, 0) + (1 - self.beta2) * g**2
            m_hat = self.m[name] / (1 - self.beta1**self.t)
            v_hat = self.v[name] / (1 - self.beta2**self.t)
            params[name] -= self.rate * m_hat / np.sqrt(v_hat + self.epsilon)


@gradproof.steps("adam")
def adapter(run):
    """The parameters after each step."""
    o = run.optimiser
    adam, params = Adam(o.rate, o.beta1, o.beta2, o.epsilon), {name: w.copy() for name, w in run.parameters.items()}
    for grads in run.gradients:
        adam.step(params, grads)
        yield params
