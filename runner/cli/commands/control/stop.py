"""`stop`: the runner ends, with its executions or without them."""

from __future__ import annotations

import time

import click

from runner.access.ownership import meta_of
from runner.access.places import Places
from runner.access.reaching import asked, require_runner
from runner.cli.access.local_node import LocalNode, ask, local_node
from runner.cli.options import place_options
from runner.cli.output.tables import echo
from runner.commands import Command, CommandKind
from runner.errors import RefusedError
from runner.store.opening import owner_of
from runner.store.rows import Wish

_LOOK_EVERY_S = 0.05


@click.command("stop")
@click.option(
    "--leave-running",
    "is_leaving",
    is_flag=True,
    help="Leave the running executions to the next runner, which watches them to their end.",
)
@place_options
def stop_command(is_leaving: bool, places: Places) -> None:
    """Stop the runner, and wait for its end.

    As for SIGTERM, running executions have the time of --drain to end. With
    --leave-running the runner ends at once. The next runner takes over what runs and
    what waits, keeps the guards and goes on with groups and retries. It cannot learn
    the exit code of a process that ended without a runner or outlived one: `runner
    restart` loses none.

    In a fleet, this stops the node of this state folder: the one that leads, a standby, or
    a worker. Where no node runs, it stops the leader, and another node takes over.

    \b
    Examples:
      runner stop
      runner stop --leave-running
    """
    if (node := local_node(places)) is not None:
        _stop_node(node, places, is_leaving=is_leaving)
        return
    require_runner(places)
    owner = owner_of(places.store)
    kind = CommandKind.LEAVE if is_leaving else CommandKind.STOP
    answer = asked(places, Command(kind=kind))
    if not answer.is_done:
        raise RefusedError("; ".join(answer.lines))
    while owner is not None and owner_of(places.store) == owner:
        time.sleep(_LOOK_EVERY_S)
    version = meta_of(places.store).get("version", "")
    echo(f"stopped: runner {version}" + (f", process {owner.pid}" if owner else ""))


def _stop_node(node: LocalNode, places: Places, *, is_leaving: bool) -> None:
    if is_leaving and node.is_worker:
        raise RefusedError("a worker does not leave its executions; `runner drain` ends it gently")
    done = ask(node, Wish.STOP, places)
    echo(f"stopped: {done.name}, process {node.pid}")
