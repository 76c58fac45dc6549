"""`start`: the runner in the foreground."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.commands.control.commands_beside import CommandsBeside
from runner.cli.commands.control.web import require_web
from runner.cli.options import place_options
from runner.errors import UsageError
from runner.requests.settings import NO_JOBS_HINT
from runner.store.place import URL
from runner.system.regular_files import is_folder, is_missing
from runner.values import parse_duration

if TYPE_CHECKING:
    from runner.cli.output.console import Console
    from runner.service.handover import Handover
    from runner.service.runner_settings import Settings

_DRAIN = timedelta(seconds=30)


def _duration(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> timedelta | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


max_running_option = click.option(
    "--max-running",
    envvar="RUNNER_MAX_RUNNING",
    type=click.IntRange(1),
    help="Maximum number of concurrent executions; others wait.  [default: unlimited]",
)


@click.command("start")
@max_running_option
@click.option(
    "--drain",
    callback=_duration,
    help="On SIGTERM, how long to wait for running executions.  [default: 30s]",
)
@click.option(
    "--allow-shared-jobs",
    envvar="RUNNER_ALLOW_SHARED_JOBS",
    is_flag=True,
    help="Start even if another runner serves this jobs folder. Both then fire every request.",
)
@click.option(
    "--web",
    metavar="HOST:PORT",
    is_flag=False,
    flag_value="",
    help="Also serve the page, as `runner web` does; the address may be left out.",
)
@click.option(
    "--no-work",
    envvar="RUNNER_NO_WORK",
    is_flag=True,
    help="In a fleet: execute nothing on this machine.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the console lines.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "success", "warning", "error"]),
    default="info",
    show_default=True,
    help="Hide console lines below this level.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    help="Also write the console lines to this file. It is rotated at 10 MB; five old "
    "files are kept.",
)
@place_options
def start_command(
    max_running: int | None,
    drain: timedelta | None,
    allow_shared_jobs: bool,
    web: str | None,
    no_work: bool,
    log_format: str,
    log_level: str,
    log_file: Path | None,
    places: Places,
) -> None:
    """Run the process requests of the jobs folder in the foreground.

    Edits are live within a second. SIGTERM or Ctrl-C stops the runner, which first
    waits up to --drain for running executions; a second signal kills them. SIGHUP
    reloads the folder. SIGUSR1, SIGUSR2 and SIGALRM are ignored. All of this holds from
    the first instant of the start. The console prints one line per event; the monitor
    log has the full records as JSON.

    With a store in PostgreSQL this machine becomes a node of a fleet. One node leads, the
    others stand by and take over when it fails. Each one also runs a worker (see `runner
    work`), and a stopping leader leaves executions to the workers.

    \b
    Examples:
      runner start
      runner start --jobs /etc/runner/jobs.d --max-running 8
    """
    from runner.service.handover import Handover, replace_program
    from runner.service.runner_settings import Settings
    from runner.service.stop_signals import unless_stopped
    from runner.store.opening import address_of

    if places.store.url is not None:
        address_of(places.store)  # refuses a wrong URL and a missing extra
    handed, environment = Handover.taken_from(os.environ), dict(os.environb)
    if unless_stopped(partial(is_missing, places.jobs.absolute().parent)):
        raise UsageError(_missing(places.jobs, "; "))
    settings = Settings(
        jobs=places.jobs,
        state=places.state,
        url=places.store.url,
        monitor_log=places.monitor_log,
        zone=places.own_zone,
        follows_system_zone=places.given_zone is None,
        max_running=max_running or places.settings.max_running,
        allow_shared_jobs=allow_shared_jobs,
        drain=next(each for each in (drain, places.settings.drain, _DRAIN) if each is not None),
        lost_after=places.settings.lost_after,
        alerts=places.settings.alerts,
        retention=places.settings.retention,
        output_bounds=places.settings.outputs,
        from_file=places.settings,
        page=places.settings.web.url,
    )
    beside = CommandsBeside(
        page=None if web is None else _web_arguments(web, places),
        worker=_work_arguments(places) if _has_worker(places, no_work=no_work) else None,
        drain=settings.drain,
        handed=None if handed is None else handed.worker,
    )
    with _console(log_format, places.own_zone, log_level, log_file) as console:
        handover = _serve(settings, console, handed, beside)
    if handover is not None:
        for name, value in _store_variable(settings.url).items():
            environment[name.encode()] = value.encode()
        replace_program(handover, environment)


def _store_variable(url: str | None) -> dict[str, str]:
    """Return the variable that `places` took out of the environment, for Runner's programs."""
    return {} if url is None else {URL: url}


