"""Judges what a controller does to pods, by the histories of EC2 and of the Kubernetes API alone.

Nothing of the controller's own record is read: who has what follows from the annotations that were accepted, from the
steps of each interface in EC2, and from the Pod and Node objects as the API server stored them.
"""

from sandbox.judge.holdings import Held, Holdings, Pod
from sandbox.judge.judge import Judge, Violation
from sandbox.judge.timeline import Entry, Timeline

__all__ = ["Entry", "Held", "Holdings", "Judge", "Pod", "Timeline", "Violation"]
