"""`vpc-rc`: finds the command, and turns errors that we raise on purpose into one line and an exit status.

Status 2: a setting or an argument is wrong. Status 1: anything else that was foreseen. Status 130: Ctrl-C, of which
roles make 0. Nobody is shown a stack trace for those.
"""

import errno
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from common.masking import mask
from common.model.errors import ControllerError
from common.settings import SettingsError

COMMANDS = {
    "watcher": "cli.roles:watcher",
    "worker": "cli.roles:worker",
    "webhook": "cli.roles:webhook",
    "flower": "cli.roles:flower",
    "redis": "cli.redis:redis",
    "settings": "cli.show_settings:settings",
    "status": "cli.status.command:status",
    "doctor": "cli.doctor.command:doctor",
    "sandbox": "cli.sandbox:sandbox",
    "demo": "cli.demo.command:demo",
}
"""Where each command is. Imported when it is asked for: `vpc-rc settings` needs no SDK."""
WRONG_SETTINGS = 2
FAILED = 1
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class Lazy(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        return explained(lambda: super(Lazy, self).invoke(ctx))


def explained(command: Callable[[], object]) -> object:
    """What the command returns. An error that was foreseen goes to standard error, one line for each problem; raises
    SystemExit then."""
    try:
        return command()
    except SettingsError as error:
        lines, status = error.problems, WRONG_SETTINGS
    except ControllerError as error:
        lines, status = [" ".join(str(error).split()) or type(error).__name__], FAILED
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # click ends quietly when nobody reads on
        lines, status = [str(error)], FAILED
    except KeyboardInterrupt:
        lines, status = [], INTERRUPTED
    for line in lines:
        click.echo(f"vpc-rc: {mask(line)}", err=True)
    sys.exit(status)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("vpc-resource-controller"), prog_name="vpc-rc")
def cli() -> None:
    """Branch network interfaces and IPv4 addresses of an Amazon VPC for the pods of a Kubernetes cluster.

    Settings come from the environment (VPC_RC_...): see `vpc-rc settings`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process with its status."""
    cli.main(args=arguments, prog_name="vpc-rc")


if __name__ == "__main__":
    main()
