"""`web`: the Process Monitor as a page. Needs the extra `web`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.options import place_options
from runner.cli.output.line_writer import LineWriter, to_stderr
from runner.cli.output.tables import shown_line
from runner.errors import RefusedError
from runner.values import counted

if TYPE_CHECKING:
    from runner.requests.file_settings import WebSettings


@click.command("web")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="The address to serve.  [default: 127.0.0.1:8080]",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    help="Serve a unix socket that only you may open. It needs no login.",
)
@click.option(
    "--behind-proxy",
    is_flag=True,
    help="A proxy does the TLS: cookies need TLS, and the socket needs a login.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="The certificate chain, as PEM.")
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="Its key, as PEM.  [default: in the file of --tls-cert]",
)
@place_options
def web_command(
    listen: str | None,
    socket: Path | None,
    behind_proxy: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    places: Places,
) -> None:
    """Serve the Process Monitor as a page, with an API and metrics.

    Reading needs a login, too. On a terminal this command prints a link that logs in once;
    `runner token add` makes tokens for others. An address that other machines can reach
    needs tokens, and --tls-cert or --behind-proxy.

    \b
    Examples:
      runner web
      runner web --listen 127.0.0.1:9000
      runner web --listen 0.0.0.0:8443 --tls-cert /etc/runner/web.pem
      runner web --socket /run/runner/web.sock
    """
    own = places.settings.web
    given = replace(
        own,
        listen=listen or own.listen,
        socket=socket or own.socket,
        behind_proxy=behind_proxy or own.behind_proxy,
        tls_cert=tls_cert or own.tls_cert,
        tls_key=tls_key or own.tls_key,
    )
    require_web()
    _serve(places, given)


def require_web() -> None:
    """Raise RefusedError, with the command that installs it, if the extra is missing."""
    from runner.installation import missing_extra, present_extras

    if "web" not in present_extras():
        raise RefusedError(f"the page needs more libraries: {missing_extra('web')}")


def _serve(places: Places, settings: WebSettings) -> None:
    from runner.service.beside.child_command import OF_RUNNER
    from runner.web.server import serve

    # A page must not wait for somebody to read its console.
    console = LineWriter("console", to_stderr(), notice=_missing)
    try:
        serve(
            places,
            settings,
            report=lambda line: console.add(shown_line(line, is_coloured=False)),
            until_stdin_ends=bool(os.environ.pop(OF_RUNNER, "")),
        )
    finally:
        console.close()


def _missing(lines: int) -> str:
    return f"{counted(lines, 'line')} missing here: the console was not being read"
