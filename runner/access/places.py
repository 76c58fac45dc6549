"""Where a command finds its files: from its options, else the settings file, else the
defaults. Each file is read only on first use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RuleError, RunnerError, UsageError
from runner.requests.settings import NAME
from runner.store.place import URL, StorePlace
from runner.system.regular_files import is_folder

if TYPE_CHECKING:
    from runner.access.fleet_log import FleetLog
    from runner.requests.file_settings import FileSettings


def _ignore(_sentence: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a command finds its files. `jobs` is as the user wrote it; `state` and
    `monitor_log` are absolute.

    The other fields already include what `settings` says of places and zone, unless an
    option takes precedence.
    """

    jobs: Path
    given_state: Path | None
    given_log: Path | None
    given_zone: str | None
    given_url: str | None = field(default=None, repr=False)
    """The URL of the store from the environment."""
    given_store_file: Path | None = None
    """A file with the URL of the store."""
    given_settings: FileSettings | None = None
    """None without a settings file."""
    report: Callable[[str], None] = _ignore
    """Gets a sentence about anything unexpected, such as another zone."""

    @cached_property
    def settings(self) -> FileSettings:
        """The values of the settings file; the defaults without one."""
        # Imported late, like the parser: most commands need none of the values.
        from runner.requests.file_settings import FileSettings

        return self.given_settings or FileSettings()

    @cached_property
    def state(self) -> Path:
        """The state folder: the given one, else the default.

        Computed on first access, so that a command that needs no state folder also runs
        where there is no default. Raises UsageError if there is none.
        """
        return (self.given_state or default_state()).absolute()

    @property
    def has_state(self) -> bool:
        """Whether the state folder exists. False if there is no default for it."""
        try:
            return is_folder(self.state)
        except UsageError:
            return False

    @cached_property
    def store(self) -> StorePlace:
        """Where the store is: in PostgreSQL if a URL is given, else in the state folder.

        Raises UsageError like `state`, and for a file with the URL that cannot be used.
        """
        url = self.given_url
        if url is None and self.given_store_file is not None:
            from runner.access.store_file import url_in

            url = url_in(self.given_store_file)
        return StorePlace(folder=self.state, url=url)

    @property
    def has_store(self) -> bool:
        """Whether there may be a store: in PostgreSQL, or in an existing state folder."""
        return self.is_in_fleet or self.has_state

    @property
    def is_in_fleet(self) -> bool:
        """Whether the store is a fleet's."""
        return self.given_url is not None or self.given_store_file is not None

    @property
    def store_words(self) -> str:
        """The store as the subject of a sentence."""
        if self.store.url is None:
            return f"the state folder {self.state}"
        return f"the store {self.store.words}"

    @cached_property
    def monitor_log(self) -> Path:
        """The monitor log. Raises UsageError like `state` if it lies in the state
        folder by default.
        """
        if self.given_log:
            return self.given_log.absolute()
        logs = os.environ.get("LOGS_DIRECTORY", "").split(":")[0]
        return (Path(logs).absolute() if logs else self.state) / "monitor.jsonl"

    @property
    def log_to_read(self) -> Path:
        """The monitor log for a command that looks: up to date when it is asked for.

        On a machine where no node of the fleet runs, it is a copy of the store's records.
        Raises StoreError.
        """
        return self.fleet_log.up_to_date() if self.fleet_log else self.monitor_log

    def refresh_log(self) -> None:
        """Add to a copy what is new in the store. Raises StoreError."""
        if self.fleet_log:
            self.fleet_log.up_to_date()

    @property
    def followed_log(self) -> Path:
        """The monitor log for a program that keeps it up to date with `refresh_log`."""
        return self.fleet_log.path if self.fleet_log else self.monitor_log

    @property
    def history_folder(self) -> Path:
        """The folder with the history index of `followed_log`."""
        return self.fleet_log.folder if self.fleet_log else self.state

    @cached_property
    def fleet_log(self) -> FleetLog | None:
        """A copy of the fleet's records, where no node runs that has them in its log."""
        is_given = self.given_log is not None and self.given_log.exists()
        if is_given or not self.is_in_fleet:
            return None
        from runner.store.lock import owner_pid

        if owner_pid(self.state) is not None:
            return None
        from runner.access.fleet_log import fleet_log

        return fleet_log(self.store)

    @cached_property
    def zone(self) -> str:
        """The IANA key of the zone that the runner of these places uses; without a
        runner, `own_zone`.

        The first access reads the store, and reports if the two differ.
        """
        if not self.has_store:
            return self.own_zone  # saves `monitor` the import of sqlite3 where there is no store
        from runner.access.runner_zone import zone_of_runner

        return zone_of_runner(self) or self.own_zone

    @cached_property
    def own_zone(self) -> str:
        """The IANA key that a runner started here would use for times without an
        offset.

        It is the given zone, else the system's. Raises UsageError for an unknown zone.
        """
        from runner.system.zone_data import system_zone
        from runner.timing.zones import zone_named

        key = self.given_zone or system_zone()
        try:
            zone_named(key)
        except RunnerError as error:
            source = "" if self.given_zone else "the system's zone (TZ or /etc/localtime): "
            hint = (
                f" ({error.suggestion})"
                if isinstance(error, RuleError) and error.suggestion
                else ""
            )
            raise UsageError(f"{source}{error}{hint}; choose one with --timezone") from None
        return key


