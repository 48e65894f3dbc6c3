"""Calling somebody's implementation on a case, and reading what comes back as an answer or as the lack of one."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

import numpy as np

from gradproof.arrays import Array, Floats
from gradproof.case import Case
from gradproof.gradients import INPUTS, LOSS, OUTPUTS, Gradients
from gradproof.network import Network
from gradproof.verdict import Finding, Verdict, overall
from gradproof.vocabulary import Dtype
from verify.loading import Implementation

TARGET = "target"
"""The quantity of findings about an answer as a whole."""
PARAMETERS = "parameters"
KEYS = (LOSS, OUTPUTS, PARAMETERS, INPUTS)
"""What an answer may hold."""

Cause = tuple[str, ...]
"""What is alike between cases that fail alike: where it goes wrong first, and what goes wrong there."""

CHANGES: Cause = ("changes the case",)

PRINTED_BYTES = 2000
"""How much of what a target prints is kept, for each call."""


@dataclass(frozen=True)
class Answer:
    """An answer that follows the protocol: every array has the shape asked for and holds floating-point numbers."""

    gradients: Gradients
    printed: str


@dataclass(frozen=True)
class NoAnswer:
    """Why there is no answer to judge: the target crashed, or what came back breaks the protocol."""

    findings: tuple[Finding, ...]
    cause: Cause
    printed: str

    @property
    def verdict(self) -> Verdict:
        """The first of the findings' verdicts."""
        return overall(finding.verdict for finding in self.findings)


@dataclass(frozen=True)
class _Fault:
    """One way in which an answer breaks the protocol."""

    quantity: str
    kind: str
    message: str


def call(implementation: Implementation, case: Case) -> Answer | NoAnswer:
    """Asks an implementation for its answer to a case.

    The case that it gets is a copy with read-only arrays; a target that changes them all the same is found out. What
    it prints is kept away from our output, and NumPy's warnings are off. Every exception that it raises is a finding,
    SystemExit included; KeyboardInterrupt alone passes.
    """
    handed = case.replace()
    lent = _arrays(handed)  # held here: whatever becomes of the case itself, these are what it was given
    with implementation.surroundings.entered(), _apart() as output:
        try:
            read = _read(implementation.function(handed), case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return _crash(implementation, case, lent, error, output)
        changed = _changed(case, lent)
    if changed:
        message = f"the target changes {_listed(changed)} of the case that it is given; it must copy first"
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, message),), CHANGES, output.text())
    if isinstance(read, Gradients):
        return Answer(read, output.text())
    findings = tuple(
        Finding(Verdict.BROKE_PROTOCOL, fault.quantity, fault.message, layer_of(case.network, fault.quantity))
        for fault in read
    )
    kinds = sorted({f"{fault.kind} {fault.quantity.rpartition('.')[2]}" for fault in read})
    return NoAnswer(findings, ("answer", *kinds), output.text())


def layer_of(network: Network, quantity: str) -> str | None:
    """The layer that a parameter belongs to in words, ``layer 2.body.0: dense 3``; None for other quantities."""
    path = quantity.rpartition(".")[0]
    return next((f"layer {path}: {site.layer}" for site in network.sites if path and site.path == path), None)


def label(quantity: str) -> str:
    """A quantity as mathematics: ``loss``, ``outputs``, ``∂L/∂0.weight``, ``∂L/∂inputs``."""
    return quantity if quantity in (LOSS, OUTPUTS, TARGET) else f"∂L/∂{quantity}"


