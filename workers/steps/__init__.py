"""The steps: one function for each kind of action, which makes its calls and gives back what they yield.

Nothing is decided here, and nothing is remembered: a step can be carried out again after a crash between any two
lines of it.
"""

# Imported because each notes its steps in the table.
from workers.steps import branches, cninodes, pods, pools, trunks
from workers.steps.ports import Ports
from workers.steps.table import carry_out

__all__ = ["Ports", "branches", "carry_out", "cninodes", "pods", "pools", "trunks"]
