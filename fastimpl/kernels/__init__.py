"""The kernels, written by hand: what each step computes forwards, and its derivative backwards."""
