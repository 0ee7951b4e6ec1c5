"""A worker with a task that only says that it ran: `python worker_process.py REDIS_URL HEALTH_PORT INTROSPECTION_PORT`.

Each run is written to the list `ran` as `<node> <worker's pid>`.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import redis
from celery import Celery
from pydantic import SecretStr

from common.logging import configure_logging
from common.settings import Settings
from common.store.broker import RECONCILE_NODE
from workers import run
from workers.build import Worker

os.environ |= {"AWS_ACCESS_KEY_ID": "never", "AWS_SECRET_ACCESS_KEY": "used"}
URL, HEALTH_PORT, INTROSPECTION_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def reconcile_node(node: str, reason: str) -> None:
    client = redis.Redis.from_url(URL)
    client.rpush("ran", f"{node} {os.getpid()}")
    if reason == "slow":
        client.blpop(["go-on"], timeout=20)


def add_tasks(app: Celery, _: Callable[[], Worker]) -> None:
    app.task(name=RECONCILE_NODE)(reconcile_node)


configure_logging("warning", "json")
# Never asked anything.
kubeconfig = Path(tempfile.mkdtemp()) / "kubeconfig"
kubeconfig.write_text(
    '{"apiVersion": "v1", "kind": "Config", "current-context": "none",'
    ' "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [],'
    ' "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}]}'
)
vars(run)["add_tasks"] = add_tasks
sys.exit(
    run.main(
        Settings(
            redis_url=SecretStr(URL),
            cluster_name="c",
            vpc_id="vpc-1",
            aws_region="us-west-2",
            account_id="123456789012",
            kubeconfig=kubeconfig,
            health_port=HEALTH_PORT,
            metrics_port=0,
            introspection_port=INTROSPECTION_PORT,
            listen_address="127.0.0.1",
            worker_threads=4,
        )
    )
)
