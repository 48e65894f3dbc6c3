"""The clock: one training step beside its peers, and every figure that the documentation quotes."""