def _crash(
    implementation: Implementation, case: Case, lent: Mapping[str, Floats], error: BaseException, output: _Output
) -> NoAnswer:
    place = implementation.place_of(error)
    where = f" ({place})" if place else ""
    said = _said(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    printed = output.text()
    changed = _changed(case, lent)
    if isinstance(error, ValueError) and "read-only" in said:
        changed = changed or _changed_when_writable(implementation, case)
    if changed:
        message = (
            f"the target changes {_listed(changed)} of the case in place, and fails{where}; "
            "a case's arrays are read-only, so it must copy first"
        )
        return NoAnswer((Finding(Verdict.BROKE_PROTOCOL, TARGET, message),), CHANGES, printed)
    return NoAnswer((Finding(Verdict.CRASHED, TARGET, f"{text}{where}"),), (type(error).__name__, where), printed)


def _said(error: BaseException) -> str:
    """What an exception says, on one line; nothing where its own text fails."""
    try:
        return " ".join(str(error).split())
    except Exception:
        return ""


def _changed_when_writable(implementation: Implementation, case: Case) -> list[str]:
    """What a target changes once it may: tells its writing to the case from its writing to another read-only array."""
    handed = case.replace()
    lent = _arrays(handed)
    for array in lent.values():
        array.setflags(write=True)
    with contextlib.suppress(Exception, SystemExit):
        implementation.function(handed)
    return _changed(case, lent)


def _arrays(case: Case) -> dict[str, Floats]:
    named = {name: getattr(case, name) for name in ("inputs", "targets", "upstream", "sample_weights")}
    named |= {f"parameters[{name!r}]": array for name, array in case.parameters.items()}
    return {name: array for name, array in named.items() if array is not None}


def _changed(case: Case, lent: Mapping[str, Floats]) -> list[str]:
    pairs = zip(_arrays(case).items(), lent.values(), strict=True)
    return [name for (name, ours), theirs in pairs if ours.tobytes() != theirs.tobytes()]


class _Kept(io.RawIOBase):
    """Keeps the first bytes of what is written and lets the rest go."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if len(self.data) < PRINTED_BYTES:
            self.data += bytes(data)[: PRINTED_BYTES - len(self.data)]
        return size


class _Output(io.TextIOWrapper):
    """Stands in for sys.stdout and sys.stderr."""

    def __init__(self) -> None:
        self.kept = _Kept()
        super().__init__(cast(Any, self.kept), encoding="utf-8", errors="replace", write_through=True)

    def text(self) -> str:
        return self.kept.data.decode("utf-8", errors="replace")


@contextlib.contextmanager
def _apart() -> Iterator[_Output]:
    """Keeps a target's output and warnings from ours."""
    output = _Output()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield output


def _read(answer: Any, case: Case) -> Gradients | list[_Fault]:
    """The answer as gradients, or everything by which it breaks the protocol."""
    if isinstance(answer, Gradients):
        given = {key: getattr(answer, key) for key in KEYS}
    elif isinstance(answer, Mapping):
        given = dict(answer)
    else:
        expected = "gradproof.Gradients, or a mapping with the keys loss, outputs, parameters, inputs"
        return [_Fault(TARGET, "type", f"the target returned {_what(answer)}; expected {expected}")]
    faults = [_unknown_key(key, case.network) for key in given if key not in KEYS]
    parameters = given.get(PARAMETERS)
    if parameters is None and not case.network.trainable:
        parameters = {}
    if isinstance(parameters, Mapping):
        faults += _wrong_names(parameters, case.network)
    else:
        hint = "; case.stack.name(weights, biases) makes one" if isinstance(parameters, list | tuple) else ""
        expected = "a mapping from each parameter's name to its gradient"
        faults.append(_Fault(TARGET, "type", f"parameters: expected {expected}, got {_what(parameters)}{hint}"))
        parameters = {}
    asked = _asked(given, parameters, case)
    arrays: dict[str, Array] = {}
    for name, (value, shape) in asked.items():
        read = _numbers(name, value, shape, case.dtype)
        if isinstance(read, _Fault):
            faults.append(read)
        else:
            arrays[name] = read
    if faults:
        return faults
    return Gradients(
        parameters={name: arrays[name] for name in case.network.trainable},
        loss=arrays.get(LOSS),
        outputs=arrays.get(OUTPUTS),
        inputs=arrays.get(INPUTS),
    )


def _asked(
    given: Mapping[str, Any], parameters: Mapping[str, Any], case: Case
) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """What is given of what is asked for, with the shape that it must have. Frozen parameters are not asked for."""
    network = case.network
    shapes: dict[str, tuple[int, ...]] = {LOSS: (), OUTPUTS: (case.batch, *network.output_shape)}
    shapes |= {name: network.parameter_shapes[name] for name in network.trainable}
    shapes[INPUTS] = case.inputs.shape
    values = {key: given.get(key) for key in (LOSS, OUTPUTS, INPUTS)} | dict(parameters)
    return {name: (values[name], shape) for name, shape in shapes.items() if values.get(name) is not None}


def _unknown_key(key: Any, network: Network) -> _Fault:
    if key in network.positions:
        message = f"{key!r} stands beside loss and outputs; gradients of parameters belong under the key 'parameters'"
        return _Fault(TARGET, "key", message)
    return _Fault(TARGET, "key", f"unknown key {key!r}; expected {', '.join(KEYS)}{_meant(key, KEYS)}")


def _wrong_names(parameters: Mapping[Any, Any], network: Network) -> list[_Fault]:
    faults = []
    missing = [name for name in network.trainable if parameters.get(name) is None]
    for name in parameters:
        if name in network.parameter_shapes:
            continue
        if name in network.positions:
            shared = network.parameter_at(name)
            message = f"{name!r} shares {shared!r}: give one gradient for {shared!r}, the sum over its places"
        else:
            names = list(network.trainable)
            message = f"unknown parameter {name!r}; expected {_listed(names)}{_meant(name, missing or names)}"
        faults.append(_Fault(TARGET, "unknown parameter", message))
    faults += [_Fault(name, "missing", f"{label(name)} is missing") for name in missing]
    return faults


def _numbers(name: str, value: Any, shape: tuple[int, ...], dtype: Dtype) -> Array | _Fault:
    """A copy of what is given for one quantity, as an array of its shape.

    An array must be of the case's dtype. Python's own numbers, and lists of them, have no dtype and are taken as they
    are; so is a loss of one entry in whatever shape.
    """
    plain = isinstance(value, int | float | list | tuple)
    try:
        array = np.asarray(value)
    except Exception as error:
        said = " ".join(str(error).split())
        return _Fault(
            name, "type", f"{label(name)} cannot be read as an array of numbers: {type(error).__name__}: {said}"
        )
    admitted = array.dtype.name == dtype or (plain and (array.dtype == np.float64 or array.dtype.kind in "iu"))
    if not admitted:
        came = f"{label(name)} is of dtype {array.dtype.name}, expected {dtype}"
        return _Fault(name, "dtype", f"{came}{_dtype_hint(array, dtype)}")
    if name == LOSS and array.size == 1:
        array = array.reshape(())
    if array.shape != shape:
        turned = "; transposed?" if len(shape) == 2 and array.shape == shape[::-1] else ""
        return _Fault(name, "shape", f"{label(name)} is of shape {array.shape}, expected {shape}{turned}")
    return array.astype(array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.float64, copy=True)


def _dtype_hint(array: Array, dtype: Dtype) -> str:
    if array.dtype == np.float32:
        return '; a target that computes in float32 declares dtypes="float32"'
    if array.dtype == np.float64:
        return "; the case is of float32, and so must be what is computed from it"
    if array.dtype.kind == "O":
        return " (an object array: nested lists of unequal lengths, or entries that are no numbers)"
    return ""


def _what(value: Any) -> str:
    if value is None:
        return "None"
    size = f" of {len(value)}" if isinstance(value, list | tuple | set | dict) else ""
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    return f"a {type(value).__name__}{size}{shape}"


def _meant(name: Any, names: Any) -> str:
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"
