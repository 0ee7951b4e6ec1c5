"""The credentials of an assumed role, fetched when first needed and again before they run out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.client import BaseClient
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError
from botocore.session import Session

SESSION_NAME = "vpc-resource-controller"


def source_headers(role_arn: str, region: str, cluster: str) -> dict[str, str]:
    """What tells STS for which cluster the role is assumed, so that the role's trust policy can insist on it. Cluster
    and role are of one account and partition."""
    _, partition, _, _, account, _ = role_arn.split(":", 5)
    arn = f"arn:{partition}:eks:{region}:{account}:cluster/{cluster}"
    return {"x-amz-source-arn": arn, "x-amz-source-account": account}


class _RoleProvider(CredentialProvider):
    METHOD = "assume-role"
    CANONICAL_NAME = "AssumeRole"

    def __init__(self, own: Session, sts: Callable[..., BaseClient], role_arn: str, headers: dict[str, str]) -> None:
        super().__init__()
        self._own = own
        self._sts = sts
        self._role_arn = role_arn
        self._headers = headers

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(
            refresh_using=self._fetch, method=self.METHOD, time_fetcher=lambda: datetime.now(UTC)
        )

    def _fetch(self) -> dict[str, Any]:
        own = self._own.get_credentials()
        if own is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            self._client, own, self._role_arn, extra_args={"RoleSessionName": SESSION_NAME}
        )
        fetched: dict[str, Any] = fetcher.fetch_credentials()
        if datetime.fromisoformat(fetched["expiry_time"]) <= datetime.now(UTC):
            # The SDK would raise a bare RuntimeError for it.
            raise CredentialRetrievalError(
                provider=self.METHOD, error_msg="they expired before they came: is this machine's clock right?"
            )
        return fetched

    def _client(self, _service: str, **credentials: Any) -> BaseClient:
        client = self._sts(**credentials)
        client.meta.events.register("before-call.sts.AssumeRole", self._add_headers)
        return client

    def _add_headers(self, params: dict[str, Any], **_: Any) -> None:
        """Before the request is signed: the signature covers them."""
        params["headers"].update(self._headers)


def assume_role(
    own: Session, session: Session, sts: Callable[..., BaseClient], role_arn: str, region: str, cluster: str
) -> Session:
    """`session`, a new one, with the role's credentials. `own`: the session that may assume it; `sts(**credentials)`
    makes the client that does."""
    provider = _RoleProvider(own, sts, role_arn, source_headers(role_arn, region, cluster))
    session.register_component("credential_provider", CredentialResolver(providers=[provider]))
    return session
