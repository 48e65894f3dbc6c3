"""Adapters: somebody's code, in the conventions that it is written in, as a target that can be checked.

An adapter is a decorator. It takes what the code supports (the words of ``gradproof.Supports``) and, in words too, how
the code keeps its arrays; the decorated function is given each case's numbers in that form (``Given``), runs the code
on them, and hands back what came out as it came out. The adapter turns it into the case's own layouts.

========================= ==========================================================================================
``plain``                 functions and objects that compute on arrays, nested lists or matrices
``tensors``               array tensors of an autograd engine, whose gradients are read from an attribute
``scalars``               a scalar engine: one object for each number
``training_step``         code that only trains: the gradient follows from the weights before and after a step
``torch_module``          a ``torch.nn.Module``, a Sequential, anything made of them
``jax_function``          a JAX loss function of a tree of parameters
``autograd_function``     a loss function of a tree of parameters, for HIPS autograd
``sklearn_mlp``           scikit-learn's MLPRegressor and MLPClassifier
========================= ==========================================================================================

They live in this package, and not in a room, because somebody's file imports them while it is itself imported: a
module of theirs that is called as one of our rooms hides that room then, and never this package. The frameworks are
imported by the adapter that needs them, when it is used.
"""

from __future__ import annotations

# At once, not lazily: a function that shares its module's name would be hidden by it. None of them imports a framework.
from gradproof.adapters.autograd_function import autograd_function
from gradproof.adapters.given import Given
from gradproof.adapters.jax_function import jax_function
from gradproof.adapters.plain import plain
from gradproof.adapters.sklearn_mlp import sklearn_mlp
from gradproof.adapters.tensors import scalars, tensors
from gradproof.adapters.torch_module import torch_module
from gradproof.adapters.training_step import training_step

__all__ = [
    "Given",
    "autograd_function",
    "jax_function",
    "plain",
    "scalars",
    "sklearn_mlp",
    "tensors",
    "torch_module",
    "training_step",
]
