"""How fast pods are admitted: the webhook as a process, its view from the sandbox's API server, reviews over TLS.

    python -m benchmarks.webhook [--rate 500] [--seconds 60] [--policies 1000] [--accounts 5000] [--namespaces 100]

Reviews are sent at a fixed rate whether or not earlier ones were answered; a time counts from the moment at which its
review was due, so that a stall shows in every review that it held up. A little before the middle the certificate's
files are replaced; from the middle on connections are new ones.
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
from cryptography import x509

from webhook.certificates import ServingPair, self_signed

ROOT = Path(__file__).parents[1]
WARM_UP_SECONDS = 2.0
RENEWAL_SECONDS = 5.0
"""From the replacement of the files to the first connection that must be shown the new certificate."""
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/{}/securitygrouppolicies"


@dataclass
class Result:
    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    patched: int = 0


def review(namespace: str, account: str, number: int) -> bytes:
    """A review of a pod of usual size, about 3 KiB."""
    container: dict[str, Any] = {
        "name": "main",
        "image": "example/main:1",
        "env": [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(20)],
        "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/token", "readOnly": True}],
    }
    pod: dict[str, Any] = {
        "metadata": {"generateName": "p-", "labels": {"app": f"app-{number % 10}", "pod-template-hash": "abcdef"}},
        "spec": {"serviceAccountName": account, "containers": [container, {**container, "name": "sidecar"}]},
    }
    request: dict[str, Any] = {
        "uid": f"uid-{number}",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


async def fill(url: str, options: argparse.Namespace) -> None:
    """Policies and accounts, evenly over the namespaces."""
    gate = asyncio.Semaphore(16)
    async with aiohttp.ClientSession() as client:

        async def make(path: str, body: dict[str, Any]) -> None:
            async with gate, client.post(url + path, json=body) as answer:
                assert answer.status in (201, 409), await answer.text()

        names = [f"ns-{number}" for number in range(options.namespaces)]
        await asyncio.gather(*(make("/api/v1/namespaces", {"metadata": {"name": name}}) for name in names))
        made = []
        for number in range(options.accounts):
            account = {"metadata": {"name": f"sa-{number // len(names)}", "labels": {"team": f"t-{number % 7}"}}}
            made.append(make(f"/api/v1/namespaces/{names[number % len(names)]}/serviceaccounts", account))
        for number in range(options.policies):
            spec: dict[str, Any] = {
                "podSelector": {"matchLabels": {"app": f"app-{(number // len(names)) % 20}"}},
                "securityGroups": {"groupIds": [f"sg-{number % 4:017x}"]},
            }
            body: dict[str, Any] = {
                "apiVersion": "vpcresources.k8s.aws/v1beta1",
                "kind": "SecurityGroupPolicy",
                "metadata": {"name": f"p-{number // len(names)}"},
                "spec": spec,
            }
            made.append(make(POLICIES.format(names[number % len(names)]), body))
        await asyncio.gather(*made)


async def load(url: str, cas: str, replace: Callable[[], None], options: argparse.Namespace) -> Result:
    trust = ssl.create_default_context(cadata=cas)
    result, rng = Result(), random.Random(1)
    accounts = max(1, options.accounts // options.namespaces)
    bodies = [
        review(f"ns-{rng.randrange(options.namespaces)}", f"sa-{rng.randrange(accounts)}", n) for n in range(1000)
    ]
    headers = {"Content-Type": "application/json"}

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=options.connections))

    async with session() as first, session() as second:

        async def ask(client: aiohttp.ClientSession, number: int, due: float, target: Result) -> None:
            try:
                body = bodies[number % len(bodies)]
                async with client.post(f"{url}/mutate-v1-pod", data=body, headers=headers) as answer:
                    text = await answer.read()
                good = answer.status == 200 and f'"uid-{number % len(bodies)}"'.encode() in text
                target.errors += not good
                target.patched += b'"patch"' in text
            except (aiohttp.ClientError, TimeoutError):
                target.errors += 1
            target.seconds.append(perf_counter() - due)

        async def run(client: aiohttp.ClientSession, seconds: float, target: Result) -> None:
            began, asked = perf_counter(), []
            for number in range(int(options.rate * seconds)):
                due = began + number / options.rate
                if (wait := due - perf_counter()) > 0:
                    await asyncio.sleep(wait)
                asked.append(asyncio.create_task(ask(client, number, due, target)))
            await asyncio.gather(*asked)

        async def replaced() -> None:
            await asyncio.sleep(max(0.0, options.seconds / 2 - RENEWAL_SECONDS))
            replace()

        await run(first, WARM_UP_SECONDS, Result())
        renewal = asyncio.create_task(replaced())
        await run(first, options.seconds / 2, result)
        await renewal
        await run(second, options.seconds / 2, result)
    return result


def serial_number(port: int) -> int:
    """The serial number of the certificate that a new connection gets."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode()).serial_number


