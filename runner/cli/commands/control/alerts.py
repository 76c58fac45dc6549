"""`alerts`: what is wrong now; silence it for a while."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import click

from runner.access.ownership import require_own
from runner.access.places import Places, require_trusted_settings
from runner.cli.commands.control.buttons import carry_out
from runner.cli.options import complete_requests, output_option, reading_options
from runner.cli.output.fitting import moment_text, print_fitted
from runner.cli.output.tables import echo, json_line, style
from runner.errors import UsageError
from runner.planning.alerts.alert import Alert
from runner.planning.words.open_alert_words import alert_item, silence_words
from runner.service.alerts.stored_alerts import open_alerts
from runner.store.opening import read_store
from runner.timing.typed_times import read_end


@click.command("alerts")
@click.option(
    "--ack",
    "acknowledged",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_requests,
    help="Silence a request's alerts, one of them as NAME/CHECK, or the runner's own CHECK.",
)
@click.option("--until", metavar="T", help="When the silence ends; required with --ack.")
@output_option
@reading_options
def alerts_command(
    acknowledged: tuple[str, ...], until: str | None, output: str, places: Places
) -> None:
    """List the open alerts, the oldest first.

    An alert opens when a check finds something wrong: a failure, a missed fire, an
    execution that is late. It closes by itself when that is over. `--ack` silences it:
    no message repeats until that time. If it closes and opens again, it is not silent.

    \b
    Examples:
      runner alerts
      runner alerts --ack nightly-posting --until 18:00
      runner alerts --ack nightly-posting/late --until 2h
    """
    if bool(acknowledged) != (until is not None):
        raise UsageError("--ack NAME and --until T belong together")
    if until is not None:
        _acknowledge(acknowledged, until, places)
        return
    require_own(places)
    with closing(read_store(places.store)) as reader:
        found = open_alerts(reader.alerts())
    if output == "json":
        for alert in found:
            echo(json_line(alert_item(alert)))
        return
    if not found:
        echo("no alert is open", err=True)
        return
    _print(found, places.zone)


def _print(found: tuple[Alert, ...], zone: str) -> None:
    columns = ["SINCE", "REQUEST", "CHECK", "COUNT", "MESSAGE", "ACKNOWLEDGED"]
    rows = [
        [
            moment_text(alert.since, zone),
            alert.request or "(the runner)",
            style(alert.check, fg="red"),
            str(alert.count),
            alert.message,
            silence_words(alert, zone),
        ]
        for alert in found
    ]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_fitted(columns, rows)


def _acknowledge(names: tuple[str, ...], until: str, places: Places) -> None:
    from runner.commands import Command, CommandKind

    require_trusted_settings(places.jobs)
    end = read_end(until, places.zone, datetime.now(UTC))
    command = Command(kind=CommandKind.ACKNOWLEDGE, targets=names, until=end)
    carry_out(command, False, places)
