"""The only place that calls EC2: one method per action, its answers in our shapes, its error codes as our errors.

What to call, when, and what to do about an error is decided elsewhere.
"""
