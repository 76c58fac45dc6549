"""`schema`: the JSON schemas, for editors and other tools."""

from __future__ import annotations

import click

from runner.cli.output.tables import echo_data

_SCHEMAS = ("process-request", "defaults", "runner", "monitor-record")


@click.command("schema")
@click.argument(
    "name", metavar=f"[{'|'.join(_SCHEMAS)}]", type=click.Choice(_SCHEMAS), default=_SCHEMAS[0]
)
def schema_command(name: str) -> None:
    """Print the JSON schema of a process request (default), _defaults.yaml,
    runner.yaml, or a monitor record.
    """
    from runner.resources import schema_text

    echo_data(schema_text(name))
