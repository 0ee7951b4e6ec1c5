"""The cluster as the reviews see it, kept up to date by watches in threads of their own.

Read by the server's event loop, written by the threads: every write replaces a value whole.
"""

import asyncio
import random
import threading
from collections.abc import Mapping
from functools import partial

from common import threads
from common.clock import Clock
from common.kube import paths, raw
from common.kube.decode import config_map_data, identity, labels_of, policy
from common.kube.paths import is_object_name
from common.kube.reflector import OnEvent, Resource
from common.kube.tolerant import Raw
from common.kube.transport import Transport
from common.logging import get_logger
from common.model.names import CONFIG_MAP, LEGACY_DEPLOYMENT
from common.model.policy import Policy
from common.rules.cluster_config import parse_cluster_config
from common.rules.security_groups import PolicySet
from webhook.facts import Account, NoSuchAccount, NoSuchKind, Policies, Unreadable
from webhook.lookups import LookUp, LookUps
from webhook.watched import Watched

KNOWN_SECONDS = 5.0
"""How long a review waits for the first lists; less than the API server's patience with a webhook."""

POLICIES = Resource(name="securitygrouppolicies", path=paths.POLICIES, optional=True)
ACCOUNTS = Resource(name="serviceaccounts", path=paths.ACCOUNTS, metadata_only=True, decoded_as=raw.Labelled)
CONFIG = Resource(
    name="configmaps",
    path=paths.SYSTEM_CONFIG_MAPS,
    field_selector=f"metadata.name={CONFIG_MAP}",
    decoded_as=raw.ConfigMap,
)
LEGACY = Resource(
    name="deployments",
    path=paths.SYSTEM_DEPLOYMENTS,
    field_selector=f"metadata.name={LEGACY_DEPLOYMENT}",
)

_NO_POLICIES = PolicySet(())
_NO_LABELS: Mapping[str, str] = {}
_log = get_logger(__name__)


class ClusterView:
    def __init__(self, transport: Transport, look_up: LookUp, *, clock: Clock, rng: random.Random) -> None:
        self._lookups = LookUps(look_up)
        self._by_namespace: dict[str, Mapping[str, Policy]] = {}
        self._ready: dict[str, tuple[Mapping[str, Policy], PolicySet]] = {}
        """Made when first asked for; good as long as it was made of what stands in `_by_namespace`."""
        self._labels: dict[tuple[str, str], Mapping[str, str]] = {}
        self._config: Mapping[str, str] | None = None
        self._legacy = False
        self._stop = threading.Event()
        self._known = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

        def watched(resource: Resource, on_event: OnEvent) -> Watched:
            return Watched(resource, transport, clock=clock, rng=rng, on_event=on_event, on_news=self._news)

        self._policies = watched(POLICIES, self._policy_event)
        self._accounts = watched(ACCOUNTS, self._account_event)
        self._config_map = watched(CONFIG, self._config_event)
        self._deployment = watched(LEGACY, self._legacy_event)
        self._all = (self._policies, self._accounts, self._config_map, self._deployment)

    def start(self) -> None:
        """Begin to follow; called in the event loop that will ask."""
        self._loop = asyncio.get_running_loop()
        for watched in self._all:
            threads.start(f"watch-{watched.name}", partial(watched.follow, self._stop))

    def close(self) -> None:
        """Ask the threads to end. One that waits for a watch's next line ends with the process."""
        self._stop.set()
        self._lookups.close()

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not known, and why; empty when everything was read completely once and may be read still."""
        names = ("SecurityGroupPolicies", "service accounts", CONFIG_MAP, "legacy controller")
        states = zip(names, self._all, strict=True)
        return tuple(f"{name}: {why}" for name, watched in states if (why := watched.unreadable) is not None)

    # --- what reviews ask

    async def known(self) -> None:
        if not self._known.is_set():
            try:
                await asyncio.wait_for(self._known.wait(), KNOWN_SECONDS)
            except TimeoutError:
                _log.warning("a review came before the cluster was read", missing=self.missing)

    def policies(self, namespace: str) -> Policies:
        if self._policies.absent and not self._by_namespace:
            return NoSuchKind()
        why = self._policies.unreadable
        if why is not None:
            return Unreadable(why=why)
        now = self._by_namespace.get(namespace)
        if now is None:
            return _NO_POLICIES
        made_of, ready = self._ready.get(namespace, (None, _NO_POLICIES))
        if made_of is not now:
            ready = PolicySet(now.values())
            self._ready[namespace] = now, ready
        return ready

    async def account(self, namespace: str, name: str) -> Account:
        labels = self._labels.get((namespace, name))
        if labels is not None:
            return labels
        if not is_object_name(namespace) or not is_object_name(name):
            return NoSuchAccount()
        return await self._lookups.ask(namespace, name)

    def windows_ipam(self) -> bool | Unreadable:
        for watched in (self._config_map, self._deployment):
            if (why := watched.unreadable) is not None:
                return Unreadable(why=why)
        # Prefixes do not matter to a review.
        config, _ = parse_cluster_config(self._config, None, prefix_feature=False, legacy=self._legacy)
        return config.windows_ipam

    # --- what the watches tell

    def _news(self) -> None:
        needed = (self._policies, self._config_map, self._deployment)
        if self._loop is not None and not self._loop.is_closed() and all(watched.tried for watched in needed):
            self._loop.call_soon_threadsafe(self._known.set)

    def _policy_event(self, event: str, raw: Raw) -> None:
        found = identity(raw)
        if found is None:
            return
        now = {name: p for name, p in self._by_namespace.get(found.namespace, {}).items() if name != found.name}
        if event != "DELETED" and (read := policy(raw)) is not None:
            now[found.name] = read
        if now:
            self._by_namespace[found.namespace] = now
        else:
            self._by_namespace.pop(found.namespace, None)

    def _account_event(self, event: str, raw: Raw) -> None:
        found = identity(raw)
        if found is None:
            return
        if event == "DELETED":
            self._labels.pop((found.namespace, found.name), None)
        else:
            self._labels[found.namespace, found.name] = labels_of(raw) or _NO_LABELS

    def _config_event(self, event: str, raw: Raw) -> None:
        self._config = None if event == "DELETED" else config_map_data(raw)

    def _legacy_event(self, event: str, raw: Raw) -> None:
        self._legacy = event != "DELETED"
