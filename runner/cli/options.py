"""The options that commands share, and where things are when nobody says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.errors import RuleError, RunnerError, UsageError
from runner.regular_files import is_folder
from runner.requests.settings import NAME, FileSettings

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = TypeVar("Function", bound=Callable[..., Any])

_JOBS = click.option(
    "--jobs",
    envvar="RUNNER_JOBS",
    type=click.Path(readable=False, path_type=Path),
    default=Path("jobs.d"),
    show_default=True,
    show_envvar=True,
    help="The jobs folder.",
)
_STATE = click.option(
    "--state",
    envvar="RUNNER_STATE",
    type=click.Path(readable=False, path_type=Path),
    show_envvar=True,
    help="The state folder.  [default: $STATE_DIRECTORY, else the user's XDG state folder]",
)
_LOG = click.option(
    "--monitor-log",
    envvar="RUNNER_MONITOR_LOG",
    type=click.Path(readable=False, path_type=Path),
    show_envvar=True,
    help="The monitor log.  [default: monitor.jsonl in $LOGS_DIRECTORY, else in the state folder]",
)
_ZONE = click.option(
    "--timezone",
    envvar="RUNNER_TIMEZONE",
    show_envvar=True,
    help="The zone of times without an offset, as Europe/Madrid.  [default: the system's]",
)


def output_option_of(forms: Sequence[str], meaning: str) -> Callable[[Function], Function]:
    """Return the option of a command that can print its answer in several forms, "text" by default."""
    return click.option("--output", "-o", type=click.Choice(forms), default="text", show_default=True, help=meaning)


output_option = output_option_of(("text", "json"), "For a person to read, or JSON lines.")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a command finds things. `jobs` is as the user gave it; `state` and `monitor_log` are absolute.

    What `settings` say of places and of the zone is in the other fields already, if nothing goes before it.
    """

    jobs: Path
    given_state: Path | None
    given_log: Path | None
    given_zone: str | None
    settings: FileSettings = field(default_factory=FileSettings)

    @cached_property
    def state(self) -> Path:
        """The state folder: the given one, else the default.

        Worked out only when it is asked for: a command that needs none runs where there is no default. Raises
        UsageError there.
        """
        return (self.given_state or default_state()).absolute()

    @property
    def has_state(self) -> bool:
        """Whether the state folder is there; not so where nothing names one."""
        try:
            return is_folder(self.state)
        except UsageError:
            return False

    @cached_property
    def monitor_log(self) -> Path:
        """The monitor log. Raises UsageError as `state`, if it is to lie in the state folder."""
        if self.given_log:
            return self.given_log.absolute()
        logs = os.environ.get("LOGS_DIRECTORY", "").split(":")[0]
        return (Path(logs).absolute() if logs else self.state) / "monitor.jsonl"

    @cached_property
    def zone(self) -> str:
        """The IANA key of the zone that the runner of these places goes by; without one, `own_zone`.

        The first access looks into the store, and says so on stderr if the two differ.
        """
        if not self.has_state:
            return self.own_zone  # and `monitor` without a store loads no sqlite3
        from runner.cli.runner_zone import zone_of_runner

        return zone_of_runner(self) or self.own_zone

    @cached_property
    def own_zone(self) -> str:
        """The IANA key for times without an offset that a runner started here would use.

        That is the given one, else the system's. Raises UsageError for a zone that does not exist.
        """
        from runner.timing.zones import zone_named
        from runner.zone_data import system_zone

        key = self.given_zone or system_zone()
        try:
            zone_named(key)
        except RunnerError as error:
            source = "" if self.given_zone else "the system's zone (TZ or /etc/localtime): "
            hint = f" ({error.suggestion})" if isinstance(error, RuleError) and error.suggestion else ""
            raise UsageError(f"{source}{error}{hint}; --timezone names one") from None
        return key


def place_options(function: Function) -> Function:
    """Give a command `--jobs`, `--state`, `--monitor-log` and `--timezone`; they arrive as `places`.

    Root takes no settings that another user may change.
    """
    return _with_places(function, is_guarded=True)


def reading_options(function: Function) -> Function:
    """Give the same options to a command that only reads files: root may run it on those of others, in a pipeline."""
    return _with_places(function, is_guarded=False)


def _with_places(function: Function, *, is_guarded: bool) -> Function:
    def with_places(
        *args: Any, jobs: Path, state: Path | None, monitor_log: Path | None, timezone: str | None, **kwargs: Any
    ) -> Any:
        return function(*args, places=places(jobs, state, monitor_log, timezone, is_guarded=is_guarded), **kwargs)

    with_places.__doc__ = function.__doc__
    with_places.__name__ = function.__name__
    if hasattr(function, "__click_params__"):
        with_places.__click_params__ = function.__click_params__  # type: ignore[attr-defined]
    return _JOBS(_STATE(_LOG(_ZONE(with_places))))  # type: ignore[return-value]


def complete_requests(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of requests in a shell."""
    from runner.cli.completing import request_names

    return request_names(context, incomplete, has_members=False)


def complete_requests_and_members(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the names of requests and of the members of groups in a shell."""
    from runner.cli.completing import request_names

    return request_names(context, incomplete, has_members=True)


def complete_running(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what runs or waits in a shell, by name or id."""
    from runner.cli.completing import running_names

    return running_names(context, incomplete)


def places(
    jobs: Path, state: Path | None, monitor_log: Path | None, timezone: str | None, *, is_guarded: bool = True
) -> Places:
    """Fill in what was not given. With `is_guarded` root takes no settings that another user may change."""
    settings = _settings_beside(jobs, is_guarded=is_guarded)
    return Places(
        jobs=jobs,
        given_state=state or settings.state,
        given_log=monitor_log or settings.monitor_log,
        given_zone=timezone or settings.timezone,
        settings=settings,
    )


def _settings_beside(jobs: Path, *, is_guarded: bool) -> FileSettings:
    """Read the settings file; where there is none, what reads it need not be imported. Raises UsageError."""
    if not os.access(jobs.absolute().parent / NAME, os.F_OK):  # unlike `exists` it takes a folder that is closed to us
        return FileSettings()
    from runner.requests.settings_file import settings_beside
    from runner.requests.trust import own_trust

    return settings_beside(jobs, own_trust() if is_guarded else None)


def default_state() -> Path:
    """Return systemd's state folder, else the user's by the XDG base directory specification.

    A path there that is not absolute does not count, and neither does such a HOME. Raises UsageError for a user
    without a home folder.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "runner"
    home = home_folder()
    if home is None:
        raise UsageError(
            f"user {os.geteuid()} has no home folder (neither HOME nor a passwd entry), so there is no default state "
            f"folder: give --state, or set RUNNER_STATE"
        )
    return home / ".local" / "state" / "runner"


def home_folder() -> Path | None:
    """Return the user's home folder: HOME, else the passwd entry's; None if neither gives an absolute path."""
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        import pwd

        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except (KeyError, OSError):
            return None
    return Path(home) if home.startswith("/") else None
