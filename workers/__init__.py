"""The workers: Celery tasks, the run on one node, the steps that carry out its actions, and maintenance of the whole.

What to do is decided in `common.decide`; the calls are in `common.ec2`, `common.kube` and `common.store`.
"""
