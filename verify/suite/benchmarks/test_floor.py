"""The floor does the products of a training step, all of them and no others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.floor import Floor, products
from benchmarks.tasks import NETWORKS, task


@pytest.mark.parametrize(
    "name", ["5-8-6-3.sigmoid_sgd.float64", "784-30-10.relu_adam.float32", "64-10-10.relu_adam.float64"]
)
def test_each_product_is_what_it_says(name: str) -> None:
    floor = Floor(task(name))
    for product in floor.products:
        product.c[...] = np.nan
    floor.run(3)
    for product in floor.products:
        a = product.a.T if product.a_transposed else product.a
        b = product.b.T if product.b_transposed else product.b
        bound = 4 * b.shape[0] * np.finfo(product.c.dtype).eps * (np.abs(a) @ np.abs(b))
        assert np.all(np.abs(product.c - a @ b) <= bound)


@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_products_are_those_of_forward_and_backward(network: str) -> None:
    widths, batch = NETWORKS[network].widths, NETWORKS[network].batch
    shapes = []
    for product in products(task(f"{network}.sigmoid_sgd.float64")):
        a = product.a.shape[::-1] if product.a_transposed else product.a.shape
        b = product.b.shape[::-1] if product.b_transposed else product.b.shape
        assert a[1] == b[0]
        assert product.c.shape == (a[0], b[1])
        shapes.append((a[0], a[1], b[1]))
    layers = list(pairwise(widths))
    expected = [(batch, fan_in, units) for fan_in, units in layers]
    expected += [(fan_in, batch, units) for fan_in, units in layers]
    expected += [(batch, units, fan_in) for fan_in, units in layers[1:]]
    assert sorted(shapes) == sorted(expected)


def test_a_backward_product_reads_what_a_forward_one_wrote() -> None:
    forward, *_, last = products(task("5-8-6-3.sigmoid_sgd.float64"))
    assert last.a is forward.a
    assert last.a_transposed
