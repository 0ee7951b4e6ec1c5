"""Flower, Celery's web page, on our broker with our configuration."""

import re
import signal
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit

from flower.app import Flower
from flower.command import apply_env_options, extract_settings
from flower.options import options
from flower.urls import settings as web_settings
from flower.views import BaseHandler
from flower.views.monitor import Metrics
from tornado.web import authenticated

from common.settings import Settings, listening
from common.store.broker import celery_app

DEFAULT_PORT = 5555
TASKS_COLUMNS = "name,args,state,received,runtime,worker"
"""`args` are node and reason."""


_ARGUMENTS = re.compile(r"\('(?P<node>[^']*)', '(?P<reason>[^']*)'\)")


def reason_first(task: Any) -> Any:
    """A run's arguments as `reason: node`. The column cuts what is long, and a node's name ends with what all have."""
    if found := _ARGUMENTS.fullmatch(task.args or ""):
        task.args = f"{found['reason']}: {found['node']}"
    return task


def credentials_of(redis_url: str) -> list[str]:
    """User and password of the URL as Flower takes them for its own; empty where it has none. The pages show what this
    user reads in Redis: anybody with that password may see them."""
    url = urlsplit(redis_url)
    return [f"{unquote(url.username or 'default')}:{unquote(url.password)}"] if url.password else []


# Flower itself gives these to anybody, password or not.
Metrics.get = authenticated(Metrics.get)


def main(settings: Settings, port: int = DEFAULT_PORT) -> int:
    """Serve until SIGTERM or SIGINT, to be looked at only unless `FLOWER_READ_ONLY=false`. Flower's own variables
    (`FLOWER_BASIC_AUTH`, `FLOWER_URL_PREFIX`, ...) apply; without any about passwords it asks for those of the Redis
    URL. Raises SettingsError where the port is taken."""
    # Of runs on nodes the arguments are what people look for; Flower's own choice leaves them out.
    options.tasks_columns = TASKS_COLUMNS
    # Its buttons end workers and make tasks; to look is what it is here for.
    options.read_only = True
    options.format_task = reason_first
    apply_env_options()
    if not (options.basic_auth or options.auth or BaseHandler.unauthenticated_api.fget(None)):
        options.basic_auth = credentials_of(settings.redis_url.get_secret_value())
    options.address, options.port = settings.listen_address, port
    extract_settings()
    capp = celery_app(settings.redis_url.get_secret_value(), looks_on=True)
    flower = Flower(capp=capp, options=options, **web_settings)

    def stop(_number: int, _frame: FrameType | None) -> None:
        flower.io_loop.add_callback_from_signal(flower.stop)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with listening("--port", port):
        flower.start_http_server()
    flower.start()
    return 0
