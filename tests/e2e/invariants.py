"""What must hold between all pods and EC2 when everything has come to rest."""

import time

from sandbox.judge.present import Ec2State, annotated_pods, leftovers, problems
from tests.e2e.product import Product


def come_to_rest(product: Product, seconds: float, instances: set[str] | None = None) -> None:
    """Wait until nothing is wrong; says what is when the time is up. `instances`: only what belongs to these."""
    deadline = time.monotonic() + seconds
    while found := _wrong(product, instances):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def _wrong(product: Product, instances: set[str] | None) -> list[str]:
    # Kubernetes first: what is made meanwhile is too much in EC2 and is looked at again.
    pods, nodes = (product.plane.api("GET", f"/api/v1/{kind}").body["items"] for kind in ("pods", "nodes"))
    given = [one for one in annotated_pods(pods, nodes) if instances is None or one.instance_id in instances]
    ec2 = Ec2State(product.rig.ec2("GET", "state"), instances)
    return problems(given, ec2) + leftovers(given, ec2)
