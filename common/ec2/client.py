"""The SDK's clients, made once per process before threads start: identities, endpoints, time-outs.

Retries are ours alone: the SDK's would go past the rate limiter and hide throttling from it.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.session import Session
from botocore.utils import InstanceMetadataRegionFetcher

from common.ec2 import sdk_data
from common.ec2.api import Invoke
from common.ec2.credentials import Fresh
from common.ec2.errors import translate
from common.ec2.role import assume_role
from common.ec2.timeouts import WholeAnswers
from common.logging import get_logger
from common.metrics import EC2_CALL_SECONDS, EC2_CALLS, EC2_THROTTLED
from common.model.errors import Throttled, Unsure
from common.reach import Reach
from common.settings import Settings, SettingsError, metadata_disabled, variable
from common.spans import CODE, Off, span

OWN_IDENTITY = frozenset({"AssociateTrunkInterface", "DisassociateTrunkInterface"})
"""Operations that go with the own identity where there is a role: our account may trunk, the role's may not."""
CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 20.0
"""For a whole answer: no longer than the slice of a node's run. A page of 1,000 interfaces takes EC2 a few seconds."""
METADATA_SECONDS = 2
METADATA_ATTEMPTS = 3

_REGION = re.compile(r"[a-z0-9-]+", re.ASCII)
_log = get_logger(__name__)


def build_invoke(settings: Settings, reach: Reach | None = None) -> Invoke:
    """The way to EC2, for all threads of this process. Raises SettingsError where the region is not known, and
    OutsideError while instance metadata does not tell it or there are no credentials: to be tried again. `reach` is
    of every call."""
    session = new_session(settings)
    region = region_of(settings, session)
    with _asking("GetCredentials"):
        credentials = session.get_credentials()
    if credentials is None:
        missing = translate("GetCredentials", NoCredentialsError())
        assert missing is not None
        raise missing
    own = _client(session, "ec2", region, settings.ec2_endpoint)
    own_fresh = Fresh(credentials, lambda error: translate("GetCredentials", error))
    role, role_fresh = own, own_fresh
    if settings.role_arn:

        def sts(**credentials: Any) -> Any:
            return _client(session, "sts", region, settings.sts_endpoint, **credentials)

        assumed = assume_role(session, new_session(settings), sts, settings.role_arn, region, settings.cluster_name)
        role = _client(assumed, "ec2", region, settings.ec2_endpoint)
        role_fresh = Fresh(assumed.get_credentials(), lambda error: translate("AssumeRole", error))

    def invoke(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        client, fresh = (own, own_fresh) if operation in OWN_IDENTITY else (role, role_fresh)
        fresh.check()
        answer: dict[str, Any] = getattr(client, xform_name(operation))(**params)
        return answer

    return measured(invoke, reach or Reach("EC2"))


def new_session(settings: Settings) -> Session:
    """A session whose every client has our limits, those included that the SDK makes itself to fetch credentials."""
    session = sdk_data.new_session()
    session.set_config_variable("sts_regional_endpoints", "regional")
    session.set_config_variable("metadata_service_timeout", METADATA_SECONDS)
    session.set_config_variable("metadata_service_num_attempts", METADATA_ATTEMPTS)
    session.set_default_client_config(
        Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=WHOLE_SECONDS,
            max_pool_connections=settings.ec2_max_connections,
            retries={"mode": "standard", "total_max_attempts": 1},
            tcp_keepalive=True,
            user_agent_extra="vpc-resource-controller",
        )
    )
    whole = WholeAnswers(
        connect=CONNECT_SECONDS,
        seconds=WHOLE_SECONDS,
        connections=settings.ec2_max_connections,
        ca_bundle=session.get_config_variable("ca_bundle"),
    )
    session.register("before-send", whole)  # type: ignore[arg-type]  # such a handler may answer
    return session


def account_id(settings: Settings) -> str:
    """The account of the own identity: it is given permission on interfaces. Raises the classes of
    `common.model.errors` where STS does not tell."""
    if settings.account_id:
        return settings.account_id
    session = new_session(settings)
    region = region_of(settings, session)
    with _asking("GetCallerIdentity"):
        sts = _client(session, "sts", region, settings.sts_endpoint)
        return str(sts.get_caller_identity()["Account"])


def region_of(settings: Settings, session: Session | None = None) -> str:
    """From the settings, the SDK's configuration, else instance metadata. Raises SettingsError, and Unsure where
    instance metadata does not answer."""
    session = session or new_session(settings)
    setting = variable("aws_region")
    region = settings.aws_region or session.get_config_variable("region")
    if not region and settings.imds:
        names = ("ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode")
        fetcher = InstanceMetadataRegionFetcher(
            timeout=METADATA_SECONDS,
            num_attempts=METADATA_ATTEMPTS,
            config={name: session.get_config_variable(name) for name in names},
        )
        with _asking("GetRegion"):
            region = fetcher.retrieve_region()
        if region and not _REGION.fullmatch(str(region)):
            raise Unsure("MetadataUnavailable", f"{str(region)[:80]!r} is no name of a region; or set {setting}")
        if not region and not metadata_disabled():
            raise Unsure("MetadataUnavailable", f"instance metadata does not tell the region; or set {setting}")
    if not region:
        raise SettingsError([f"{setting}: must be set: instance metadata is not asked for the region"])
    return str(region)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Whatever the SDK raises is one of our errors: it has no class for a page of a proxy in place of an answer."""
    try:
        yield
    except Exception as error:
        raise translate(what, error) or Unsure(type(error).__name__, str(error)) from error


def measured(invoke: Invoke, reach: Reach) -> Invoke:
    """The same calls, counted by operation and code, with their duration, each with a span. What EC2 refuses is
    logged."""

    def call(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        with span(f"EC2.{operation}", client=True) as traced:
            return timed(operation, params, traced)

    def timed(operation: str, params: dict[str, Any], traced: Off) -> dict[str, Any]:
        began, code, request_id = time.monotonic(), "OK", ""
        reach.asked()
        try:
            answer = invoke(operation, params)
            request_id = _request_id(answer)
            # A page of a proxy has neither; EC2 gives every answer an id.
            if answer.keys() - {"ResponseMetadata"} or request_id:
                reach.answered()
            else:
                reach.failed("answers without content")
            return answer
        except Exception as error:
            reach.answered() if isinstance(error, ClientError) else reach.failed(type(error).__name__)
            ours = translate(operation, error)
            code = ours.code if ours else type(error).__name__
            request_id = _request_id(error.response) if isinstance(error, ClientError) else ""
            traced.failed(code)
            if isinstance(ours, Throttled):
                EC2_THROTTLED.labels(operation).inc()
            _log_refusal(operation, code, request_id, error)
            raise
        finally:
            traced.note({"rpc.service": "EC2", "rpc.method": operation, CODE: code, "aws.request_id": request_id})
            EC2_CALLS.labels(operation, code).inc()
            EC2_CALL_SECONDS.labels(operation).observe(time.monotonic() - began)

    return call


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))


def _log_refusal(operation: str, code: str, request_id: str, error: Exception) -> None:
    if isinstance(error, ClientError):
        message = str(error.response.get("Error", {}).get("Message", ""))
        _log.warning("ec2_refused", operation=operation, code=code, request_id=request_id, message=message)
    else:
        _log.warning("ec2_did_not_answer", operation=operation, code=code, message=str(error))


def _client(session: Session, service: str, region: str, endpoint: str, **more: Any) -> Any:
    # Any: botocore's stubs do not know a client's operations.
    return session.create_client(service, region_name=region, endpoint_url=endpoint or None, **more)
