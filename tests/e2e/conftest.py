"""One control plane and one product for the folder; each case has its own namespace and nodes in it."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.plane import Plane, full_plane
from tests.e2e.product import Product, running
from tests.e2e.scene import Scene


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last: looks at what all other tests of this folder have done")
    config.addinivalue_line("markers", "forbids: makes requests that RBAC does not allow, on purpose")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with full_plane(tmp_path_factory.mktemp("e2e") / "plane") as started:
        yield started


@pytest.fixture(scope="package")
def product(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(plane, tmp_path_factory.mktemp("e2e") / "product") as started:
        yield started


@pytest.fixture
def scene(product: Product, request: pytest.FixtureRequest) -> Scene:
    name = "-".join(re.findall("[a-z0-9]+", request.node.name.removeprefix("test_")))
    return Scene(product, name[:60].rstrip("-"))


@pytest.fixture(autouse=True)
def nothing_forbidden(product: Product, request: pytest.FixtureRequest) -> Iterator[None]:
    """No request of ours is beyond the roles of the manifests. Everybody else here is an administrator."""
    yield
    news = product.plane.newly_forbidden()
    assert news == 0 or "forbids" in request.keywords, f"{news} requests were forbidden\n{product.rig.logs()}"


@pytest.fixture(autouse=True)
def nothing_refused_by_redis(product: Product) -> Iterator[None]:
    """No command of ours is beyond the users of `vpc-rc redis credentials`."""
    yield
    assert product.newly_refused() == []


@pytest.fixture(autouse=True)
def all_alive(product: Product) -> Iterator[None]:
    """A process that dies by itself is missed by nobody as long as there is another of its role."""
    yield
    dead = [f"{each.name}: {each.popen.returncode}" for each in product.processes() if not each.running]
    assert not dead, product.rig.logs()
