"""The steps: one function for each kind of action, which makes its calls and gives back what they yield.

Nothing is decided here, and nothing is remembered: a step can be carried out again after a crash between any two
lines of it.
"""

from workers.steps.ports import Ports
from workers.steps.table import carry_out

__all__ = ["Ports", "carry_out"]
