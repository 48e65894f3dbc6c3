"""gradproof proves or refutes gradients.

This package is the door: the values that flow (``Network``, ``Case``, ``Gradients``, ``Finding``, ``Verdict``), the
vocabulary, and, loaded only when they are called, the functions that do the work (``check``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: the function shares its module's name, and whoever imported the module first would hide it.
from gradproof.target import target as target

if TYPE_CHECKING:
    from gradproof.case import Case as Case
    from gradproof.errors import ArgumentError as ArgumentError
    from gradproof.errors import GradproofError as GradproofError
    from gradproof.errors import NetworkError as NetworkError
    from gradproof.gradients import Gradients as Gradients
    from gradproof.layers import Activation as Activation
    from gradproof.layers import Branches as Branches
    from gradproof.layers import Dense as Dense
    from gradproof.layers import Residual as Residual
    from gradproof.loss import Loss as Loss
    from gradproof.loss import Penalty as Penalty
    from gradproof.network import Network as Network
    from gradproof.network import dense_chain as dense_chain
    from gradproof.target import Supports as Supports
    from gradproof.verdict import CaseVerdict as CaseVerdict
    from gradproof.verdict import Finding as Finding
    from gradproof.verdict import Verdict as Verdict
    from verify.campaign import check as check
    from verify.explanation import explain as explain

__version__ = "0.1.0"

_HOME = {
    "Activation": "gradproof.layers",
    "ArgumentError": "gradproof.errors",
    "Branches": "gradproof.layers",
    "Case": "gradproof.case",
    "CaseVerdict": "gradproof.verdict",
    "Dense": "gradproof.layers",
    "Finding": "gradproof.verdict",
    "Gradients": "gradproof.gradients",
    "GradproofError": "gradproof.errors",
    "Loss": "gradproof.loss",
    "Network": "gradproof.network",
    "NetworkError": "gradproof.errors",
    "Penalty": "gradproof.loss",
    "Residual": "gradproof.layers",
    "Supports": "gradproof.target",
    "Verdict": "gradproof.verdict",
    "check": "verify.campaign",
    "dense_chain": "gradproof.network",
    "explain": "verify.explanation",
}

__all__ = ["__version__", "target", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'gradproof' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
