"""Optimisers along trajectories: every step judged from its own inputs, and the named variant that fits found.

Each step starts from what was read before it: parameters, gradients and state. So a fault is seen at the step where it
happens, and the steps after it are judged as if it had not. State that cannot be read is carried as an enclosure from
step to step: after a step it lies within the step's enclosure, widened by what careful arithmetic may be off by. What
a wrong step leaves in it is unknown, and the entries that need it are undecided from then on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace as changed

from gradproof.arrays import Array
from gradproof.case import Case
from gradproof.checks import whole
from gradproof.errors import ArgumentError
from gradproof.optimiser import DECAY_PLACES, OPTIMISERS, Clipping, Optimiser, Schedule
from gradproof.update import GRADIENT, Update, state_name
from gradproof.verdict import Finding, Verdict, overall
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import ROUND_UP, allowance
from refimpl.enclosure import enclosure
from refimpl.updates import UpdateAllowance, overflowing_update, update_allowance, update_enclosure

BITS = (128, 512)
"""Precisions at which a step is enclosed: the second where the first does not tell."""

Float64 = npt.NDArray[np.float64]
Named = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Trajectory:
    """What was read of an optimiser at work over K steps.

    parameters: K + 1 times name → array, before each step and after the last.
    gradients: K times name → array, as each step was given them.
    states: K + 1 times state → name → array, named as the optimiser's words name it
        (``gradproof.optimiser.OPTIMISERS``), or none at all; what is left out was not read, what is not finite is
        unknown, and names of other states do no harm.
    first: number of the first step; where it is 1, state that was not read is 0 before it, else unknown.
    gradient_radii: K times name → array where gradients were not read either: each lies within so much of the given
        one (see ``gradients_of``).
    fused: see ``refimpl.updates.update_allowance``.

    Raises ArgumentError where the lengths or names do not fit; shapes are checked step by step.
    """

    parameters: Sequence[Named]
    gradients: Sequence[Named]
    states: Sequence[Mapping[str, Named]] = ()
    first: int = 1
    dtype: Dtype = "float64"
    gradient_radii: Sequence[Named] = ()
    fused: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ArgumentError("dtype", " or ".join(DTYPES), self.dtype)
        if not self.gradients:
            raise ArgumentError("gradients", "at least one step", "none")
        steps = len(self.gradients)
        if len(self.parameters) != steps + 1:
            raise ArgumentError("parameters", f"{steps + 1} of them for {steps} steps", len(self.parameters))
        if self.states and len(self.states) != steps + 1:
            raise ArgumentError("states", f"{steps + 1} of them, or none", len(self.states))
        if self.gradient_radii and len(self.gradient_radii) != steps:
            raise ArgumentError("gradient_radii", f"{steps} of them, or none", len(self.gradient_radii))
        names = set(self.parameters[0])
        for argument, maps in (("parameters", self.parameters), ("gradients", self.gradients)):
            for number, arrays in enumerate(maps):
                if set(arrays) != names:
                    raise ArgumentError(f"{argument}[{number}]", f"names {sorted(names)}", sorted(arrays))
        if whole("first", self.first) < 1:
            raise ArgumentError("first", "at least 1", self.first)

    def __len__(self) -> int:
        return len(self.gradients)

    def read(self, position: int, state: str, name: str) -> npt.ArrayLike | None:
        """A parameter's state before the step at a position, from 0; None where it was not read."""
        return self.states[position].get(state, {}).get(name) if self.states else None


@dataclass(frozen=True)
class StepFinding:
    """What was found of one result of one step."""

    step: int
    finding: Finding

    def __str__(self) -> str:
        return f"step {self.step}: {self.finding.message}"


@dataclass(frozen=True)
class TrajectoryVerdict:
    """The verdict on a trajectory: the first in precedence of its findings'."""

    verdict: Verdict
    findings: tuple[StepFinding, ...]
    """All that is not correct, step by step, in the order of the step's results: parameter, then its state."""
    steps: int
    """How many were judged: all, unless one leaves numbers that are not finite, from which none can start."""

    @property
    def first(self) -> StepFinding | None:
        """The first finding that has the verdict; None for ``correct``."""
        return next((found for found in self.findings if found.finding.verdict is self.verdict), None)


