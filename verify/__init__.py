"""The judge: random cases, verdicts on gradients of others, numerical differences, and the suite that pytest runs."""
