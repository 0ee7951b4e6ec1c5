"""One node: what to do next for it, and what the outcomes of actions make of its ledger.

Pure functions: no I/O, clock, log line or random number may live here; whoever calls passes times in and carries
decisions out.
"""
