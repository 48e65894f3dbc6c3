"""f(W, x) = ‖W x‖², the smallest gradient with a matrix in it, held against the formulas of its textbook derivation.

    python examples/systems/squared_norm.py

With q = W x: ∂f/∂q = 2q, ∂f/∂W = 2q xᵀ, ∂f/∂x = Wᵀ 2q. As a case of gradproof it is a dense layer without bias under
a summed squared error whose targets are 0; its weight is Wᵀ, since samples are rows here: q = x @ weight. The numbers
are those of the Stanford course CS231n, where f = 0.116.
"""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from fastimpl import gradients
from gradproof import Case, Dense, Loss, Network
from refimpl.enclosure import enclosure
from verify.judge import judge

W = np.array([[0.1, 0.5], [-0.3, 0.8]])
X = np.array([0.2, 0.4])


def case_of(W, x) -> Case:
    """The case of f at a matrix W (rows, columns) and a vector x (columns,)."""
    W, x = np.asarray(W), np.asarray(x)
    network = Network((len(x),), (Dense(len(W), bias=False),), Loss("squared_error", "sum"))
    return Case(network, {"0.weight": W.T}, x[None], targets=np.zeros((1, len(W))))


def textbook(case: Case) -> dict:
    """The three formulas in exact fractions: each number of a case is binary, so that they hold without rounding."""
    W = [[Fraction(w) for w in row] for row in case.parameters["0.weight"].T.tolist()]
    x = [Fraction(number) for number in case.inputs[0].tolist()]
    q = [sum((w * number for w, number in zip(row, x)), Fraction(0)) for row in W]
    return {
        "loss": sum((number**2 for number in q), Fraction(0)),
        "0.weight": [[2 * number * column for number in q] for column in x],
        "inputs": [[sum((2 * number * row[j] for number, row in zip(q, W)), Fraction(0)) for j in range(len(x))]],
    }


def digits(exact: Fraction) -> str:
    """Twenty significant digits of a fraction."""
    with localcontext(prec=20):
        return str(Decimal(exact.numerator) / Decimal(exact.denominator))


def main() -> None:
    case = case_of(W, X)
    exact, enclosed = textbook(case), enclosure(case)
    print(case.network)
    print(f"f = {enclosed.decimal('loss', (), 20)}")
    print("the published numbers: ∂f/∂W = [[0.088, 0.176], [0.104, 0.208]], ∂f/∂x = [-0.112, 0.636]")
    for name, title in (("0.weight", "∂f/∂Wᵀ = x 2qᵀ"), ("inputs", "∂f/∂x = Wᵀ 2q")):
        print(title)
        for index in np.ndindex(enclosed.shape(name)):
            formula = digits(np.array(exact[name], dtype=object)[index])
            print(f"  {index}   formula {formula:>25}   certified {enclosed.decimal(name, index, 20):>25}")
    print(f"fastimpl's gradient: {judge(case, gradients(case)).verdict}")


if __name__ == "__main__":
    main()
