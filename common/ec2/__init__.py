"""The only place that calls EC2: one method per operation, its answers in our shapes, its error codes as our errors.

What to call, when, and what to do about an error is decided elsewhere.
"""