def resident_mebibytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def wait_ready(url: str, ca: str) -> None:
    trust = ssl.create_default_context(cadata=ca)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:
        async with asyncio.timeout(60):
            while True:
                try:
                    async with client.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rate", 500), ("seconds", 60), ("policies", 1000), ("accounts", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--namespaces", type=int, default=100)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    pair, newer = (self_signed(("127.0.0.1",), datetime.now(UTC)) for _ in range(2))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def write(serving: ServingPair) -> None:
            (folder / "tls.crt").write_bytes(serving.certificate)
            (folder / "tls.key").write_bytes(serving.key)

        write(pair)
        kube = subprocess.Popen(
            [sys.executable, "-m", "sandbox.kube", "--kubeconfig", str(folder / "kubeconfig"), "--crds", "deploy/crds"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes: list[subprocess.Popen[Any]] = [kube]
        try:
            assert kube.stdout is not None
            kube_url = kube.stdout.readline().split()[1]
            asyncio.run(fill(kube_url, options))
            port = 19443
            environment = {
                "PYTHONPATH": str(ROOT),
                "KUBECONFIG": str(folder / "kubeconfig"),
                "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
                "VPC_RC_WEBHOOK_PORT": str(port),
                "VPC_RC_WEBHOOK_CERT_FILE": str(folder / "tls.crt"),
                "VPC_RC_WEBHOOK_KEY_FILE": str(folder / "tls.key"),
                "VPC_RC_METRICS_PORT": "0",
                "VPC_RC_LOG_LEVEL": "warning",
            }
            began = perf_counter()
            webhook = subprocess.Popen([sys.executable, "-m", "cli.main", "webhook"], cwd=ROOT, env=environment)
            processes.append(webhook)
            url = f"https://127.0.0.1:{port}"
            asyncio.run(wait_ready(url, pair.ca.decode()))
            ready = perf_counter() - began
            before, began, used = serial_number(port), perf_counter(), cpu_seconds(webhook.pid)
            cas = (pair.ca + newer.ca).decode()
            result = asyncio.run(load(url, cas, lambda: write(newer), options))
            took, used = perf_counter() - began, cpu_seconds(webhook.pid) - used
            report(options, result, took - WARM_UP_SECONDS, ready)
            print(f"certificate replaced   {'yes' if serial_number(port) != before else 'NO':>8}")
            reviews = options.rate * WARM_UP_SECONDS + len(result.seconds)
            print(f"CPU of the webhook     {used / reviews * 1000:8.2f} ms a review")
            print(f"memory at its highest  {resident_mebibytes(webhook.pid):8.0f} MiB")
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)


def report(options: argparse.Namespace, result: Result, took: float, ready: float) -> None:
    times = sorted(result.seconds)

    def percentile(share: float) -> float:
        return times[min(len(times) - 1, int(share * len(times)))] * 1000

    print(f"policies {options.policies}, service accounts {options.accounts}, namespaces {options.namespaces}")
    print(f"ready after            {ready:8.2f} s")
    print(f"reviews answered       {len(times) / took:8.0f} /s (asked for {options.rate})")
    print(f"p50 / p99 / longest    {percentile(0.5):8.1f} / {percentile(0.99):.1f} / {times[-1] * 1000:.1f} ms")
    print(f"patched / errors       {result.patched:8d} / {result.errors}")


if __name__ == "__main__":
    main()
