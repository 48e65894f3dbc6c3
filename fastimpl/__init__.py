"""The fast implementation: kernels written by hand, compiled by Numba.

``Model`` is a network with its parameters, to be trained and asked. Below it: ``initialise`` draws parameters,
``train`` trains, ``gradients`` answers a case, ``predict`` gives outputs, ``permutation`` the order in which ``train``
visits the samples, ``dropout_masks`` the masks that it drops entries by. Importing this package loads none of it, and
compiles nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastimpl.dropout import dropout_masks as dropout_masks
    from fastimpl.evaluation import Evaluation as Evaluation
    from fastimpl.evaluation import evaluate as evaluate
    from fastimpl.evaluation import forward as forward
    from fastimpl.evaluation import gradients as gradients
    from fastimpl.evaluation import loss as loss
    from fastimpl.evaluation import predict as predict
    from fastimpl.initialisation import initialise as initialise
    from fastimpl.model import Model as Model
    from fastimpl.results import Divergence as Divergence
    from fastimpl.results import Progress as Progress
    from fastimpl.results import State as State
    from fastimpl.results import Training as Training
    from fastimpl.settings import EarlyStopping as EarlyStopping
    from fastimpl.shuffling import permutation as permutation
    from fastimpl.training import train as train

_HOME = {
    "Divergence": "fastimpl.results",
    "EarlyStopping": "fastimpl.settings",
    "Evaluation": "fastimpl.evaluation",
    "Model": "fastimpl.model",
    "Progress": "fastimpl.results",
    "State": "fastimpl.results",
    "Training": "fastimpl.results",
    "dropout_masks": "fastimpl.dropout",
    "evaluate": "fastimpl.evaluation",
    "forward": "fastimpl.evaluation",
    "gradients": "fastimpl.evaluation",
    "initialise": "fastimpl.initialisation",
    "loss": "fastimpl.evaluation",
    "permutation": "fastimpl.shuffling",
    "predict": "fastimpl.evaluation",
    "train": "fastimpl.training",
}

__all__ = [*sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'fastimpl' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
