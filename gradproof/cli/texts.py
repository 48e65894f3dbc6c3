"""Texts that several commands' help ends with."""

from __future__ import annotations

EXAMPLES = """\b
Examples:
  gradproof check net.py:backprop
  gradproof check net.py:backprop --profile thorough --seed 7
  gradproof check mypackage.layers:Network --format json > check.json
  gradproof check net.py:backprop --format junit > junit.xml
  gradproof replay 3f9c01d2ab44
  gradproof explain 3f9c01d2ab44 --entry "0.weight[0, 1]"
  gradproof report --out pages
"""

EXIT_HELP = """\b
Exit codes, the first that applies:
  2  usage: the target, an option or an entry of known failures is not what it must be
  1  wrong: proved by at least one case
  3  the target crashed, or what it returned is no answer
  6  undecided, or gradproof itself failed
  4  inaccurate only: the right formula, with more digits lost than needed
  5  nothing ran
  0  all correct, or what fails is known to
"""