def places(
    jobs: Path,
    state: Path | None,
    monitor_log: Path | None,
    timezone: str | None,
    *,
    store_file: Path | None = None,
    is_guarded: bool,
    report: Callable[[str], None] = _ignore,
) -> Places:
    """Fill in the places that were not given, and take the URL of the store out of the
    environment, so that no process inherits it. With `is_guarded`, root refuses a
    settings file that another user may change: the command acts on what it says.
    """
    settings = _settings_beside(jobs, is_guarded=is_guarded)
    return Places(
        jobs=jobs,
        given_state=state or (settings.state if settings else None),
        given_log=monitor_log or (settings.monitor_log if settings else None),
        given_url=os.environ.pop(URL, None) or None,
        given_store_file=store_file or (settings.store_file if settings else None),
        given_zone=timezone or (settings.timezone if settings else None),
        given_settings=settings,
        report=report,
    )


def require_trusted_settings(jobs: Path) -> None:
    """Raise UsageError for root where another user may change the settings file.

    For the option with which a command acts that otherwise looks.
    """
    _settings_beside(jobs, is_guarded=True)


def _settings_beside(jobs: Path, *, is_guarded: bool) -> FileSettings | None:
    """Read the settings file beside the jobs folder; return None without one.

    Then the modules that parse it are not imported. Raises UsageError.
    """
    # Unlike Path.exists, os.access does not raise for a folder that we may not search.
    if not os.access(jobs.absolute().parent / NAME, os.F_OK):
        return None
    from runner.requests.settings_file import settings_beside
    from runner.system.trust import own_trust

    return settings_beside(jobs, own_trust() if is_guarded else None)


def default_state() -> Path:
    """Return systemd's state folder, else the user's according to the XDG base
    directory specification.

    Relative paths in XDG_STATE_HOME and HOME are ignored, as the specification demands.
    Raises UsageError for a user without a home folder.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "runner"
    home = home_folder()
    if home is None:
        raise UsageError(
            f"user {os.geteuid()} has no home folder (neither HOME nor a passwd entry), "
            "so there is no default state folder: give --state, or set RUNNER_STATE"
        )
    return home / ".local" / "state" / "runner"


def home_folder() -> Path | None:
    """Return the user's home folder: HOME, else the passwd entry's. None if neither is absolute."""
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        import pwd

        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except (KeyError, OSError):
            return None
    return Path(home) if home.startswith("/") else None
