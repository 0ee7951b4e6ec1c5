"""What to do, as pure functions from values to values: selectors, groups, targets, plans, due times.

No I/O, clock, log line or random number may live here: whoever calls passes times in and carries decisions out.
"""
