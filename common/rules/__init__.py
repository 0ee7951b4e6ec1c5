"""Rules that several roles ask for: selectors, groups, the ConfigMap, evidence for a release. Knows nothing of plans.

Pure functions: no I/O, clock, log line or random number may live here; whoever calls passes times in.
"""
