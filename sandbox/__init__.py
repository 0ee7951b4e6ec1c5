"""Embedded EC2, Kubernetes API and Redis for demo, tests and benchmarks: models of the outside world.
The product never imports this package; nothing here may know the product's decisions."""
