"""Reviews as a broken client, a newer API server or nobody at all would send them, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.webhook.stand import ENI, FARGATE, IP, PROFILE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have any of these fields, each of them right, null or nonsense, and fields that nobody knows."""
    fitted = {name: st.one_of(right, right, right, st.none(), JSON) for name, right in fields.items()}
    return st.fixed_dictionaries({}, optional={**fitted, "unknown": JSON})


QUANTITIES = st.dictionaries(st.sampled_from(["cpu", ENI, IP]), st.sampled_from(["0", "1", "2", 1, "1k"]), max_size=3)
RESOURCES = maybe(limits=QUANTITIES, requests=QUANTITIES)
CONTAINER = maybe(name=st.text(max_size=3), resources=RESOURCES)
OS = st.sampled_from(["linux", "windows", "Windows"])
SELECTOR = st.dictionaries(st.sampled_from(["kubernetes.io/os", "beta.kubernetes.io/os", "x"]), OS, max_size=2)
ANNOTATIONS = st.dictionaries(st.sampled_from([ENI, IP, FARGATE, "a/b~c"]), st.text(max_size=3), max_size=3)
OBJECT = maybe(
    metadata=maybe(
        labels=st.dictionaries(st.sampled_from([PROFILE, "app"]), st.text(max_size=2), max_size=2),
        annotations=ANNOTATIONS,
        namespace=st.sampled_from(["shop", "bank"]),
        resourceVersion=st.text(max_size=2),
    ),
    spec=maybe(
        containers=st.lists(CONTAINER, max_size=3),
        initContainers=st.lists(CONTAINER, max_size=2),
        hostNetwork=st.booleans(),
        nodeSelector=SELECTOR,
        serviceAccountName=st.sampled_from(["default", "absent", ""]),
        os=maybe(name=OS),
    ),
)
REQUEST = maybe(
    uid=st.text(max_size=5),
    operation=st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
    namespace=st.sampled_from(["shop", "bank"]),
    kind=maybe(group=st.sampled_from(["", "apps"]), kind=st.sampled_from(["Pod", "Node"])),
    userInfo=maybe(username=st.sampled_from(["alice", "system:serviceaccount:kube-system:aws-node"])),
    object=OBJECT,
    oldObject=OBJECT,
)
REVIEWS = st.one_of(maybe(request=REQUEST), JSON)
