"""The webhooks' registration as kustomize renders it, with either kind of certificate."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from webhook.certificates import self_signed, service_names

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "webhook"


def kustomize(kubectl: str, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([kubectl, "kustomize", str(folder)], check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def configurations(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {o["metadata"]["name"]: o for o in objects if o["kind"].endswith("WebhookConfiguration")}


def overlay(folder: Path, certificates: str) -> Path:
    """An overlay of all configurations, with a copy of what we ship beside it."""
    shutil.copytree(FOLDER, folder / "webhook")
    made = folder / "overlay"
    made.mkdir()
    text = {
        "resources": ["../webhook/configurations", "../webhook/fail-closed"],
        "components": [f"../webhook/{certificates}"],
    }
    (made / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return made


def test_as_shipped_every_configuration_gets_the_ca_of_cert_manager(kubectl: str) -> None:
    objects = kustomize(kubectl, FOLDER)
    assert set(configurations(objects)) == {"vpc-rc-mutating", "vpc-rc-validating"}
    [certificate] = [o for o in objects if o["kind"] == "Certificate"]
    name = f"{certificate['metadata']['namespace']}/{certificate['metadata']['name']}"
    for found in configurations(objects).values():
        assert found["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": name}


def test_ones_own_certificate_reaches_the_server_and_every_configuration(kubectl: str, tmp_path: Path) -> None:
    made = overlay(tmp_path, "self-signed")
    pair = self_signed(service_names("vpc-rc-webhook", "kube-system"), datetime.now(UTC))
    for file, content in (("ca.crt", pair.ca), ("tls.crt", pair.certificate), ("tls.key", pair.key)):
        (tmp_path / "webhook" / "self-signed" / file).write_bytes(content)
    objects = kustomize(kubectl, made)
    [secret] = [o for o in objects if o["kind"] == "Secret"]
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("vpc-rc-webhook-tls", "kube-system")
    assert base64.b64decode(secret["data"]["tls.key"]) == pair.key
    bundles = [w["clientConfig"]["caBundle"] for c in configurations(objects).values() for w in c["webhooks"]]
    assert len(bundles) == 4
    assert {base64.b64decode(bundle) for bundle in bundles} == {pair.ca}


def test_registrations(kubectl: str, tmp_path: Path, base: list[dict[str, Any]]) -> None:
    found = configurations(kustomize(kubectl, overlay(tmp_path, "cert-manager")))
    assert set(found) == {"vpc-rc-mutating", "vpc-rc-validating", "vpc-rc-mutating-fail-closed"}
    services = {(o["metadata"]["name"], p["port"]) for o in base if o["kind"] == "Service" for p in o["spec"]["ports"]}
    for name, configuration in found.items():
        for webhook in configuration["webhooks"]:
            assert webhook["failurePolicy"] == ("Fail" if name.endswith("fail-closed") else "Ignore")
            assert webhook["sideEffects"] == "None"
            service = webhook["clientConfig"]["service"]
            assert (service["name"], service["port"]) in services
    [closed] = found["vpc-rc-mutating-fail-closed"]["webhooks"]
    assert closed["namespaceSelector"]["matchLabels"] == {"vpc-resource-controller/fail-closed": "true"}


def test_fargates_own_webhook_is_asked_before_ours(kubectl: str, tmp_path: Path) -> None:
    """The API server asks mutating configurations in the order of their names. That of EKS' webhook says of a pod that
    it is for Fargate; asked before it, ours would take such a pod for one of an EC2 instance."""
    found = configurations(kustomize(kubectl, overlay(tmp_path, "cert-manager")))
    assert all(name > "0500-amazon-eks-fargate-mutation.amazonaws.com" for name in found)
