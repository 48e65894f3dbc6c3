"""How long certainty takes: enclosures of every gradient entry, their allowance, and torch's gradcheck beside them.

Everything is timed in new processes with one thread each; what is compared is timed in turn in one of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.commands import run
from benchmarks.figures.common import Measure, Progress, figure
from benchmarks.pinning import pin, settings
from gradproof.case import Case
from gradproof.layers import Activation
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.record import Figure
from verify.strategies import seeded_case

BITS: Final = 128
NARROW: Final = 1e-30
"""How narrow every ball must be, relative to the number in it."""
ROUNDS: Final = 9
CHECKED_ROUNDS: Final = 3
TURNS: Final = 5
"""Rounds with gradcheck in turn, which takes seconds, and how often everything else has its turn in each of them."""
SMALL: Final = ((784, 16, 16, 10), 10)
LARGE: Final = ((784, 128, 64, 10), 16)
GROWING: Final = tuple(((784, units, units, 10), 10) for units in (4, 8, 16, 32, 64, 128))
"""Widths and samples of networks with 3 thousand to 118 thousand parameters."""

Size = tuple[tuple[int, ...], int]


class Times(msgspec.Struct, frozen=True):
    """What one process measured: median seconds by name; the widest ball relative to its number; how many numbers."""

    seconds: dict[str, float]
    widest: float
    parameters: int


def sigmoid_case(widths: tuple[int, ...], batch: int) -> Case:
    """A case of a stack of sigmoid layers with half the squared error, summed."""
    layers = dense_chain(widths, (Activation("sigmoid"),) * (len(widths) - 1))
    return seeded_case(Network(widths[:1], layers, Loss("half_squared_error", "sum")), batch)


def small(progress: Progress) -> Figure:
    """Enclosing loss, outputs and all gradients of 784-16-16-10, ten samples, at 128 bits, to 1e-30 relatively."""
    return _enclosing("certified.784-16-16-10", SMALL, 0.060, progress)


def large(progress: Progress) -> Figure:
    """Enclosing loss, outputs and all gradients of 784-128-64-10, sixteen samples, at 128 bits."""
    return _enclosing("certified.784-128-64-10", LARGE, 0.6, progress)


def _enclosing(name: str, size: Size, at_most: float, progress: Progress) -> Figure:
    times = _measured("alone", size, progress)
    return figure(
        name,
        times.seconds["enclosure"],
        "s",
        at_most=at_most,
        provided=times.widest <= NARROW,
        note=f"{times.parameters:,} parameters, widest ball {times.widest:.1e} of its number; "
        f"both allowances {times.seconds['both allowances']:.3g} s more",
    )


def beside_gradcheck(progress: Progress) -> Figure:
    """How many times longer torch's gradcheck (slow mode) takes than the enclosure of 784-16-16-10, in turn."""
    times = _measured("gradcheck", SMALL, progress).seconds
    return figure(
        "certified.times_faster_than_gradcheck",
        times["gradcheck"] / times["enclosure"],
        "times",
        at_least=100,
        note=f"gradcheck {times['gradcheck']:.3g} s, enclosure {times['enclosure']:.3g} s, medians of "
        f"{CHECKED_ROUNDS} rounds; gradcheck looks at the parameters' gradients alone",
    )


def allowance_beside_enclosure(progress: Progress) -> Figure:
    """The rigorous allowance's time over the enclosure's, for 784-16-16-10, in turn."""
    times = _measured("alone", SMALL, progress).seconds
    both = times["both allowances"] / times["enclosure"]
    return figure(
        "certified.allowance",
        times["allowance"] / times["enclosure"],
        "times",
        at_most=10,
        note=f"rigorous and typical together: {both:.2g} times",
    )


def growth(progress: Progress) -> Figure:
    """The exponent p of time ~ parameters^p, fitted to enclosures of 784-n-n-10 for n from 4 to 128."""
    found = [_measured("alone", size, progress) for size in GROWING]
    parameters = [times.parameters for times in found]
    seconds = [times.seconds["enclosure"] for times in found]
    exponent = float(np.polyfit(np.log(parameters), np.log(seconds), 1)[0])
    shown = ", ".join(f"{p:,}: {1e3 * s:.3g} ms" for p, s in zip(parameters, seconds, strict=True))
    return figure("certified.growth", exponent, "(exponent)", at_most=1.1, note=shown)


def _measured(how: str, size: Size, progress: Progress) -> Times:
    widths, batch = size
    progress(f"{'-'.join(map(str, widths))}, {batch} samples")
    command = [sys.executable, "-m", "benchmarks.figures.certified", how, str(batch), *map(str, widths)]
    return msgspec.json.decode(run(command, settings=settings(threads=1))[1].splitlines()[-1], type=Times)


def _measure(how: str, case: Case) -> Times:
    """In this process."""
    from refimpl.allowance import allowance
    from refimpl.enclosure import enclosure

    enclosed = enclosure(case, BITS)
    jobs: dict[str, Callable[[], Any]] = {"enclosure": lambda: enclosure(case, BITS)}
    if how == "gradcheck":
        jobs["gradcheck"] = gradcheck(case)
    else:
        jobs["allowance"] = lambda: allowance(case, enclosed=enclosed)
        jobs["both allowances"] = lambda: allowance(case, enclosed=enclosed).typical
    for name, job in jobs.items():  # derives formulas once, imports
        if name != "gradcheck":
            job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(CHECKED_ROUNDS if how == "gradcheck" else ROUNDS):
        for name, job in jobs.items():
            for _ in range(TURNS if how == "gradcheck" and name != "gradcheck" else 1):
                start = perf_counter()
                job()
                taken[name].append(perf_counter() - start)
    widest = max(
        float(ball.rad() / abs(ball).lower()) for name in enclosed.names() for ball in enclosed.balls(name).flat
    )
    parameters = sum(array.size for array in case.parameters.values())
    return Times({name: median(seconds) for name, seconds in taken.items()}, widest, parameters)


def gradcheck(case: Case) -> Callable[[], Any]:
    """Torch's gradcheck, slow mode, of all parameters of a case at once, to be called."""
    import torch

    from benchmarks.implementations.torch_network import forward, tensor

    names = list(case.parameters)
    tensors = [tensor(case.parameters[name]).requires_grad_() for name in names]
    x = tensor(case.inputs)

    def loss(*parameters: Any) -> Any:
        return forward(case, dict(zip(names, parameters, strict=True)), x)[0]

    return lambda: torch.autograd.gradcheck(loss, tensors, fast_mode=False)


FIGURES: Final[Mapping[str, Measure]] = {
    "certified.784-16-16-10": small,
    "certified.784-128-64-10": large,
    "certified.times_faster_than_gradcheck": beside_gradcheck,
    "certified.allowance": allowance_beside_enclosure,
    "certified.growth": growth,
}

if __name__ == "__main__":
    pin(1)
    mode, samples, *sizes = sys.argv[1:]
    print(msgspec.json.encode(_measure(mode, sigmoid_case(tuple(map(int, sizes)), int(samples)))).decode())
