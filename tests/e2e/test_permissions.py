"""That a forbidden request would be noticed, and that each process has no more than its own account."""

import pytest

from tests.e2e.product import Product
from tests.integration.webhook_cluster import Cluster


@pytest.mark.forbids
@pytest.mark.parametrize("role", ["watcher", "worker", "webhook"])
def test_a_forbidden_request_counts(product: Product, role: str) -> None:
    product.plane.newly_forbidden()
    answer = Cluster(product.kubeconfig(role))("GET", "/api/v1/namespaces/kube-system/secrets")
    assert answer.status == 403
    assert f"system:serviceaccount:kube-system:vpc-rc-{role}" in answer.message
    assert product.plane.newly_forbidden() == 1
