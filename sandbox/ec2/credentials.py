"""STS and who is calling: assumed roles get keys of their own, and the key of a request shows the identity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.gate import OWN_IDENTITY
from sandbox.ec2.journal import Call
from sandbox.ec2.world import Ec2World

STS_VERSION = "2011-06-15"
_KEY = re.compile(r"Credential=([^/,\s]+)/")
_DEFAULT_DURATION = timedelta(hours=1)
_KEPT_HEADERS = ("x-amz-source-arn", "x-amz-source-account")
_ROLE_ARN = re.compile(r"arn:[a-z-]+:iam::\d*:role/(?:.*/)?([\w+=,.@-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    identity: str
    arn: str
    expires: float


class Credentials:
    """The temporary credentials given so far.

    The identity of an assumed role is the role's name; every key that was not given here is the own identity's.
    """

    def __init__(self, world: Ec2World) -> None:
        self._world = world
        self._sessions: dict[str, _Session] = {}

    def identity_of(self, headers: Mapping[str, str]) -> str:
        """Who signed a request. Raises MissingAuthenticationToken for nobody, RequestExpired for old credentials.

        Signatures themselves are not checked.
        """
        found = _KEY.search(headers.get("Authorization", ""))
        if found is None:
            raise Ec2Fault("MissingAuthenticationToken", "Request is missing Authentication Token")
        session = self._sessions.get(found.group(1))
        if session is None:
            return OWN_IDENTITY
        if session.expires <= self._world.now():
            raise Ec2Fault("RequestExpired", "Request has expired.")
        return session.identity

    def answer(self, action: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Carry out an STS call and put it into the journal. Raises Ec2Fault."""
        unsigned = action == "AssumeRoleWithWebIdentity"
        identity = "web" if unsigned else self.identity_of(headers)
        outcome = "ok"
        try:
            match action:
                case "AssumeRole" | "AssumeRoleWithWebIdentity":
                    return self._assume(params)
                case "GetCallerIdentity":
                    return self._who(headers)
                case _:
                    raise Ec2Fault("InvalidAction", f"Could not find operation {action} for version {STS_VERSION}")
        except Ec2Fault as fault:
            outcome = fault.code
            raise
        finally:
            kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
            self._world.record(
                Call(
                    time=self._world.now(),
                    action=action,
                    identity=identity,
                    params={name: value for name, value in params.items() if name != "WebIdentityToken"},
                    outcome=outcome,
                    effect=outcome == "ok",
                    latency=0.0,
                    headers=kept,
                )
            )

    def issue(self, identity: str, arn: str, lifetime: timedelta = _DEFAULT_DURATION) -> dict[str, Any]:
        """Fresh credentials of an identity, as STS shows them."""
        key = self._world.identifiers.access_key()
        expires = self._world.now() + lifetime.total_seconds()
        self._sessions[key] = _Session(identity=identity, arn=arn, expires=expires)
        return {
            "AccessKeyId": key,
            "SecretAccessKey": f"secret-of-{key}",
            "SessionToken": f"token-of-{key}",
            "Expiration": datetime.fromtimestamp(expires, tz=UTC),
        }

    def _assume(self, params: Mapping[str, Any]) -> dict[str, Any]:
        role = _ROLE_ARN.fullmatch(params.get("RoleArn", ""))
        session = params.get("RoleSessionName")
        if role is None or not session:
            raise Ec2Fault("ValidationError", "RoleArn and RoleSessionName must be valid.")
        arn = f"arn:aws:sts::{self._world.account}:assumed-role/{role.group(1)}/{session}"
        lifetime = timedelta(seconds=params.get("DurationSeconds") or _DEFAULT_DURATION.total_seconds())
        return {
            "Credentials": self.issue(role.group(1), arn, lifetime),
            "AssumedRoleUser": {"AssumedRoleId": f"AROASANDBOX:{session}", "Arn": arn},
        }

    def _who(self, headers: Mapping[str, str]) -> dict[str, Any]:
        found = _KEY.search(headers.get("Authorization", ""))
        session = self._sessions.get(found.group(1)) if found else None
        account = self._world.account
        own = f"arn:aws:sts::{account}:assumed-role/{OWN_IDENTITY}/i-0"
        return {"UserId": "AROASANDBOX", "Account": account, "Arn": session.arn if session else own}
