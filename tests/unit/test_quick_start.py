"""Every command that README, CONTRIBUTING and the installation guide show exists: targets, commands, options, files."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/installation.md",
    "docs/troubleshooting.md",
    "docs/operations.md",
    "docs/security.md",
)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def shown(page: str) -> list[str]:
    """Commands in code: whole lines of code blocks, and what stands between backticks."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^    (.*)$", "\n".join([text, *blocks]).replace("\\\n", " "), re.MULTILINE)
    lines += [line for block in blocks for line in block.splitlines()]
    inline = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]
    return [re.sub(r"\s#\s.*", "", line).strip() for line in lines + inline]


SHOWN = [(page, line) for page in PAGES for line in shown(page)]


def of(pattern: str) -> list[object]:
    found = sorted({(page, match[1]) for page, line in SHOWN for match in re.finditer(pattern, line)})
    return [pytest.param(what, id=f"{page}: {what}") for page, what in found]


@pytest.mark.parametrize("target", of(r"^make ([a-z]+)"))
def test_targets_of_make_exist(target: str) -> None:
    assert target in TARGETS


def words(line: str) -> list[str]:
    """Without what a reader replaces, and what may be left out."""
    return shlex.split(re.sub(r"\[.*?\]|<[^>]*>", " x ", line).replace("...", ""))


@pytest.mark.parametrize("line", of(r"(?:^|^\S+/|-- )(vpc-rc(?: [^|`]*)?)$"))
def test_commands_and_options_of_vpc_rc_exist(line: str) -> None:
    _, *rest = words(line)
    command: click.Command = cli
    context = click.Context(cli)
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name == "x":
            return
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    known = {
        option for each in command.get_params(click.Context(command)) for option in each.opts + each.secondary_opts
    }
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize(
    "path", of(r"(?<![\w/.<-])((?:deploy(?!/vpc-rc-)|docs|requirements|benchmarks|\.ci)/[\w./-]*\w)")
)
def test_files_and_folders_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_pages_show_the_ways_to_begin() -> None:
    """Else the tests above have nothing to look at. `deploy/vpc-rc-...` is a Deployment of kubectl's."""
    readme = "\n".join(line for page, line in SHOWN if page == "README.md")
    for beginning in ("make demo", "make test", "make setup", "docker compose up", "kubectl apply -k", "helm install"):
        assert beginning in readme
    assert {name for name in COMMANDS if f"vpc-rc {name}" in readme} >= {
        "status",
        "doctor",
        "demo",
        "settings",
        "redis",
    }
