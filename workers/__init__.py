"""Workers: the Celery application, its tasks, the loop that reconciles a node and the steps that carry out actions.

`celery -A workers worker` finds the application here; it is built from the settings when first asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery


def __getattr__(name: str) -> "Celery":
    if name == "celery":
        from workers.app import default_app

        return default_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
