"""`vpc-rc settings`: every setting, what it is now and where that comes from."""

import json

import click
from rich.table import Table
from rich.text import Text

from cli.console import console, warn_of_unknown_settings
from common.settings import SettingDescription, describe_settings, load_settings, settings_schema


@click.command()
@click.option("--markdown", is_flag=True, help="The reference of all settings, as in docs/settings.md.")
@click.option("--schema", is_flag=True, help="JSON schema of all settings, for editors and checks.")
def settings(markdown: bool, schema: bool) -> None:
    """Show names, values, sources, defaults and descriptions of all settings. Passwords are masked."""
    if schema:
        click.echo(json.dumps(settings_schema(), indent=2))
        return
    rows = describe_settings(load_settings())
    warn_of_unknown_settings()
    if markdown:
        click.echo("\n".join(reference(rows)))
        return
    console().print(_table(rows))


def _table(rows: list[SettingDescription]) -> Table:
    table = Table(show_lines=False, expand=False, pad_edge=False)
    table.add_column("Setting", no_wrap=True)
    table.add_column("Value", overflow="fold", max_width=40)
    table.add_column("Source", no_wrap=True)
    table.add_column("Default", overflow="fold", max_width=30)
    table.add_column("Meaning", min_width=30)
    for row in rows:
        value, default = (text if len(text) <= 60 else f"{text[:57]}..." for text in (row.value, row.default))
        table.add_row(*(Text(cell) for cell in (row.name, value, row.source, default, row.description)))
    return table


def reference(rows: list[SettingDescription]) -> list[str]:
    """The lines of a Markdown table of names, defaults and meanings."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for row in rows:
        default = f"`{row.default}`" if row.default else ""
        lines.append(" | ".join((f"| `{row.name}`", default, f"{row.description} |")).replace("\n", " "))
    return lines
