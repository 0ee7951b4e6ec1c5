"""The Helm chart: the objects of kustomize and no others, its variants, and installing and leaving a real cluster."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.main import cli
from common.settings import Settings, describe_settings
from tests.kit.control_plane import control_plane

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "vpc-resource-controller"
VALUES = {"clusterName": "my-cluster", "vpcId": "vpc-0123456789abcdef0", "image": {"repository": "example/vpc-rc"}}
READ_AT_START = "vpc-rc/settings-and-credentials"
IDENTITIES = ("watcher", "worker", "flower", "operator", "users", "probe")

Objects = dict[tuple[str, str], dict[str, Any]]
Template = Callable[..., Objects]


@pytest.fixture(scope="module")
def helm() -> str:
    """A helm: of the PATH, else the one of `make helm`."""
    found = shutil.which("helm") or shutil.which("helm", path=str(ROOT / "build" / "helm"))
    if found is None:
        pytest.skip("no helm: make helm")
    return found


def by_name(documents: str) -> Objects:
    found = [one for one in yaml.safe_load_all(documents) if one]
    made = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(made) == len(found)
    return made


@pytest.fixture(scope="module")
def template(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What `helm template` makes of the values given over the required ones."""
    folder = tmp_path_factory.mktemp("chart")

    def render(**values: Any) -> Objects:
        (folder / "values.yaml").write_text(yaml.safe_dump({**VALUES, **values}))
        done = subprocess.run(
            [helm, "template", "ours", str(CHART), "--namespace", "kube-system", "--values", "values.yaml"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ValueError(done.stderr)
        return by_name(done.stdout)

    return render


@pytest.fixture(scope="module")
def kustomized(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What kustomize makes of deploy/base with the components and resources given."""
    deploy = tmp_path_factory.mktemp("overlay") / "deploy"
    shutil.copytree(DEPLOY, deploy, ignore=shutil.ignore_patterns("helm", "redis"))
    (deploy / "redis").mkdir()
    shutil.copy(DEPLOY / "redis" / "kustomization.yaml", deploy / "redis")
    for name in (*IDENTITIES[:4], "users.acl", "probe"):
        (deploy / "redis" / name).write_text(name)
    overlay = deploy / "ours"
    overlay.mkdir()

    def render(*components: str, resources: tuple[str, ...] = ()) -> Objects:
        settings = [f"VPC_RC_CLUSTER_NAME={VALUES['clusterName']}", f"VPC_RC_VPC_ID={VALUES['vpcId']}"]
        kustomization = {
            "resources": ["../base", *resources],
            "components": [f"../{one}" for one in components],
            "configMapGenerator": [
                {"name": "vpc-rc-settings", "namespace": "kube-system", "behavior": "merge", "literals": settings}
            ],
            "images": [{"name": "vpc-resource-controller", "newName": "example/vpc-rc"}],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        done = subprocess.run([kubectl, "kustomize", str(overlay)], check=True, capture_output=True, text=True)
        return by_name(done.stdout)

    return render


def comparable(objects: Objects) -> Objects:
    """Without what only the tools do: hashes in names, the release's namespace, the annotation of what pods read."""
    text = json.dumps([one for (kind, _), one in objects.items() if kind != "CustomResourceDefinition"])
    made: Objects = {}
    for one in json.loads(text):
        name = one["metadata"]["name"]
        labels = one["metadata"].get("labels", {})
        labels.setdefault("app.kubernetes.io/part-of", "vpc-resource-controller")
        one["metadata"]["labels"] = labels
        one["metadata"].pop("namespace", None)
        if "template" in one.get("spec", {}):
            of_pods = one["spec"]["template"]["metadata"]
            annotations = of_pods.pop("annotations", {})
            annotations.pop(READ_AT_START, None)
            of_pods["annotations"] = annotations
        made[(one["kind"], name)] = one
    return made


def unhashed(objects: Objects) -> Objects:
    """With the names that generators were given."""
    text = json.dumps(list(objects.values()))
    for kind, name in objects:
        stem, _, suffix = name.rpartition("-")
        if kind in ("ConfigMap", "Secret") and len(suffix) == 10 and (stem.startswith("vpc-rc-")):
            text = text.replace(name, stem)
    return {(one["kind"], one["metadata"]["name"]): one for one in json.loads(text)}


CREDENTIALS = {name: {"users": "users.acl"}.get(name, name) for name in IDENTITIES}
"""As `kustomized` writes them."""

VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]] = {
    "as it comes": (("redis",), ("../webhook",), {}),
    "Redis without a volume claim": (("redis", "components/redis-memory"), ("../webhook",), {"redis": "memory"}),
    "workers by their CPU": (
        ("redis", "components/autoscaling"),
        ("../webhook",),
        {"worker": {"autoscaling": {"enabled": True}}},
    ),
    "workers by the queue": (
        ("redis", "components/keda"),
        ("../webhook",),
        {"worker": {"keda": {"enabled": True}}},
    ),
    "with monitoring": (("redis", "components/monitoring"), ("../webhook",), {"monitoring": {"enabled": True}}),
    "pods of some namespaces wait for the webhook": (
        ("redis", "webhook/cert-manager"),
        ("../webhook/configurations", "../webhook/fail-closed"),
        {"webhook": {"failClosed": True}},
    ),
    "without policies": (
        ("redis", "components/without-policy"),
        ("../webhook",),
        {"policy": {"enabled": False}},
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_chart_and_kustomize_make_the_same_objects(template: Template, kustomized: Template, variant: str) -> None:
    components, resources, values = VARIANTS[variant]
    redis = {"mode": values.get("redis", "statefulset"), "credentials": CREDENTIALS}
    charted = comparable(template(**{**values, "redis": redis}))
    made = comparable(unhashed(kustomized(*components, resources=resources)))
    assert set(charted) == set(made)
    for key, one in made.items():
        assert charted[key] == one, key


def test_an_external_redis_leaves_only_its_urls(template: Template, kustomized: Template) -> None:
    urls = {name: CREDENTIALS[name] for name in IDENTITIES}
    charted = comparable(template(redis={"mode": "external", "credentials": urls}))
    made = comparable(unhashed(kustomized("redis", "components/redis-external", resources=("../webhook",))))
    # The users are the other server's; kustomize's generator makes their Secrets all the same.
    for name in ("users", "probe"):
        del made[("Secret", f"vpc-rc-redis-{name}")]
    assert charted == made


@pytest.mark.parametrize(("version", "served"), [("1.29.9", False), ("1.30.0", True), ("1.35.4-eks-1", True)])
def test_the_chart_has_policies_where_the_api_server_serves_them(helm: str, version: str, served: bool) -> None:
    given = ["--set=clusterName=c,vpcId=vpc-0123456789abcdef0,image.repository=example/vpc-rc"]
    command = [helm, "template", "ours", str(CHART), "--namespace", "kube-system", "--kube-version", version, *given]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kinds = {kind for kind, _ in by_name(text)}
    assert {"ValidatingAdmissionPolicy" in kinds, "ValidatingAdmissionPolicyBinding" in kinds} == {served}


def test_the_custom_resources_are_those_of_kustomize() -> None:
    shipped = {path.name: path.read_text() for path in (DEPLOY / "crds").glob("*_*.yaml")}
    assert {path.name: path.read_text() for path in (CHART / "crds").iterdir()} == shipped


def test_credentials_are_written_as_values(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "redis-values.yaml"
    done = CliRunner().invoke(cli, ["redis", "credentials", "--cluster-name", "c", "--helm-values", str(file)])
    assert done.exit_code == 0, done.output
    assert file.stat().st_mode & 0o077 == 0
    made = template(**yaml.safe_load(file.read_text()))
    assert {name for kind, name in made if kind == "Secret"} == {f"vpc-rc-redis-{name}" for name in IDENTITIES}
    mounted = {
        volume["secret"]["secretName"]
        for (kind, _), one in made.items()
        if kind in ("Deployment", "StatefulSet")
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume and "redis" in volume["secret"]["secretName"]
    }
    assert mounted == {f"vpc-rc-redis-{name}" for name in ("users", "watcher", "worker", "flower")}


def test_renewed_credentials_and_changed_settings_start_pods_again(template: Template) -> None:
    def read(**values: Any) -> str:
        pods = template(**values)[("Deployment", "vpc-rc-worker")]["spec"]["template"]
        return str(pods["metadata"]["annotations"][READ_AT_START])

    assert (
        len({read(), read(settings={"VPC_RC_LOG_LEVEL": "debug"}), read(redis={"credentials": {"worker": "u"}})}) == 3
    )


WRONG: dict[str, dict[str, Any]] = {
    "no cluster": {"clusterName": ""},
    "a value that is none": {"wroker": {"replicas": 3}},
    "a setting in the wrong place": {"settings": {"VPC_RC_REDIS_URL": "redis://x"}},
    "two scalers": {"worker": {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}},
    "a certificate that is not given": {"webhook": {"registration": "provided"}},
    "Redis in a mode that is none": {"redis": {"mode": "cluster"}},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_values_are_refused(template: Template, wrong: str) -> None:
    template()
    with pytest.raises(ValueError):
        template(**WRONG[wrong])


def test_a_certificate_of_ones_own_reaches_server_and_registration(template: Template) -> None:
    tls = {"ca": "CA", "certificate": "CERT", "key": "KEY"}
    made = template(webhook={"registration": "provided", "tls": tls})
    assert made[("Secret", "vpc-rc-webhook-tls")]["data"] == {
        "ca.crt": "Q0E=",
        "tls.crt": "Q0VSVA==",
        "tls.key": "S0VZ",
    }
    for kind, name in (
        ("MutatingWebhookConfiguration", "vpc-rc-mutating"),
        ("ValidatingWebhookConfiguration", "vpc-rc-validating"),
    ):
        assert {hook["clientConfig"]["caBundle"] for hook in made[(kind, name)]["webhooks"]} == {"Q0E="}


def test_what_a_cluster_adds_reaches_the_pods(template: Template) -> None:
    toleration = {"key": "infra", "operator": "Exists"}
    added: dict[str, Any] = {
        "tolerations": [toleration],
        "volumes": [{"name": "ca", "configMap": {"name": "redis-ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/redis-ca"}],
        "env": [{"name": "SSL_CERT_FILE", "value": "/etc/redis-ca/ca.crt"}],
        "resources": {"requests": {"cpu": "1"}},
        "nodeSelector": {"pool": "infra"},
        "replicas": 5,
    }
    deployment = template(worker=added)[("Deployment", "vpc-rc-worker")]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["replicas"] == 5
    assert toleration in pod["tolerations"]
    assert len(pod["tolerations"]) == 2
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "infra"}
    assert container["resources"] == {"requests": {"cpu": "1"}}
    assert added["volumes"][0] in pod["volumes"]
    assert added["volumeMounts"][0] in container["volumeMounts"]
    assert {one["name"] for one in container["env"]} == {"VPC_RC_SECRETS_DIR", "SSL_CERT_FILE"}


def test_every_value_is_explained_and_has_its_default_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def explained(part: dict[str, Any], given: dict[str, Any], where: str) -> None:
        for name, value in given.items():
            assert name in part["properties"], f"{where}{name}"
            found = part["properties"][name]
            assert found["description"], f"{where}{name}"
            if isinstance(value, dict) and "properties" in found:
                explained(found, value, f"{where}{name}.")

    explained(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    tag = yaml.safe_load((DEPLOY / "base" / "kustomization.yaml").read_text())["images"][0]["newTag"]
    assert chart["appVersion"] == chart["version"] == tag
    assert {"VPC_RC_CLUSTER_NAME", "VPC_RC_VPC_ID", "VPC_RC_AWS_REGION"} <= {
        row.name for row in describe_settings(Settings())
    }


def test_lint(helm: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES))
    done = subprocess.run(
        [helm, "lint", "--strict", str(CHART), "--values", "values.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_is_whole_and_holds_no_secrets(helm: str, tmp_path: Path) -> None:
    subprocess.run([helm, "package", str(CHART)], cwd=tmp_path, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tgz")
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES))
    command = ["--namespace", "kube-system", "--values", "values.yaml", "--include-crds"]
    made = [
        subprocess.run(
            [helm, "template", "ours", str(source), *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout
        for source in (CHART, archive)
    ]
    assert made[0] == made[1]
    listed = subprocess.run(["tar", "-tzf", str(archive)], check=True, capture_output=True, text=True).stdout
    assert not [name for name in listed.splitlines() if name.endswith((".key", ".crt", ".acl"))]


POLICY = {
    "apiVersion": "vpcresources.k8s.aws/v1beta1",
    "kind": "SecurityGroupPolicy",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {"podSelector": {}, "securityGroups": {"groupIds": ["sg-0123456789abcdef0"]}},
}


def test_installing_upgrading_and_leaving_a_cluster(helm: str, kubectl: str, tmp_path: Path) -> None:
    """The server takes every object; what is left after uninstalling are the custom resources and their objects."""
    # A server of its own: what other tests have installed there would not be Helm's.
    with control_plane(tmp_path / "run") as kubeconfig:
        _install_upgrade_and_leave(helm, [kubectl, "--kubeconfig", str(kubeconfig)], kubeconfig, tmp_path)


def _install_upgrade_and_leave(helm: str, kubectl: list[str], kubeconfig: Path, folder: Path) -> None:
    # cert-manager's resources are not defined there.
    (folder / "values.yaml").write_text(yaml.safe_dump({**VALUES, "webhook": {"registration": "none"}}))
    credentials = ["redis", "credentials", "--cluster-name", "c", "--helm-values", str(folder / "redis.yaml")]
    assert CliRunner().invoke(cli, credentials).exit_code == 0

    def run(*arguments: str) -> str:
        command = [helm, "--kubeconfig", str(kubeconfig), "--namespace", "kube-system", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def names(kind: str) -> set[str]:
        command = [*kubectl, "--namespace", "kube-system", "get", kind, "--output", "name"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return {name for name in listed if "vpc-rc" in name}

    given = ("--values", "values.yaml", "--values", "redis.yaml")
    run("install", "ours", str(CHART), *given)
    assert len(names("deployments")) == 4
    subprocess.run([*kubectl, "apply", "-f", "-"], input=json.dumps(POLICY), text=True, check=True)
    run("upgrade", "ours", str(CHART), *given, "--set", "worker.replicas=3")
    run("uninstall", "ours")
    for kind in ("deployments", "statefulsets", "secrets", "clusterroles", "validatingadmissionpolicies"):
        assert names(kind) == set(), kind
    kept = subprocess.run(
        [*kubectl, "get", "securitygrouppolicies", "kept", "--output", "name"], check=True, capture_output=True
    )
    assert kept.stdout.strip()
