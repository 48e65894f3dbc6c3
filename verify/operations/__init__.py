"""Checking single operations: random cases, calling a function on one, the verdict, and what explains it."""