def judge_trajectory(optimiser: Optimiser, trajectory: Trajectory) -> TrajectoryVerdict:
    """Judges every step of a trajectory by what the optimiser does from the step's own inputs.

    Raises ArgumentError where arrays do not fit each other or hold what is no finite number to start from.
    """
    findings: list[StepFinding] = []
    steps = 0
    for found in _judged(optimiser, trajectory):
        findings += found
        steps += 1
    return TrajectoryVerdict(overall(found.finding.verdict for found in findings), tuple(findings), steps)


@dataclass(frozen=True)
class Fit:
    """Which of the tabulated variants a trajectory is consistent with: no number of any step proves another."""

    consistent: tuple[Optimiser, ...]
    tried: int
    undecided: tuple[Optimiser, ...] = ()
    """Those of the consistent ones that some numbers did not tell anything about."""

    @property
    def only(self) -> Optimiser | None:
        """The one that fits; None where none does, or several that coincide on this trajectory."""
        return self.consistent[0] if len(self.consistent) == 1 else None

    def __str__(self) -> str:
        if not self.consistent:
            return f"none of the {self.tried} tabulated variants"
        if len(self.consistent) == 1:
            return f"exactly one of {self.tried} tabulated variants: {self.consistent[0]}"
        listed = "".join(f"\n- {one}" for one in self.consistent)
        return f"{len(self.consistent)} of {self.tried} tabulated variants, which coincide on it:{listed}"


def which_variant(declared: Optimiser | Iterable[Optimiser], trajectory: Trajectory) -> Fit:
    """Which variants fit a whole trajectory: of the declared optimiser's ``alternatives``, or of those given."""
    candidates = tuple(alternatives(declared) if isinstance(declared, Optimiser) else declared)
    consistent: list[Optimiser] = []
    undecided: list[Optimiser] = []
    for candidate in candidates:
        seen: set[Verdict] = set()
        for found in _judged(candidate, trajectory):
            seen |= {one.finding.verdict for one in found}
            if Verdict.WRONG in seen:
                break
        else:
            consistent.append(candidate)
            if Verdict.UNDECIDED in seen:
                undecided.append(candidate)
    return Fit(tuple(consistent), len(candidates), tuple(undecided))


def alternatives(optimiser: Optimiser) -> Iterator[Optimiser]:
    """The optimiser and every tabulated variant of it with the same hyperparameters, each once.

    The rules of its family (for momentum also SGD, as if it were ignored); decay at each place and none; clipping by
    norm in each form, with and without its ε, on either side of decay, and none; the schedule stepped before the first
    update or after, and not at all.
    """
    seen: set[Optimiser] = set()
    rules = [name for name, word in OPTIMISERS.items() if word.family == optimiser.word.family]
    if optimiser.word.family == "momentum":
        rules.append("sgd")
    decays = [optimiser.decay]
    if optimiser.decay is not None:
        decays += [changed(optimiser.decay, place=place) for place in DECAY_PLACES] + [None]
    schedules = [optimiser.schedule]
    if optimiser.schedule != Schedule():
        schedules += [changed(optimiser.schedule, offset=offset) for offset in (0, 1)] + [Schedule()]
    for rule, decay, clipping, schedule in itertools.product(
        [optimiser.variant, *rules], decays, _clippings(optimiser.clipping), schedules
    ):
        coupled = decay is not None and decay.place == "gradient"
        if clipping is not None and clipping.after_decay and not coupled:
            clipping = changed(clipping, after_decay=False)  # noqa: PLW2901
        found = _with_rule(optimiser, rule, decay=decay, clipping=clipping, schedule=schedule)
        if found not in seen:
            seen.add(found)
            yield found


def _clippings(clipping: Clipping | None) -> list[Clipping | None]:
    if clipping is None:
        return [None]
    forms = ("value",) if clipping.by == "value" else ("norm", "norm_if_above")
    found = [
        changed(clipping, by=form, epsilon=epsilon, after_decay=after)
        for form in forms
        for epsilon in dict.fromkeys((clipping.epsilon, 0.0))
        for after in (False, True)
        if not (form == "norm_if_above" and epsilon == 0)  # the same as the other form
    ]
    return [clipping, *found, None]


def _with_rule(optimiser: Optimiser, rule: str, **parts: object) -> Optimiser:
    own = {name: optimiser.hyperparameters.get(name) for name in OPTIMISERS[rule].hyperparameters}
    return Optimiser(rule, optimiser.rate, **own, **parts)  # type: ignore[arg-type]


