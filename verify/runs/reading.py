"""Reading what an optimiser left after each step, and a run with it as a trajectory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradproof.arrays import Array
from gradproof.gradients import AFTER_STEP, TARGET
from gradproof.run import Run
from gradproof.update import state_name
from verify.reading import Fault, described, listed, meant, numbers
from verify.trajectories import Trajectory

EACH = "every parameter after the step by name, or a pair of these and the state"


def after(name: str, step: int) -> str:
    """What a parameter, or ``state_name`` of it, is called once a step was made: ``w after step 2``."""
    return f"{name}{AFTER_STEP}{step}"


def quantities(answer: Any, run: Run) -> dict[str, Array] | list[Fault]:
    """The arrays that each step left by quantity, or everything by which the answer breaks the protocol.

    Each step's arrays are copied before the next is asked for, so that a generator may give its own arrays each time.
    """
    if isinstance(answer, Mapping | str | bytes) or not isinstance(answer, Iterable):
        expected = f"for each step in turn (a list, or by yield) {EACH}"
        return [Fault(TARGET, "type", f"the target returned {described(answer)}; expected {expected}")]
    found: dict[str, Array] = {}
    faults: list[Fault] = []
    given = 0
    before: list[Array] = []
    for given, step in enumerate(answer, 1):
        if given > len(run):
            break
        raw = _step(step, run, given, found, faults)
        shared = isinstance(answer, list | tuple) and any(np.shares_memory(a, b) for a in before for b in raw)
        if shared:
            message = f"what is given for steps {given - 1} and {given} is the same memory; copy after each step"
            faults.append(Fault(TARGET, "shared", message))
        before = raw
    if given != len(run):
        steps = "more" if given > len(run) else str(given)
        faults.append(Fault(TARGET, "steps", f"expected {EACH} for each of {len(run)} steps, got {steps}"))
    return faults or found


def _step(step: Any, run: Run, number: int, found: dict[str, Array], faults: list[Fault]) -> list[Array]:
    """Reads what one step left; gives its arrays as they came."""
    parameters, state = step if isinstance(step, tuple) and len(step) == 2 else (step, {})
    if not isinstance(parameters, Mapping) or not isinstance(state, Mapping):
        faults.append(Fault(TARGET, "type", f"step {number} gave {described(step)}; expected {EACH}"))
        return []
    raw: list[Array] = []
    faults += _named(parameters, run, number, found, raw)
    for name in run.parameters:
        if parameters.get(name) is None:
            faults.append(Fault(after(name, number), "missing", f"{after(name, number)} is missing"))
    known = run.optimiser.word.state
    for key, arrays in state.items():
        if key not in known:
            listed_states = ", ".join(known) or f"none, since {run.optimiser.variant} keeps none"
            message = f"step {number}: unknown state {key!r}; expected {listed_states}{meant(key, known)}"
            faults.append(Fault(TARGET, "state", message))
        elif not isinstance(arrays, Mapping):
            faults.append(Fault(TARGET, "state", f"step {number}: {key}: expected arrays by parameter"))
        else:
            faults += _named(arrays, run, number, found, raw, key)
    return raw


def _named(
    given: Mapping[Any, Any], run: Run, number: int, found: dict[str, Array], raw: list[Array], state: str | None = None
) -> list[Fault]:
    faults = []
    for name, value in given.items():
        if name not in run.parameters:
            names = list(run.parameters)
            message = f"step {number}: unknown parameter {name!r}; expected {listed(names)}{meant(name, names)}"
            faults.append(Fault(TARGET, "unknown parameter", message))
            continue
        if value is None:
            continue
        quantity = after(state_name(state, name) if state else name, number)
        read = numbers(quantity, value, run.parameters[name].shape, run.dtype)
        if isinstance(read, Fault):
            faults.append(read)
            continue
        found[quantity] = read
        if isinstance(value, np.ndarray):
            raw.append(value)
    return faults


def trajectory(run: Run, answer: Mapping[str, Array]) -> Trajectory:
    """A run with what its steps left, as the judge of trajectories wants it."""
    parameters: list[Mapping[str, Array]] = [run.parameters]
    states: list[dict[str, dict[str, Array]]] = [{}]
    for step in range(1, len(run) + 1):
        parameters.append({name: answer[after(name, step)] for name in run.parameters})
        read: dict[str, dict[str, Array]] = {}
        for key in run.optimiser.word.state:
            for name in run.parameters:
                quantity = after(state_name(key, name), step)
                if quantity in answer:
                    read.setdefault(key, {})[name] = answer[quantity]
        states.append(read)
    return Trajectory(parameters, run.gradients, states, dtype=run.dtype)
