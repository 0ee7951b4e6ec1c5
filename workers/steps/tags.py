"""The tags of every interface that we make."""

from collections.abc import Mapping

from common.model.ids import InstanceId
from common.model.names import INSTANCE_TAG, OWNER_OURS, OWNER_TAG, cluster_tag


def tags_of(cluster: str, instance: InstanceId, *more: Mapping[str, str]) -> dict[str, str]:
    """`more` never replaces ours."""
    ours = {OWNER_TAG: OWNER_OURS, cluster_tag(cluster): "owned", INSTANCE_TAG: instance}
    extra = {key: value for tags in more for key, value in tags.items()}
    return {**extra, **ours}
