"""The only place that calls Kubernetes: transport, reflector, reads and writes, events, lease.

Nothing here decides what a node or pod should get, and nothing here knows Redis or EC2.
"""
