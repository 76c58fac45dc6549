"""`work` and `drain`: a worker of a fleet, and the end of its taking. Need the extra `fleet`."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.options import complete_workers, place_options
from runner.cli.output.tables import echo
from runner.errors import RefusedError
from runner.store.place import URL

if TYPE_CHECKING:
    from runner.worker.settings import WorkerSettings

_DRAIN = timedelta(seconds=30)
_NO_FLEET = (
    "this store is a SQLite file, whose runner runs everything itself; "
    "workers need a store in PostgreSQL (`runner help operating`)"
)


@click.command("work")
@click.option(
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    help="Serve this queue; may be repeated.  [default: default]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    help="Maximum number of executions at a time.  [default: the number of CPUs]",
)
@click.option("--name", help="Name of this worker.  [default: the host's name]")
@click.option(
    "--allow-user",
    "allowed_users",
    metavar="NAME",
    multiple=True,
    help="Run nothing as another user than this one; may be repeated.  [default: any user]",
)
@place_options
def work_command(
    queues: tuple[str, ...],
    concurrency: int | None,
    name: str | None,
    allowed_users: tuple[str, ...],
    places: Places,
) -> None:
    """Run executions of a fleet on this machine.

    The leader of the fleet decides what runs. A worker takes it from the store in
    PostgreSQL, runs it here, and reports. Paths inside the jobs folder are found in this
    machine's own copy of it. SIGTERM or Ctrl-C takes nothing more and waits for running
    executions as `runner start` does; a second signal kills them.

    \b
    Examples:
      runner work
      runner work --queue reports --queue default --concurrency 4
      runner work --name db-1 --queue database --allow-user postgres
    """
    from runner.service.handover import Handover, replace_program

    handed, environment = Handover.taken_from(os.environ), dict(os.environb)
    settings = _settings(places, queues, concurrency, name, allowed_users)
    from runner.cli.output.console import Console
    from runner.service.systemd import Notifier
    from runner.system.address_space import limit_arenas
    from runner.system.clock import SystemClock
    from runner.worker.loop import running

    limit_arenas()
    clock = SystemClock()
    notifier = Notifier.taken_from(os.environ, clock=clock)
    with (
        Console("text", places.own_zone),
        running(settings, clock, notifier, handover=handed) as worker,
    ):
        handover = worker.run()
    if handover is not None:
        variables = {URL: settings.url}
        command = None
        if (successor := worker.successor) is not None:
            variables |= successor.variables
            command = successor.command
        for name, value in variables.items():
            environment[os.fsencode(name)] = os.fsencode(value)
        replace_program(handover, environment, command)


@click.command("drain")
@click.argument("node", metavar="NODE", shell_complete=complete_workers)
@place_options
def drain_command(node: str, places: Places) -> None:
    """Let a worker finish what it runs and take nothing new.

    NODE is the worker's name, as `runner status` shows it. The worker stays registered and
    idle; when it starts again, it takes executions again.

    \b
    Example:
      runner drain db-1
    """
    url = _url(places)
    from runner.worker.drain_request import drain

    echo(drain(url, node))


def _settings(
    places: Places,
    queues: tuple[str, ...],
    concurrency: int | None,
    name: str | None,
    allowed_users: tuple[str, ...],
) -> WorkerSettings:
    url = _url(places)
    from runner.service.beside.child_command import DRAIN_S, OF_RUNNER
    from runner.worker.settings import DEFAULT_QUEUE, WorkerSettings

    drain = _DRAIN if places.settings.drain is None else places.settings.drain
    return WorkerSettings(
        url=url,
        state=places.state,
        jobs=places.jobs.absolute(),
        name=name,
        queues=queues or (DEFAULT_QUEUE,),
        concurrency=concurrency or os.cpu_count() or 1,
        allowed_users=frozenset(allowed_users),
        drain=timedelta(seconds=float(os.environ.pop(DRAIN_S, drain.total_seconds()))),
        drains_with_stdin=bool(os.environ.pop(OF_RUNNER, "")),
    )


def _url(places: Places) -> str:
    """Return the URL of the fleet's store. Raises RefusedError without one, or the extra."""
    from runner.installation import missing_extra, present_extras

    if places.store.url is None:
        raise RefusedError(_NO_FLEET)
    if "fleet" not in present_extras():
        raise RefusedError(f"a fleet needs more libraries: {missing_extra('fleet')}")
    return places.store.url
