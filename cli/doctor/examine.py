"""All checks in their order. Each goes by itself: what one cannot ask the others still do."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from cli.doctor import (
    clocks,
    config_map,
    credentials,
    ec2,
    guards,
    kubernetes,
    place,
    policies,
    processes,
    redis,
    webhooks,
)
from cli.doctor.finding import Finding, State, guarded
from cli.doctor.permissions import needed
from cli.doctor.reads import Invoke
from common.clock import Clock
from common.kube.transport import HttpTransport
from common.model.config import ClusterConfig
from common.model.errors import OutsideError, StoreUnavailable
from common.model.limits import load_limits
from common.rules.managed import eni_config_name
from common.settings import Settings, unknown_settings, variable
from common.store import connect, open_store
from common.store.link import Link


def examine(settings: Settings, roles: Sequence[str], clock: Clock) -> Iterator[Finding]:
    """Asks; changes nothing."""
    # The official client logs by itself what its credential plugins say.
    logging.getLogger().setLevel(logging.CRITICAL)
    yield from _settings(settings)
    yield from redis.check(settings.redis_url.get_secret_value())
    invoke, findings = ec2.sign_in(settings)
    yield from findings
    transport, findings = credentials.sign_in(settings, clock)
    yield from findings
    yield from _processes(settings, transport, clock)
    yield from _clocks(settings, transport, invoke, clock)
    config = ClusterConfig()
    if transport is not None:
        permissions = {role: needed(role, settings.lease_name, settings.lease_namespace) for role in roles}
        yield from guarded(kubernetes.AREA, "permissions", partial(kubernetes.check, transport, permissions))
        yield from guarded(guards.AREA, "guard of annotations", partial(guards.check, transport))
        yield from guarded(webhooks.AREA, "registration", partial(webhooks.check, transport, clock))
        try:
            config, findings = config_map.check(transport, settings)
            yield from findings
        except OutsideError as error:
            yield from guarded(config_map.AREA, config_map.WHERE, partial(_raise, error))
    yield from _cluster(settings, transport, invoke, config)
    if invoke is not None:
        yield from ec2.check(invoke, settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    for field in ("cluster_name", "vpc_id"):
        name = variable(field)
        if getattr(settings, field):
            yield Finding(area="Settings", what=name)
        else:
            yield Finding(area="Settings", what=name, state=State.MISSING, advice="It must be set: vpc-rc settings")
    for name, nearest in unknown_settings().items():
        advice = f"No such setting: is {nearest} meant?" if nearest else "No such setting; vpc-rc settings lists all"
        yield Finding(area="Settings", what=name, state=State.UNKNOWN, advice=advice)


def _processes(settings: Settings, transport: HttpTransport | None, clock: Clock) -> Iterator[Finding]:
    if not settings.cluster_name:
        return
    store = open_store(settings)
    yield from guarded(processes.AREA, "heartbeats", lambda: processes.check_beats(store, settings.cluster_name))
    if transport is None:
        return
    try:
        watchers = store.members.alive("watcher")
    except StoreUnavailable:
        watchers = None
    check = partial(processes.check_leases, transport, settings, watchers, clock)
    yield from guarded(processes.AREA, "lease", check)


def _clocks(
    settings: Settings, transport: HttpTransport | None, invoke: Invoke | None, clock: Clock
) -> Iterator[Finding]:
    readings = {"Redis": clocks.of_redis(Link(connect(settings.redis_url.get_secret_value())))}
    if transport is not None:
        readings["the API server"] = clocks.of_api_server(transport)
    if invoke is not None:
        readings["EC2"] = clocks.of_ec2(invoke)
    for whose, read in readings.items():
        yield from guarded(clocks.AREA, f"clock of {whose}", partial(clocks.compare, whose, read, clock))


def _cluster(
    settings: Settings, transport: HttpTransport | None, invoke: Invoke | None, config: ClusterConfig
) -> Iterator[Finding]:
    """VPC, nodes, policies and ENIConfigs, and the groups that they name."""
    nodes: list[place.Node] = []
    if transport is not None:
        try:
            nodes = place.nodes(transport, config)
        except OutsideError as error:
            yield from guarded(place.AREA, "nodes", partial(_raise, error))
        else:
            limits = load_limits(settings.instance_limits_file)
            yield from place.check_types(nodes, limits, config.prefix_delegation)
    if invoke is not None and settings.vpc_id:
        yield from guarded(place.AREA, settings.vpc_id, partial(place.check_vpc, invoke, settings))
        if nodes:
            yield from guarded(
                place.AREA, "instances of nodes", partial(place.check_instances, invoke, settings, nodes)
            )
    if transport is not None:
        check = partial(_policies, settings, transport, invoke, nodes)
        yield from guarded(policies.AREA, "policies and ENIConfigs", check)


def _policies(
    settings: Settings, transport: HttpTransport, invoke: Invoke | None, nodes: Sequence[place.Node]
) -> Iterator[Finding]:
    found, findings = policies.policies(transport)
    yield from findings
    yield from guarded(policies.AREA, "selections", partial(policies.check_selections, transport, found))
    named = {facts.name: eni_config_name(facts, spec) for facts, _, _, spec in nodes}
    wanted = {str(node): name for node, name in named.items() if name is not None}
    findings, groups = policies.check_eni_configs(transport, invoke, wanted)
    yield from findings
    if invoke is not None:
        groups |= {f"SecurityGroupPolicy {one.namespace}/{one.name}": list(one.groups) for one in found}
        check = partial(policies.check_groups, invoke, settings.vpc_id, groups)
        yield from guarded(policies.AREA, "security groups (ec2:DescribeSecurityGroups)", check)


def _raise(error: OutsideError) -> Iterator[Finding]:
    raise error
