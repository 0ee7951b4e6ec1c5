"""Lifetimes as Redis wants them."""


def milliseconds(seconds: float) -> int:
    """Never zero, which it refuses."""
    return max(1, int(seconds * 1000))