def gradients_of(case: Case) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """A case's gradients where an implementation's own were not read: centre and radius of where they must lie.

    For ``Trajectory.gradients`` and ``gradient_radii``: each gradient that careful arithmetic at the case's dtype may
    give lies within. Raises ArgumentError where nothing bounds it.
    """
    enclosed = enclosure(case)
    allowed = allowance(case, enclosed=enclosed).rigorous
    centres: dict[str, Float64] = {}
    radii: dict[str, Float64] = {}
    for name in case.network.trainable:
        centres[name], radii[name] = _around(enclosed.lower(name), enclosed.upper(name), allowed[name])
        if not np.all(np.isfinite(radii[name])):
            raise ArgumentError("case", f"a bound on the rounding errors of the gradient of {name}", "none")
    return centres, radii


def _around(low: Float64, high: Float64, error: Float64) -> tuple[Float64, Float64]:
    """Centre and radius of [low − error, high + error], rounded outwards; radius inf where it is unbounded."""
    with np.errstate(invalid="ignore", over="ignore"):
        centre = np.nan_to_num(low / 2 + high / 2, nan=0.0, posinf=0.0, neginf=0.0)
        radius = (np.maximum(high - centre, centre - low) + error) * ROUND_UP
    return centre, np.where(np.isfinite(radius), radius, np.inf)


@dataclass
class _Carried:
    """State that cannot be read, state → name → centre and radius."""

    centres: dict[str, dict[str, Float64]] = field(default_factory=dict)
    radii: dict[str, dict[str, Float64]] = field(default_factory=dict)

    def put(self, state: str, name: str, centre: Float64, radius: Float64) -> None:
        """Sets what is known of a parameter's state."""
        self.centres.setdefault(state, {})[name] = centre
        self.radii.setdefault(state, {})[name] = radius


def _judged(optimiser: Optimiser, trajectory: Trajectory) -> Iterator[list[StepFinding]]:
    """The findings of each step in turn."""
    carried = _Carried()
    for position in range(len(trajectory)):
        update = _update(optimiser, trajectory, position, carried)
        hearing = _Hearing(update, trajectory.fused)
        found = hearing.findings(_after(optimiser, trajectory, position))
        yield [StepFinding(update.step, finding) for finding in found]
        if not all(np.all(np.isfinite(np.asarray(a))) for a in trajectory.parameters[position + 1].values()):
            return
        carried = hearing.carried(optimiser, found)


def _update(optimiser: Optimiser, trajectory: Trajectory, position: int, carried: _Carried) -> Update:
    step = trajectory.first + position
    state: dict[str, dict[str, npt.ArrayLike]] = {}
    unsure: dict[str, dict[str, npt.ArrayLike]] = {}
    for key, name in itertools.product(optimiser.word.state, trajectory.parameters[position]):
        read = trajectory.read(position, key, name)
        if read is not None:
            finite = np.isfinite(np.asarray(read))
            state.setdefault(key, {})[name] = np.where(finite, read, 0)
            if not np.all(finite):  # nothing follows from a state that overflowed
                unsure.setdefault(key, {})[name] = np.where(finite, 0.0, np.inf)
        elif name in carried.centres.get(key, {}):
            state.setdefault(key, {})[name] = carried.centres[key][name]
            unsure.setdefault(key, {})[name] = carried.radii[key][name]
        elif step > 1:
            unsure.setdefault(key, {})[name] = np.full(np.shape(trajectory.parameters[position][name]), np.inf)
    if trajectory.gradient_radii:
        unsure[GRADIENT] = dict(trajectory.gradient_radii[position])
    return Update(
        optimiser,
        trajectory.parameters[position],
        trajectory.gradients[position],
        state,
        step=step,
        dtype=trajectory.dtype,
        uncertainty=unsure,
    )


def _after(optimiser: Optimiser, trajectory: Trajectory, position: int) -> dict[str, Array]:
    """What a step left: every parameter, followed by those of its states that were read."""
    after: dict[str, Array] = {}
    for name, array in trajectory.parameters[position + 1].items():
        after[name] = np.asarray(array)
        for key in optimiser.word.state:
            read = trajectory.read(position + 1, key, name)
            if read is not None:
                after[state_name(key, name)] = np.asarray(read)
    return after


