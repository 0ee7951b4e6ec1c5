"""The watcher: reflects Kubernetes into desired state in Redis and publishes nodes that changed or whose time came.

One leads, the others stand by with warm caches. Nothing here decides what a node gets, and nothing here calls EC2.
"""
