"""A kernel in C, called through ctypes; anything with a C interface goes the same way.

    gradproof check examples/operations/c_kernel.py:adapter
    gradproof check examples/operations/c_kernel.py:careless

The kernel walks over n numbers one behind the other. ``adapter`` hands it such numbers, ``careless`` whatever comes: it
is right for contiguous arrays and wrong for all others.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import gradproof

SOURCE = Path(__file__).with_name("c_kernel.c")
DOUBLES = ctypes.POINTER(ctypes.c_double)


def compiled():
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise ImportError("this example needs a C compiler, cc, gcc or clang")
    library = Path(tempfile.mkdtemp(prefix="gradproof-")) / "kernel.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-lm"], check=True)  # noqa: S603
    return ctypes.CDLL(str(library)).tanh_both


KERNEL = compiled()


def call(x, upstream):
    y, dx = np.empty(x.shape), np.empty(x.shape)
    arrays = [ctypes.cast(array.ctypes.data, DOUBLES) for array in (x, upstream, y, dx)]
    KERNEL(*arrays, ctypes.c_size_t(x.size))
    return y, dx


@gradproof.operation("tanh")
def adapter(x, upstream):
    return call(np.require(x, requirements="CA"), np.require(upstream, requirements="CA"))


@gradproof.operation("tanh")
def careless(x, upstream):
    return call(x, upstream)
