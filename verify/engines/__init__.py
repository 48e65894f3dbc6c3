"""Autograd engines: graphs to ask them, the verdict on their answers, and the mistakes that engines make."""
