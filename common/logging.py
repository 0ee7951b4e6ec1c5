"""Logs of a process: one line an entry, JSON or for a console, with secrets masked.

Entries of libraries (celery, botocore, urllib3) pass through the same pipe. Logs go to standard error: standard output
belongs to what a command prints.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal, TextIO

from common.masking import masked

# structlog imports rich where it is installed, for traces in colour that nobody asks for: 5 MiB of every process. None
# is the interpreter's way to say that there is no such module.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

if _hidden:
    del sys.modules["rich"]

_LIBRARIES = ("aiohttp", "asyncio", "boto3", "botocore", "kombu", "kubernetes", "tornado", "urllib3")
"""They log requests, credentials and bodies included, when asked for everything."""


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log = get_logger(__name__)`, then `log.info("trunk attached", node=name)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure_logging(level: str, style: Literal["json", "console"], stream: TextIO = sys.stderr) -> None:
    """Set up logging of the whole process; called once, by the command line. `level` as in `Settings.log_level`.

    Celery must not replace it: connect a receiver to its `setup_logging` signal.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_secrets,
                _renderer(style, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))


def _renderer(style: Literal["json", "console"], stream: TextIO) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )


def mask_secrets(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Replace passwords and credentials, by the name of their field or by how they look inside a text."""
    return {key: masked(key, value) for key, value in entry.items()}


def report_crashes() -> None:
    """Exceptions that end the process or a thread of it go through the same pipe, masked as everything else."""
    log = get_logger("crash")

    def of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("process_crashed", exc_info=(kind, error, trace))

    def of_thread(crash: threading.ExceptHookArgs) -> None:
        if crash.exc_type is SystemExit or crash.exc_value is None:
            return
        name = crash.thread.name if crash.thread else ""
        log.critical("thread_crashed", thread=name, exc_info=(crash.exc_type, crash.exc_value, crash.exc_traceback))

    sys.excepthook, threading.excepthook = of_process, of_thread
