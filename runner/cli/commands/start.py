"""`start`: the runner in the foreground."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial

import click

from runner.cli.options import place_options
from runner.cli.places import Places
from runner.errors import UsageError
from runner.system.regular_files import is_folder, is_missing
from runner.values import parse_duration

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
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the console lines.",
)
@place_options
def start_command(
    max_running: int | None,
    drain: timedelta | None,
    allow_shared_jobs: bool,
    log_format: str,
    places: Places,
) -> None:
    """Run the process requests of the jobs folder in the foreground.

    Edits are live within a second. SIGTERM or Ctrl-C stops the runner, which first
    waits up to --drain for running executions; a second signal kills them. SIGHUP
    reloads the folder. SIGUSR1, SIGUSR2 and SIGALRM are ignored. All of this holds from
    the first instant of the start. The console prints one line per event; the monitor
    log has the full records as JSON.

    \b
    Examples:
      runner start
      runner start --jobs /etc/runner/jobs.d --max-running 8
    """
    from loguru import logger

    from runner.cli.output.console import Console
    from runner.service.clock import SystemClock
    from runner.service.loop import Runner
    from runner.service.settings import Settings
    from runner.service.signals import unless_stopped
    from runner.service.systemd import Notifier
    from runner.system import early_signals
    from runner.system.stalls import WATCH

    missing = f"there is no jobs folder {places.jobs}"
    if unless_stopped(partial(is_missing, places.jobs.absolute().parent)):
        raise UsageError(f"{missing}; `runner init` creates one, --jobs names another")
    settings = Settings(
        jobs=places.jobs,
        state=places.state,
        monitor_log=places.monitor_log,
        zone=places.own_zone,
        follows_system_zone=places.given_zone is None,
        max_running=max_running or places.settings.max_running,
        allow_shared_jobs=allow_shared_jobs,
        drain=next(each for each in (drain, places.settings.drain, _DRAIN) if each is not None),
        retention=places.settings.retention,
    )
    console = Console(log_format, places.own_zone)
    WATCH.serve(partial(logger.warning, "{}"), patience_s=settings.drain.total_seconds())
    clock = SystemClock()
    notifier = Notifier.taken_from(os.environ, clock=clock)
    if not unless_stopped(partial(is_folder, places.jobs)):
        logger.warning(
            f"{missing} yet; the runner waits for it "
            "(`runner init` creates one, --jobs names another)"
        )
    if early_signals.is_stop_asked():
        return
    with Runner(settings, clock=clock, observer=console.show, notifier=notifier) as runner:
        console.zone = lambda: runner.zone
        runner.run()
    early_signals.ignore()
