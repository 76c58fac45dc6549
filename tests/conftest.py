"""Fixtures that tests of all kinds share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.cookbook import Kitchen, recipes
from support.place import Place, check_log, patience, wait_until
from support.postgres import (  # noqa: F401 - fixtures
    database_url,
    empty_database_url,
    own_postgres,
    postgres,
)

# The tests must not depend on the process that starts them. `nohup` and background
# shells ignore signals, and a variable of Runner or git would reach every program that
# a test starts.
for number in signal.valid_signals() - {
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGKILL,
    signal.SIGSTOP,
}:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(
            number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        )
signal.pthread_sigmask(signal.SIG_SETMASK, ())
_OTHERS = ("RUNNER_", "GIT_", "XDG_", "NOTIFY_", "WATCHDOG_", "LC_", "CLICOLOR")
_NAMES = {"STATE_DIRECTORY", "LOGS_DIRECTORY", "LANGUAGE", "COLUMNS", "LINES", "FORCE_COLOR", "TZ"}
_OF_TESTS = {"RUNNER_CRASH_DEATHS", "RUNNER_CRASH_SEED", "RUNNER_EXAMPLES", "RUNNER_SEED"} | {
    "RUNNER_FAULTS",
    "RUNNER_FAULTS_SEED",
    "RUNNER_REQUIRE_BROWSER",
}
"""What sizes and seeds the campaigns, and what must not be skipped. No program reads it."""
for name in [
    name for name in os.environ.keys() - _OF_TESTS if name.startswith(_OTHERS) or name in _NAMES
]:
    del os.environ[name]
os.environ["LANG"] = "C.UTF-8"
time.tzset()

# Tests start hundreds of commands. Let them compile the program once, as an
# installation does, even if the environment forbids it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

os.umask(0o022)  # as root, Runner refuses world-writable files

# A machine may be slow; the benchmarks measure speed.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeating", settings.get_profile("searching"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Take the same examples each time, so that a change is judged by itself; campaigns
    search for new ones.
    """
    if config.getoption("--store") == "postgres":
        patience.factor = 3.0
    settings.load_profile(
        "searching" if config.getoption("markexpr") == "campaign" else "repeating"
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs the tests of commands over a store in PostgreSQL."""
    parser.addoption(
        "--store", choices=["sqlite", "postgres"], default="sqlite", help="the store of `place`"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over PostgreSQL run only what has a store: all others are the same as over SQLite."""
    if config.getoption("--store") == "postgres":
        others = [each for each in items if "place" not in getattr(each, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [each for each in items if each not in set(others)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test over PostgreSQL whose promise differs there by the contract of the fleet."""
    marker = item.get_closest_marker("sqlite_only")
    if marker is not None and item.config.getoption("--store") == "postgres":
        pytest.skip(marker.args[0])


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all tests no process of theirs is there, and no state folder in the user's
    home that was not before.
    """
    state = Path(os.path.expanduser("~")) / ".local" / "state" / "runner"  # noqa: PTH111 - a user may have no home
    was_there = state.exists()
    yield
    base = f"{tmp_path_factory.getbasetemp()}/"
    left: dict[str, bytes] = {}

    def is_nothing_left() -> bool:
        nonlocal left
        left = _processes_in(base)
        return not left

    try:
        wait_until(is_nothing_left, within_s=50)
    except AssertionError:
        raise AssertionError(f"processes are left: {left}") from None
    assert state.exists() == was_there, f"{state} is no place for a test"


def _processes_in(folder: str) -> dict[str, bytes]:
    """Return the command lines of the living processes whose environment names a folder, or
    that work in it, by pid (Linux).
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_inside = str((process / "cwd").readlink()).startswith(folder)
            if is_inside or folder.encode() in (process / "environ").read_bytes():
                found[process.name] = (process / "cmdline").read_bytes()
    return found


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A fresh jobs folder; afterwards its runners are ended and its monitor log is checked."""
    made = Place(tmp_path)
    if request.config.getoption("--store") == "postgres":
        made.environment["RUNNER_STORE"] = request.getfixturevalue("database_url")
    yield made
    (tmp_path / "go").touch()  # open `GATE`, so that a failed test leaves no waiting process
    for timeout_s in (3, 45):  # the second signal ends what the first one waits for
        for process in made.running:
            if process.poll() is None:
                process.terminate()
        for process in made.running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=timeout_s)
    for process in made.running:
        if process.poll() is None:
            process.kill()
            process.wait()
            raise AssertionError(f"two signals did not end {process.args!r}")
    check_log(made.log)


@pytest.fixture
def kitchen(place: Place, request: pytest.FixtureRequest) -> Kitchen:
    """Provide a folder with the files of the recipe that the test tries."""
    return Kitchen(place, recipes()[request.param])
