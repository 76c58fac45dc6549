"""Too little memory, or no new thread: every command ends with a clear message."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import pytest
from support.place import Place

from runner.system.shortage import is_shortage

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.sqlite_only("the driver of the database needs more memory"),
]

_COMMANDS = (
    "validate",
    "ls",
    "next",
    "status",
    "exec a",
    "monitor",
    "doctor",
    "plan",
    "explain a",
    "start",
    "init fresh",
)
_FEW, _MANY = 18_000, 9_000
"""How far one limit is from the next, in KiB."""


def _limited(place: Place, command: str, kibibytes: int) -> subprocess.CompletedProcess[str]:
    """Run a command with limited address space; stop a runner that starts nevertheless."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (kibibytes * 1024, kibibytes * 1024))

    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *command.split()],
        env=place.environment | {"MALLOC_ARENA_MAX": "1"},
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    try:
        out, err = process.communicate(timeout=4 if command == "start" else 60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture(scope="module")
def enough(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return the KiB of memory that Python itself and the first imports need."""
    place = Place(tmp_path_factory.mktemp("limits"))
    enough = 8_000
    while _python_fails(place, enough):
        enough += 1_000
    return enough


def _python_fails(place: Place, kibibytes: int) -> bool:
    command = f"ulimit -v {kibibytes}; exec {sys.executable} -c 'import datetime, runner.cli'"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, check=False, env=place.environment
    )
    return done.returncode != 0 or done.stderr != b""


@pytest.mark.parametrize(
    "step", [_FEW, pytest.param(_MANY, marks=pytest.mark.campaign)], ids=["few", "many"]
)
@pytest.mark.parametrize("command", _COMMANDS)
def test_too_little_memory_ends_a_command_with_a_clear_message(
    place: Place, enough: int, command: str, step: int
) -> None:
    place.declare("a", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    short = 0
    for kibibytes in range(enough + 2_000, enough + 70_000, step):
        done = _limited(place, command, kibibytes)
        assert "Traceback" not in done.stderr, (kibibytes, done.stderr)
        if "the system has no more memory" in done.stderr:
            short += 1
            assert done.returncode == 1
            # Python may write a line of its own first and leave it without its end. A thread
            # that meets the shortage, too, may write the name of its error before the exit.
            *_, last = (line for line in done.stderr.splitlines() if line != "MemoryError: ")
            assert "runner: the system has no more memory" in last
    assert short, "none of the limits was too small"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        ImportError("x.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
def test_each_error_that_a_shortage_raises_is_recognised(error: Exception) -> None:
    assert is_shortage(error)
    try:
        try:
            raise error
        except type(error):
            raise KeyError("half imported")  # noqa: B904
    except KeyError as consequence:
        assert is_shortage(consequence)


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("x"), ImportError("no module"), OSError(2, "x"), None]
)
def test_other_errors_are_not_taken_for_a_shortage(error: Exception | None) -> None:
    assert not is_shortage(error)
