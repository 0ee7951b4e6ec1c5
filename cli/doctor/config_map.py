"""The ConfigMap kube-system/amazon-vpc-cni: values and keys that do not count."""

from collections.abc import Iterator

from cli.doctor.finding import Finding, State
from common.kube.decode import config_map_data
from common.kube.paths import SYSTEM_CONFIG_MAPS, SYSTEM_DEPLOYMENTS, path_of
from common.kube.status import answered
from common.kube.transport import Request, Transport
from common.model.config import ClusterConfig
from common.model.names import CONFIG_MAP, LEGACY_DEPLOYMENT, SYSTEM_NAMESPACE
from common.rules.cluster_config import parse_cluster_config, unused
from common.settings import Settings

AREA = "ConfigMap"
PATH = path_of(SYSTEM_CONFIG_MAPS, CONFIG_MAP)
LEGACY = path_of(SYSTEM_DEPLOYMENTS, LEGACY_DEPLOYMENT)
WHERE = f"ConfigMap {SYSTEM_NAMESPACE}/{CONFIG_MAP}"


def check(transport: Transport, settings: Settings) -> tuple[ClusterConfig, list[Finding]]:
    """What is in force, and what of it is not used. Raises OutsideError."""
    answer = transport.send(Request("GET", PATH))
    data = None if answer.status == 404 else config_map_data(answered(answer, CONFIG_MAP).body)
    legacy = transport.send(Request("GET", LEGACY)).status == 200
    prefix_feature = settings.enable_windows_prefix_delegation
    config, problems = parse_cluster_config(data, None, prefix_feature=prefix_feature, legacy=legacy)
    findings = list(_findings([*problems, *unused(data or {}, prefix_feature=prefix_feature, legacy=legacy)]))
    return config, findings or [Finding(area=AREA, what="all values are used" if data else "defaults", where=WHERE)]


def _findings(problems: list[str]) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(area=AREA, what=problem, state=State.WRONG, where=WHERE, advice="Correct or remove the key")
