"""What the examples beside this file share: starting weights, a loss curve in text, and the check of a gradient."""

from collections.abc import Sequence

import numpy as np

from fastimpl import gradients
from gradproof import Activation, Case, Loss, Network, dense_chain
from verify.judge import judge

BARS = "▁▂▃▄▅▆▇█"


def sigmoid_network(widths: tuple[int, ...], loss: str) -> Network:
    """Dense layers of these widths, sigmoid after each; ``loss`` as ``name/reduction``."""
    layers = dense_chain(widths, (Activation("sigmoid"),) * (len(widths) - 1))
    return Network(widths[:1], layers, Loss.parse(loss))


def starting_parameters(network: Network, seed: int, *, scaled: bool = True) -> dict:
    """Weights from the normal distribution, divided by √fan_in where ``scaled``; biases 0."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, shape in network.parameter_shapes.items():
        scale = shape[0] ** -0.5 if scaled else 1.0
        drawn[name] = rng.normal(scale=scale, size=shape) if len(shape) == 2 else np.zeros(shape)
    return drawn


def curve(losses: Sequence[float], width: int = 60) -> str:
    """The losses, evenly thinned to at most ``width`` bars from the lowest (▁) to the highest (█), with both ends.

    Raises ValueError where there is nothing to draw.
    """
    if len(losses) == 0:
        raise ValueError("losses: expected at least one, got none")
    count = min(width, len(losses))
    thinned = [losses[round(k * (len(losses) - 1) / max(count - 1, 1))] for k in range(count)]
    low, high = min(thinned), max(thinned)
    step = (high - low) / (len(BARS) - 1) or 1.0
    bars = "".join(BARS[round((loss - low) / step)] for loss in thinned)
    return f"{losses[0]:.6g} {bars} {losses[-1]:.6g}"


def verdict(case: Case) -> str:
    """What is proved about fastimpl's loss, outputs and whole gradient on this case: ``correct``, one hopes."""
    return str(judge(case, gradients(case)).verdict)
