"""Many threads read objects of a kind that none of them has read before, as reflectors and runs do in a new process."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, threading
from common.kube import pods, raw
from common.kube.tolerant import decode, log_problem
from common.kube.raw import _Fields
sys.setswitchinterval(1e-6)
kinds = [*_Fields.__subclasses__(), pods._Account]
text = (b'{"metadata": {"name": "n", "labels": {}, "annotations": {}, "managedFields": [{}], "ownerReferences": [{}]},'
        b'"spec": {"containers": [{"resources": {"limits": {}}}], "podSelector": {"matchExpressions": []}, "tags": {}},'
        b'"status": {"capacity": {}, "conditions": [{}]}, "details": {"causes": [{}]}, "type": "", "object": {}}')
for kind in reversed(kinds):
    together = threading.Barrier(8)
    threads = [threading.Thread(target=lambda: (together.wait(), decode(text, kind, lambda _: None)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_first_use_by_several_threads_at_once() -> None:
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[3], check=False)
        assert ended.returncode == 0
