"""What the roles are granted is what their processes asked the real API server for, by its audit log."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.plane import ROOT, Grant
from tests.e2e.product import Product

HERE = Path(__file__).parent
BASE = ROOT / "deploy" / "base"


def granted(role: str) -> set[Grant]:
    documents = yaml.safe_load_all((BASE / f"{role}.yaml").read_text())
    return {
        (group, resource, verb)
        for found in documents
        if found["kind"] in ("Role", "ClusterRole")
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.last
@pytest.mark.parametrize("role", ["watcher", "worker", "webhook"])
def test_no_grant_was_without_use(product: Product, role: str, request: pytest.FixtureRequest) -> None:
    ran = {Path(item.path).name for item in request.session.items}
    if missing := {file.name for file in HERE.glob("test_*.py")} - ran:
        pytest.skip(f"says something only after {len(missing)} more files of this folder")
    used = product.plane.asked_by(role)
    for group, resource, verb in sorted(used):
        print(f"{role}: {verb} {resource}{'.' if group else ''}{group}")
    assert granted(role) - used == set()
