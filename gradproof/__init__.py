"""gradproof proves or refutes gradients.

This package is the door: the values that flow (``Network``, ``Case``, ``Gradients``, ``Finding``, ``Verdict``), the
vocabulary, and, loaded only when they are called, what does the work (``check``, ``Model``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: the function shares its module's name, and whoever imported the module first would hide it.
from gradproof.target import target as target

if TYPE_CHECKING:
    from fastimpl.model import Model as Model
    from fastimpl.progress import FitProgress as FitProgress
    from fastimpl.settings import EarlyStopping as EarlyStopping
    from gradproof import adapters as adapters
    from gradproof.asserting import GradientsNotCorrect as GradientsNotCorrect
    from gradproof.asserting import assert_correct as assert_correct
    from gradproof.case import Case as Case
    from gradproof.engines import EngineSupports as EngineSupports
    from gradproof.engines import engine as engine
    from gradproof.errors import ArgumentError as ArgumentError
    from gradproof.errors import GradproofError as GradproofError
    from gradproof.errors import NetworkError as NetworkError
    from gradproof.errors import RecordError as RecordError
    from gradproof.errors import TrainingDivergedError as TrainingDivergedError
    from gradproof.gradients import Gradients as Gradients
    from gradproof.graph import Graph as Graph
    from gradproof.initialisation import Initialisation as Initialisation
    from gradproof.layers import Activation as Activation
    from gradproof.layers import Branches as Branches
    from gradproof.layers import Dense as Dense
    from gradproof.layers import Dropout as Dropout
    from gradproof.layers import Maxout as Maxout
    from gradproof.layers import Residual as Residual
    from gradproof.loss import Loss as Loss
    from gradproof.loss import Penalty as Penalty
    from gradproof.network import Network as Network
    from gradproof.network import dense_chain as dense_chain
    from gradproof.operation_case import OperationCase as OperationCase
    from gradproof.operations import Operation as Operation
    from gradproof.operations import OperationSupports as OperationSupports
    from gradproof.operations import operation as operation
    from gradproof.optimiser import Clipping as Clipping
    from gradproof.optimiser import Optimiser as Optimiser
    from gradproof.optimiser import Schedule as Schedule
    from gradproof.optimiser import WeightDecay as WeightDecay
    from gradproof.run import Run as Run
    from gradproof.run import StepSupports as StepSupports
    from gradproof.run import steps as steps
    from gradproof.target import Supports as Supports
    from gradproof.update import Update as Update
    from gradproof.verdict import CaseVerdict as CaseVerdict
    from gradproof.verdict import Finding as Finding
    from gradproof.verdict import Verdict as Verdict
    from verify.campaign import check as check
    from verify.explanation import explain as explain
    from verify.trajectories import Trajectory as Trajectory
    from verify.trajectories import judge_trajectory as judge_trajectory
    from verify.trajectories import which_variant as which_variant

__version__ = "0.1.0"

_HOME = {
    "Activation": "gradproof.layers",
    "ArgumentError": "gradproof.errors",
    "Branches": "gradproof.layers",
    "Case": "gradproof.case",
    "CaseVerdict": "gradproof.verdict",
    "Clipping": "gradproof.optimiser",
    "Dense": "gradproof.layers",
    "Dropout": "gradproof.layers",
    "EarlyStopping": "fastimpl.settings",
    "EngineSupports": "gradproof.engines",
    "Finding": "gradproof.verdict",
    "FitProgress": "fastimpl.progress",
    "Gradients": "gradproof.gradients",
    "GradientsNotCorrect": "gradproof.asserting",
    "GradproofError": "gradproof.errors",
    "Graph": "gradproof.graph",
    "Initialisation": "gradproof.initialisation",
    "Loss": "gradproof.loss",
    "Maxout": "gradproof.layers",
    "Model": "fastimpl.model",
    "Network": "gradproof.network",
    "NetworkError": "gradproof.errors",
    "Operation": "gradproof.operations",
    "OperationCase": "gradproof.operation_case",
    "OperationSupports": "gradproof.operations",
    "Optimiser": "gradproof.optimiser",
    "Penalty": "gradproof.loss",
    "RecordError": "gradproof.errors",
    "Residual": "gradproof.layers",
    "Run": "gradproof.run",
    "Schedule": "gradproof.optimiser",
    "StepSupports": "gradproof.run",
    "Supports": "gradproof.target",
    "TrainingDivergedError": "gradproof.errors",
    "Trajectory": "verify.trajectories",
    "Update": "gradproof.update",
    "Verdict": "gradproof.verdict",
    "WeightDecay": "gradproof.optimiser",
    "assert_correct": "gradproof.asserting",
    "check": "verify.campaign",
    "dense_chain": "gradproof.network",
    "engine": "gradproof.engines",
    "explain": "verify.explanation",
    "judge_trajectory": "verify.trajectories",
    "operation": "gradproof.operations",
    "steps": "gradproof.run",
    "which_variant": "verify.trajectories",
}

__all__ = ["__version__", "adapters", "target", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "adapters":  # a package of many names: gradproof.adapters.plain
        return import_module("gradproof.adapters")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'gradproof' has no attribute {name!r}")
    if not home.startswith("gradproof."):
        from gradproof.rooms import refuse_hidden

        refuse_hidden()
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
