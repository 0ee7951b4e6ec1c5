"""The admission service: reviews of pods and nodes over TLS, answered from a view kept by watches.

What is decided about an object is in pure functions; nothing here calls EC2, knows Redis or changes a cluster.
"""
