"""Instance metadata, version 2: as much of it as SDKs and the controller ask for (EC2 user guide, "IMDSv2")."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiohttp import web

from sandbox.ec2.credentials import Credentials
from sandbox.ec2.gate import OWN_IDENTITY
from sandbox.ec2.records import Instance, Interface
from sandbox.ec2.world import Ec2World

_TOKEN = "metadata-token"
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_MAX_TTL_SECONDS = 21_600


class Metadata:
    """The metadata of the first running instance: where the controller itself is taken to run."""

    def __init__(self, world: Ec2World, credentials: Credentials) -> None:
        self._world = world
        self._credentials = credentials

    def routes(self) -> list[web.RouteDef]:
        """What the server is to serve."""
        return [
            web.put("/latest/api/token", self.token),
            web.get("/latest/{path:(?:meta-data|dynamic).*}", self.get),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """A session token; 400 without a valid time to live."""
        ttl = request.headers.get(_TTL_HEADER, "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= _MAX_TTL_SECONDS:
            return web.Response(status=400)
        return web.Response(text=_TOKEN, headers={_TTL_HEADER: ttl})

    async def get(self, request: web.Request) -> web.Response:
        """One value; 401 without a token, 404 for what is not there."""
        if request.headers.get("X-aws-ec2-metadata-token") != _TOKEN:
            return web.Response(status=401)
        value = self._value(request.match_info["path"].rstrip("/"))
        return web.Response(status=404) if value is None else web.Response(text=value)

    def _value(self, path: str) -> str | None:
        world = self._world
        fixed = {
            "meta-data/placement/region": world.region,
            "meta-data/services/domain": "amazonaws.com",
            "meta-data/services/partition": "aws",
            "meta-data/iam/security-credentials": OWN_IDENTITY,
        }
        if path in fixed:
            return fixed[path]
        if path == f"meta-data/iam/security-credentials/{OWN_IDENTITY}":
            return self._own_credentials()
        running = (one for one in world.instances() if one.state == "running")
        instance = next(running, None)
        return None if instance is None else self._of_instance(instance, path)

    def _of_instance(self, instance: Instance, path: str) -> str | None:
        primary = next(
            one
            for one in self._world.interfaces()
            if one.attachment is not None
            and one.attachment.instance_id == instance.id
            and one.attachment.device_index == 0
        )
        macs = f"meta-data/network/interfaces/macs/{primary.mac}"
        values = {
            "meta-data/instance-id": instance.id,
            "meta-data/instance-type": instance.instance_type,
            "meta-data/local-ipv4": instance.private_ip,
            "meta-data/mac": primary.mac,
            "meta-data/placement/availability-zone": instance.az,
            "meta-data/network/interfaces/macs": f"{primary.mac}/",
            f"{macs}/interface-id": primary.id,
            f"{macs}/security-group-ids": "\n".join(primary.groups),
            f"{macs}/subnet-id": primary.subnet_id,
            f"{macs}/vpc-id": primary.vpc_id,
            "dynamic/instance-identity/document": self._identity_document(instance, primary),
        }
        return values.get(path)

    def _identity_document(self, instance: Instance, primary: Interface) -> str:
        return json.dumps(
            {
                "accountId": self._world.account,
                "availabilityZone": instance.az,
                "instanceId": instance.id,
                "instanceType": instance.instance_type,
                "privateIp": primary.primary_ip,
                "region": self._world.region,
                "version": "2017-09-30",
            }
        )

    def _own_credentials(self) -> str:
        arn = f"arn:aws:sts::{self._world.account}:assumed-role/{OWN_IDENTITY}/metadata"
        issued = self._credentials.issue(OWN_IDENTITY, arn)
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": issued["AccessKeyId"],
                "SecretAccessKey": issued["SecretAccessKey"],
                "Token": issued["SessionToken"],
                "Expiration": issued["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "LastUpdated": datetime.fromtimestamp(self._world.now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
