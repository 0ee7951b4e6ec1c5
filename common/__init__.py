"""What the roles share: values, decisions, the doors to EC2, Kubernetes and Redis, settings, metrics, logging, clock.

Nothing here knows a role, the sandbox or the command line.
"""
