"""The subjects of the actions about a trunk."""

SUBJECT = "trunk"
UNDONE = "trunk/undone"
"""Paces whole attempts at a trunk, each of which ended in its undoing."""
