"""`metrics`: the metrics of the page, for node_exporter's text files. Needs the extra `web`."""

from __future__ import annotations

import click

from runner.access.loading import load
from runner.access.places import Places
from runner.access.troubles import report_trouble
from runner.cli.options import reading_options
from runner.cli.output.tables import echo, echo_error
from runner.errors import RefusedError


@click.command("metrics")
@reading_options
def metrics_command(places: Places) -> None:
    """Print metrics in the text format of Prometheus.

    The page serves the same at /metrics. node_exporter reads them from a file, which a
    request of your own can write; `mv` replaces the file at once, so that it is never
    read half written.

    What ran is counted in a history index in the state folder, which this command brings
    up to date.

    \b
    Examples:
      runner metrics
      runner metrics > runner.prom.new && mv runner.prom.new runner.prom
    """
    _require_library()
    from runner.history.building.updating import bring_up_to_date
    from runner.history.building.writing import HistoryError
    from runner.history.reading.index import HistoryIndex
    from runner.metrics import Metrics, exposition

    loaded = load(places)
    report_trouble(places, loaded)
    try:
        bring_up_to_date(places.history_folder, places.log_to_read)
    except HistoryError as error:
        echo_error(f"what ran may be missing or out of date: {error}")
    text, _ = exposition(Metrics(loaded, HistoryIndex(places.history_folder)))
    for line in text.decode().splitlines():
        echo(line)


def _require_library() -> None:
    """Raise RefusedError, with the command that installs it, if the extra is missing."""
    from runner.installation import missing_extra, present_extras

    if "web" not in present_extras():
        raise RefusedError(f"metrics need a library: {missing_extra('web')}")
