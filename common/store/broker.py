"""Celery on Redis: one configuration for those who publish, those who work and those who look on.

Celery's keys (`nodes`, `maintenance`, `unacked`, ...) carry no prefix: clusters that share a Redis use one database
number each. The numbers were measured; see docs/adr for the transport's.
"""

import ssl

from celery import Celery
from kombu import Exchange, Queue

from common.store import task_events, transport
from common.store.connect import CONNECT_SECONDS, HEALTH_CHECK_SECONDS, SOCKET_SECONDS, sentinels

APP_NAME = "vpc-rc"
NODES = "nodes"
"""Queue of runs on nodes."""
MAINTENANCE = "maintenance"
"""Queue of what takes long and nobody waits for: loads of instances, sweeps."""
RECONCILE_NODE = "workers.tasks.reconcile_node"
"""Arguments: node name, reason."""
LOAD_INSTANCES = "workers.tasks.load_instances"
SWEEP_LEAKS = "workers.tasks.sweep_leaks"

VISIBILITY_SECONDS = 60
"""A message taken by a worker that died comes back after this; three times a run's slice."""
RESTORE_SECONDS = 5
"""Interval at which workers look for such messages (kombu's default adds up to 100 s)."""


def celery_app(redis_url: str, incarnation: str = "", *, looks_on: bool = False) -> Celery:
    """An app bound to the broker; it connects when first used. `incarnation`: of a process that takes messages.
    `looks_on`: it takes no tasks, and leaves messages of dead workers alone, which it may not touch."""
    transport.use()
    app = Celery(APP_NAME, set_as_current=False)
    audience = task_events.Audience()
    task_events.send_to(app, audience)
    options: dict[str, object] = {
        task_events.OPTION: audience,
        transport.TAKER: incarnation,
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": RESTORE_SECONDS,
        "unacked_restore_throttle": 1,
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        "retry_on_timeout": False,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        # Of publishing: one more try on a fresh connection, then the publisher's error. The workers' consumer has its
        # own setting below and never gives up.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
        "ack_emulation": not looks_on,
    }
    broker_url = redis_url
    if redis_url.startswith("sentinel://"):
        addresses, master, database, user, password = sentinels(redis_url)
        credentials = redis_url.removeprefix("sentinel://").rpartition("@")[0]
        login = f"{credentials}@" if user or password else ""
        broker_url = ";".join(f"sentinel://{login}{host}:{port}/{database}" for host, port in addresses)
        options["master_name"] = master
        options["sentinel_kwargs"] = {
            "socket_timeout": CONNECT_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
        }
    app.conf.update(
        broker_url=broker_url,
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # One for each thread that may publish at a time; made when needed.
        broker_pool_limit=64,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=NODES,
        # Each with its own exchange: on a shared one every message would reach both.
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in (NODES, MAINTENANCE)],
        task_routes={LOAD_INSTANCES: {"queue": MAINTENANCE}, SWEEP_LEAKS: {"queue": MAINTENANCE}},
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        # Off, workers hung after a restart of Redis.
        worker_enable_remote_control=True,
        worker_send_task_events=True,
        # Runs finish by themselves within a slice; the message that comes back then finds nothing to do.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
    if redis_url.startswith("rediss://"):
        app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return app