def _web_arguments(address: str, places: Places) -> tuple[str, ...]:
    """Return the command line of the page. Raises RefusedError without the extra."""
    require_web()
    return ("web", *_place_arguments(places), *([f"--listen={address}"] if address else []))


def _work_arguments(places: Places) -> tuple[str, ...]:
    """Return the command line of the worker, without its name."""
    return ("work", *_place_arguments(places))


def _place_arguments(places: Places) -> Iterator[str]:
    named = {
        "--jobs": places.jobs.absolute(),
        "--state": places.state,
        "--monitor-log": places.monitor_log,
        "--timezone": places.given_zone,
    }
    yield from (f"{option}={value}" for option, value in named.items() if value)


def _has_worker(places: Places, *, no_work: bool) -> bool:
    """Return whether a worker runs beside the runner. Raises UsageError for `--no-work`."""
    if no_work and places.store.url is None:
        raise UsageError(
            "--no-work is for a node of a fleet: with a store in a state folder, the runner"
            " executes everything itself"
        )
    return places.store.url is not None and not no_work


def _console(log_format: str, zone: str, level: str, log_file: Path | None) -> Console:
    """Return the console. Raises RefusedError for a log file that root must not trust."""
    from runner.cli.output.console import Console
    from runner.requests.files.permissions import require_trusted
    from runner.service.stop_signals import unless_stopped

    if log_file is not None:
        unless_stopped(partial(require_trusted, log_file.absolute(), "the log file"))
    return unless_stopped(partial(Console, log_format, zone, level=level, log_file=log_file))


def _serve(
    settings: Settings,
    console: Console,
    handed: Handover | None,
    beside: CommandsBeside,
) -> Handover | None:
    """Run the runner until a signal stops it, or until the installed program replaces it."""
    from loguru import logger

    from runner.service.loop import Runner, running
    from runner.service.stop_signals import unless_stopped
    from runner.service.systemd import Notifier
    from runner.system import early_signals
    from runner.system.address_space import limit_arenas
    from runner.system.clock import SystemClock
    from runner.system.stalls import WATCH

    limit_arenas()

    WATCH.serve(
        partial(logger.warning, "{}"),
        flush=console.close,
        patience_s=settings.drain.total_seconds(),
    )
    clock = SystemClock()
    notifier = Notifier.taken_from(os.environ, clock=clock)
    if not unless_stopped(partial(is_folder, settings.jobs)):
        logger.warning(_missing(settings.jobs, " yet; the runner waits for it (") + ")")
    if handed is None and early_signals.is_stop_asked():
        return None

    def serve(runner: Runner) -> Handover | None:
        console.zone = lambda: runner.zone
        return runner.run()

    with beside.started(clock, _store_variable(settings.url)) as children:
        begin = partial(
            running,
            settings,
            clock,
            observer=console.show,
            notifier=notifier,
            children=children,
        )
        if settings.url is None:
            with begin(handover=handed) as runner:
                handover = serve(runner)
        else:
            from runner.service.leading import Node

            node = Node(
                settings=settings,
                clock=clock,
                notifier=notifier,
                children=children,
                joined=beside.start_worker,
                running=begin,
                serve=serve,
            )
            handover = node.run(handed)
            if handover is not None:
                handover = replace(handover, worker=beside.hand_over_worker())
    if handover is None:
        early_signals.ignore()
    return handover


def _missing(jobs: Path, then: str) -> str:
    return f"there is no jobs folder {jobs}{then}{NO_JOBS_HINT}"
