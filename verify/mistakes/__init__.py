"""The mistakes that people make in backpropagation, each as a small change to a textbook's reverse pass.

A mistake is evaluated in ball arithmetic like the truth, so that whether it reproduces somebody's numbers is decided
by enclosures and by what careful arithmetic may be off by, and by no tolerance.
"""
