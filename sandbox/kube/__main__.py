"""`python -m sandbox.kube`: the API server of the sandbox as a process of its own, on loopback."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox.kube.clusterloop import run_toy_cluster
from sandbox.kube.running import Listening, load_manifests, serve
from sandbox.kube.webhook_calls import WebhookCaller
from sandbox.kube.world import KubeWorld, User


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT; prints `ready URL` once it does."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.kube", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--kubeconfig", type=Path, help="file to write")
    parser.add_argument("--tls", action="store_true", help="serve https with a certificate made at start")
    parser.add_argument("--tls-folder", type=Path, help="where certificates go (default: a temporary folder)")
    parser.add_argument("--crds", type=Path, action="append", default=[], help="folder of manifests to create at start")
    parser.add_argument("--with-kubelet", action="store_true", help="play scheduler, kubelets and controllers, too")
    parser.add_argument("--service", action="append", default=[], metavar="NAMESPACE/NAME=URL",
                        help="where the backend of a webhook's Service listens")  # fmt: skip
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=USER[,GROUP...]",
                        help="only these bearer tokens are accepted")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    services = dict(s.split("=", 1) for s in options.service)
    tokens = dict(_token(t) for t in options.token) or None
    world = KubeWorld(clock=time.time, seed=options.seed, call_webhook=WebhookCaller(services))
    for folder in options.crds:
        load_manifests(world, folder)
    with tempfile.TemporaryDirectory(prefix="kube-sandbox-") as temporary:
        tls_folder = (options.tls_folder or Path(temporary)) if options.tls else None

        def ready(listening: Listening) -> None:
            if options.kubeconfig:
                listening.write_kubeconfig(options.kubeconfig, next(iter(tokens), None) if tokens else None)
            sys.stdout.write(f"ready {listening.url}\n")
            sys.stdout.flush()

        async def run() -> None:
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            background = (run_toy_cluster,) if options.with_kubelet else ()
            await serve(
                world, stop, ready, port=options.port, tls_folder=tls_folder, tokens=tokens, background=background
            )

        asyncio.run(run())


def _token(text: str) -> tuple[str, User]:
    token, _, who = text.partition("=")
    name, *groups = who.split(",")
    return token, User(name=name, groups=(*groups, "system:authenticated"))


if __name__ == "__main__":
    main()