class _Hearing:
    """One step before the judge."""

    def __init__(self, update: Update, fused: int) -> None:
        self.update = update
        self.enclosed = update_enclosure(update, BITS[0])
        self.allowed: UpdateAllowance = update_allowance(update, enclosed=self.enclosed, fused=fused)
        self.bad: dict[str, npt.NDArray[np.bool_]] = {}
        """Parameter → entries that are not right, in itself or in its state."""

    def findings(self, after: Mapping[str, Array]) -> list[Finding]:
        """What is not correct of a step's results."""
        found = []
        for name, got in after.items():
            if got.shape != self.enclosed.shape(name):
                raise ArgumentError(name, f"shape {self.enclosed.shape(name)}", f"shape {got.shape}")
            finding = self.finding(name, got.astype(np.float64))
            if finding is not None:
                found.append(finding)
        return found

    def finding(self, name: str, got: Float64) -> Finding | None:
        allowed = self.allowed.rigorous[name]
        finite, vacuous = np.isfinite(got), np.isinf(allowed)
        low = self.enclosed.distance(name, got)
        wrong = finite & ~vacuous & (low > allowed)
        lost = ~finite
        formulas = overflowing_update(self.update) if np.any(lost) else ()
        undecided = (finite & (vacuous | self.untold(name, got, low))) & ~wrong
        if formulas:
            inaccurate = lost
        else:
            inaccurate = np.zeros_like(lost)
            wrong, undecided = wrong | (lost & ~vacuous), undecided | (lost & vacuous)
        for verdict, bad in (
            (Verdict.WRONG, wrong),
            (Verdict.UNDECIDED, undecided),
            (Verdict.INACCURATE, inaccurate),
        ):
            if np.any(bad):
                owner = name if name in self.update.parameters else name.partition("[")[2][:-1]
                self.bad[owner] = self.bad.get(owner, np.zeros_like(bad)) | bad
                return self._worded(name, got, verdict, bad, low, formulas)
        return None

    def untold(self, name: str, got: Float64, low: Float64) -> npt.NDArray[np.bool_]:
        """Where an enclosure says too little to judge by, though nothing that it starts from is a set."""
        allowed, shape = self.allowed.rigorous[name], self.enclosed.shape(name)
        if self.enclosed.met_kinks or self.update.uncertainty:
            return np.zeros(shape, dtype=bool)
        for bits in BITS:
            enclosed = self.enclosed if bits == BITS[0] else update_enclosure(self.update, bits)
            with np.errstate(invalid="ignore"):
                high = enclosed.distance_upper(name, got)
                wide = (high > allowed) & ~(high - low <= allowed)
            if not np.any(wide):
                break
        return np.asarray(wide)

    def carried(self, optimiser: Optimiser, found: Sequence[Finding]) -> _Carried:
        """What is known of every state after this step; nothing where it was not as it must be."""
        result = _Carried()
        for key, name in itertools.product(optimiser.word.state, self.update.parameters):
            quantity = state_name(key, name)
            low, high = self.enclosed.lower(quantity), self.enclosed.upper(quantity)
            centre, radius = _around(low, high, self.allowed.rigorous[quantity])
            if name in self.bad:
                radius = np.where(self.bad[name], np.inf, radius)
            result.put(key, name, centre, radius)
        return result

    def _worded(
        self,
        name: str,
        got: Float64,
        verdict: Verdict,
        bad: npt.NDArray[np.bool_],
        low: Float64,
        formulas: tuple[str, ...],
    ) -> Finding:
        allowed = self.allowed.rigorous[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(bad, np.nan_to_num(low / allowed, nan=0.0, posinf=np.inf), -1.0)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(times)), got.shape))
        count = int(np.count_nonzero(bad))
        share = f"{name} is" if bad.size == 1 else f"{count} of {bad.size} entries of {name} are"
        reason = {
            Verdict.WRONG: "" if np.all(np.isfinite(got[bad])) else "; not finite, and no usual formula overflows here",
            Verdict.INACCURATE: f"; not finite, as {' and '.join(formulas)}",
            Verdict.UNDECIDED: "; the state before this step, or what arithmetic may lose in it, is not bounded",
        }[verdict]
        return Finding(
            verdict=verdict,
            quantity=name,
            message=f"{share} {verdict}{reason}",
            index=index,
            got=repr(float(got[index])),
            exact=self.exact(name, index),
            error=f"{low[index]:.3g}",
            allowed=f"{allowed[index]:.3g}",
            entries=got.size,
            bad=count,
        )

    def exact(self, name: str, index: tuple[int, ...]) -> str:
        """The exact number in decimal; an interval where a kink or unread state makes a set of it."""
        if self.enclosed.met_kinks or self.update.uncertainty:
            return f"[{float(self.enclosed.lower(name)[index])!r}, {float(self.enclosed.upper(name)[index])!r}]"
        return self.enclosed.decimal(name, index)
