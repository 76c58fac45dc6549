"""Whatever is in or around a jobs folder: every command ends in time, with a clear
message and a documented exit code.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import pytest
from support.forked_commands import FOREIGN_UID, Case, Commands, Outcome
from support.place import Record, check_log, wait_until
from support.surroundings import LOOK_S, Surrounding, all_commands, complaint_about, goes_on

from runner.cli.group import cli
from runner.store.lock import owner_pid

LONG = ("start", "web", "reload", "kill")
"""The commands that take seconds each time."""

REQUEST = "process: {shell: echo hello, environment_file: ../settings}\n"
DATED = "timing: {schedule: {frequency: daily, at: '02:00', except: dates.txt}}\n"
ERRORS = (
    errno.EACCES,
    errno.EIO,
    errno.ESTALE,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.ENOTCONN,
)
FUNCTIONS = ("stat", "open", "scandir", "lstat")
WITHOUT: list[dict[str, str | None]] = [
    {"stdin": None},
    {"stdout": "/dev/full"},
    {"stderr": None},
    {"stdout": None},
    {"stderr": "/dev/full"},
    {"stdin": "/dev/full"},
]
"""One standard stream that is closed, or is a device that is always full."""
COMMANDS = list(all_commands(cli, ()))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as commands:
        yield commands


@pytest.fixture(scope="module")
def runners() -> Iterator[Commands]:
    """Runs one runner at a time, beside `commands`."""
    with Commands() as commands:
        yield commands


class World:
    """A jobs folder in a repository, with all kinds of files that a command reads, and
    a used state.
    """

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder = folder
        self._commands = commands
        self.repository = folder / "repository"
        self.jobs = self.repository / "jobs.d"
        self.state = folder / "state"
        (self.jobs / "sub").mkdir(parents=True)
        (self.jobs / "a.yaml").write_text(REQUEST + DATED)
        (self.jobs / "dates.txt").write_text("2026-12-25\n")
        (self.jobs / "_defaults.yaml").write_text("owner: ops\n")
        (self.jobs / "sub" / "b.yaml").write_text("process: {request: a}\n")
        (self.jobs / "link.yaml").symlink_to("../elsewhere.yaml")
        (self.repository / "elsewhere.yaml").write_text("process: {shell: 'true'}\n")
        (self.repository / "settings").write_text("A=1\n")
        (self.repository / "runner.yaml").write_text("max_running: 3\n")
        (self.repository / ".git" / "refs" / "heads").mkdir(parents=True)
        (self.repository / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (self.repository / ".git" / "packed-refs").write_text(f"{'a' * 40} refs/heads/main\n")
        (folder / "crontab").write_text("* * * * * true\n")
        self.environment = {
            "RUNNER_JOBS": str(self.jobs),
            "RUNNER_STATE": str(self.state),
            "PATH": os.environ["PATH"],
        }
        assert self.run("exec", "a").code == 0
        (*_, finished) = map(json.loads, (self.state / "monitor.jsonl").read_text().splitlines())
        self.execution = str(finished["execution"])

    def case(self, *arguments: str, **more: object) -> Case:
        usual = {"arguments": arguments, "cwd": str(self.folder), "environment": self.environment}
        bounds = {"term_after_s": LOOK_S} if goes_on(arguments) else {}
        return Case(**{**usual, **bounds, **more})  # type: ignore[arg-type]

    def run(self, *arguments: str, **more: object) -> Outcome:
        return self._commands.run(self.case(*arguments, **more))

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Yield a command line for each command, with meaningful arguments."""
        for path, command in COMMANDS:
            yield (*path, *self._arguments(path, command))

    def _arguments(self, path: tuple[str, ...], command: click.Command) -> list[str]:
        match path[0]:
            case "import":
                return [
                    "crontab",
                    str(self.folder / "crontab"),
                    "-o",
                    str(self.folder / "imported"),
                ]
            case "init":
                return [str(self.folder / "new")]
            case "pause":
                return ["--reason", "a"]
            case "backfill":
                return ["a", "--from", "2026-01-01", "--to", "2026-01-02"]
            case "notify":
                return ["--test", "a"]
            case "token":
                return ["list"]
            case "store":
                return ["migrate"]
            case "web":
                return ["--listen", "127.0.0.1:0"]
            case "log":
                return [self.execution]
            case "help":
                return ["log"]
        arguments = (each for each in command.params if isinstance(each, click.Argument))
        return ["a" for each in arguments if each.required or "NAME" in (each.metavar or "")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="runner-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def world(folder: Path, commands: Commands) -> World:
    return World(folder, commands)


# --- users without a home
# ---------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize(
    "home", [{}, {"HOME": ""}, {"HOME": "relative"}], ids=["none", "empty", "relative"]
)
def test_a_user_without_a_home_folder_is_asked_for_a_state_folder_where_one_is_needed(
    world: World, home: dict[str, str]
) -> None:
    for line in world.lines():
        done = world.run(*line, environment=home, uid=FOREIGN_UID, cwd=str(world.repository))
        assert "Traceback" not in done.text, line
        if line[0] in ("validate", "schema", "help"):
            assert done.code == 0, done.text
        elif line[0] in ("calendar", "notify"):  # they know no place and no receiver "a"
            assert done.code == 2 and "`a`" in done.messages.replace("'", "`"), line
        elif line[0] in ("init", "import"):
            assert "permission denied" in done.text.lower(), line
        else:
            assert (line, done.code) == (line, 2)
            assert "give --state" in done.messages, line


@needs_root
def test_with_a_state_folder_given_no_home_folder_is_needed(world: World) -> None:
    state = world.folder / "given"
    state.mkdir()
    os.chown(state, FOREIGN_UID, FOREIGN_UID)
    done = world.run(
        "exec",
        "a",
        "--jobs",
        str(world.jobs),
        "--state",
        str(state),
        environment={"PATH": "/bin"},
        uid=FOREIGN_UID,
    )
    assert (done.code, done.output) == (0, "hello\n"), done.messages


# --- failing system calls
# ---------------------------------------------------------------------------------


def assert_worded(world: World, line: tuple[str, ...], **more: object) -> Outcome:
    """Run a command and check its exit code and its messages."""
    shutil.rmtree(world.folder / "new", ignore_errors=True)
    shutil.rmtree(world.folder / "imported", ignore_errors=True)
    case = world.case(*line, **more)
    done = world.run(*line, **more)
    wrong = complaint_about(case, done.code, done.text, is_terminated=done.is_terminated)
    assert not wrong, f"{wrong}: {case}\n{done.text}"
    return done


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_command_has_a_message_for_file_system_errors(world: World, function: str) -> None:
    """Each command meets each error once, elsewhere than the command before; the next test
    combines all.
    """
    for number, line in enumerate(world.lines()):
        if line[0] in LONG:
            continue
        for place, folder in enumerate((world.folder, world.repository)):
            error = ERRORS[(number + 2 * FUNCTIONS.index(function) + place) % len(ERRORS)]
            assert_worded(world, line, fail=(error, function, 0), fail_below=str(folder))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.__getitem__)
def test_every_command_has_a_message_for_every_file_system_error(world: World, number: int) -> None:
    for line in world.lines():
        if line[0] not in LONG:
            for function in FUNCTIONS:
                for folder in (world.folder, world.repository):
                    assert_worded(world, line, fail=(number, function, 0), fail_below=str(folder))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.__getitem__)
@pytest.mark.parametrize(
    "index", range(len(COMMANDS)), ids=["-".join(path) for path, _ in COMMANDS]
)
def test_every_command_survives_a_failure_of_each_file_system_call(
    world: World, index: int, number: int
) -> None:
    line = list(world.lines())[index]
    calls = assert_worded(world, line, fail_below=str(world.folder)).calls
    for function, count in calls.items():
        for nth in range(min(count, 8 if line[0] in LONG else 60) + 1):
            assert_worded(world, line, fail=(number, function, nth), fail_below=str(world.folder))


def test_a_command_whose_folder_was_removed_says_so(world: World) -> None:
    (world.folder / "gone").mkdir()
    cwd = str(world.folder / "gone")
    done = world.run(
        "ls", environment={"PATH": "/bin", "HOME": "/nowhere"}, cwd=cwd, is_cwd_removed=True
    )
    assert done.code == 1
    assert (
        done.messages == "runner: the current folder has been removed; change to another one (cd)\n"
    )


def test_every_command_works_without_some_standard_streams(world: World) -> None:
    """Each command lacks two of its streams, one after the other, in another way than the
    command before; the next test combines all.
    """
    for number, line in enumerate(world.lines()):
        if line[0] not in ("start", "web"):
            for turn in (number, number + 3):
                assert_worded(world, line, streams=WITHOUT[turn % len(WITHOUT)])


@pytest.mark.campaign
@pytest.mark.parametrize("streams", WITHOUT, ids=str)
def test_every_command_works_without_a_standard_stream(
    world: World, streams: dict[str, str | None]
) -> None:
    for line in world.lines():
        if line[0] not in ("start", "web"):
            assert_worded(world, line, streams=streams)


def test_names_that_are_not_utf_8_are_printed_with_escapes(world: World) -> None:
    odd = world.folder / "odd\udcff" / "jobs.d"
    odd.mkdir(parents=True)
    (odd / "bad.yaml").write_text("process: {}\n")
    done = world.run("validate", str(odd))
    assert done.code == 1
    assert "odd\\xff" in done.output or "odd\\udcff" in done.output


@needs_root
@pytest.mark.parametrize("option", ["--jobs", "--state", "--monitor-log"])
def test_an_unreadable_place_is_reported_by_the_command_not_as_a_usage_error(
    world: World, option: str
) -> None:
    subprocess.run(["chown", "-R", str(FOREIGN_UID), str(world.folder)], check=True)
    place = {
        "--jobs": world.jobs,
        "--state": world.state,
        "--monitor-log": world.state / "monitor.jsonl",
    }[option]
    place.chmod(0)
    for line in world.lines():
        done = world.run(*line, uid=FOREIGN_UID)
        assert "Invalid value" not in done.text, line
    if option == "--jobs":
        shown = world.run("doctor", uid=FOREIGN_UID).text
        assert f"the jobs folder {world.jobs} cannot be read" in shown
        assert "all valid" not in shown
        assert world.run("monitor", uid=FOREIGN_UID).code == 0
        assert world.run("log", "a", uid=FOREIGN_UID).text.split() == ["hello"]
    if option == "--state":
        shown = world.run("doctor", uid=FOREIGN_UID).text
        assert "no runner is running" not in shown, "that is unknown"
        assert "cannot be read" in shown


# --- a runner that continues
# ------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("which", ["jobs.d", "its parent", ".git", "a file"])
def test_a_runner_survives_an_unreadable_folder_and_reads_it_once_it_is_readable(
    world: World, runners: Commands, which: str
) -> None:
    subprocess.run(["chown", "-R", str(FOREIGN_UID), str(world.folder)], check=True)
    closed = {
        "jobs.d": world.jobs,
        "its parent": world.repository,
        ".git": world.repository / ".git",
        "a file": world.jobs / "a.yaml",
    }[which]
    log = world.state / "monitor.jsonl"
    (world.jobs / "tick.yaml").write_text(
        "process: {shell: 'true'}\ntiming: {schedule: {frequency: secondly}}\n"
    )

    def events(event: str) -> list[Record]:
        whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [record for record in map(json.loads, whole) if record["event"] == event]

    def is_added(name: str) -> bool:
        return any(name in (record["added"] or ()) for record in events("runner.reloaded"))

    def ticks_on() -> None:
        seen = len(events("execution.finished"))
        wait_until(lambda: len(events("execution.finished")) > seen, what="executions go on")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runners.run, world.case("start", uid=FOREIGN_UID, term_after_s=120.0))
        wait_until(lambda: events("runner.started"))
        pid = owner_pid(world.state)
        assert pid
        try:
            ticks_on()
            before = closed.stat().st_mode
            for mode in (0o000, 0o444, 0o111):
                closed.chmod(mode)
                ticks_on()
                closed.chmod(before)
                new = f"new-{mode}"
                (world.jobs / f"{new}.yaml").write_text("process: {shell: 'true'}\n")
                wait_until(partial(is_added, new), what=f"{new} is read")
            assert not running.done()
        finally:
            os.kill(pid, signal.SIGTERM)
            done = running.result()
            print(done.text)
    assert done.code == 0
    assert "Traceback" not in done.text
    check_log(log)


@needs_root
def test_a_folder_without_search_permission_is_reported_as_such(
    world: World, runners: Commands
) -> None:
    places = {name: world.folder / name / name for name in ("state", "log", "jobs")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    (places["jobs"] / "tick.yaml").write_text(
        "process: {shell: 'true'}\ntiming: {schedule: {frequency: secondly}}\n"
    )
    subprocess.run(["chown", "-R", str(FOREIGN_UID), str(world.folder)], check=True)
    log, console = places["log"] / "monitor.jsonl", world.folder / "console"
    places |= {"log": log}
    options = (("--jobs", "jobs"), ("--state", "state"), ("--monitor-log", "log"))
    line = [word for option, name in options for word in (option, str(places[name]))]
    expected = {
        "state": f"store.sqlite3 cannot be reached: permission denied; the runner's user may not"
        f" enter {places['state'].parent}",
        "log": f"the monitor log {log} cannot be written: Permission denied",
        "jobs": "the jobs folder cannot be read: permission denied; all requests are kept",
    }

    def is_shown(words: str) -> bool:
        return words in console.read_text()

    def is_longer(than: int) -> bool:
        return log.stat().st_size > than

    with ThreadPoolExecutor(1) as pool:
        case = world.case(
            "start",
            *line,
            uid=FOREIGN_UID,
            term_after_s=120.0,
            streams={"stdout": str(console), "stderr": str(console)},
        )
        console.touch()
        console.chmod(0o666)
        running = pool.submit(runners.run, case)
        wait_until(lambda: log.exists() and "runner.started" in log.read_text())
        pid = owner_pid(places["state"])
        assert pid
        try:
            for name, words in expected.items():
                folder = places[name].parent
                folder.chmod(0)
                wait_until(partial(is_shown, words), what=words)
                folder.chmod(0o755)
                wait_until(partial(is_longer, log.stat().st_size), what="it goes on")
        finally:
            os.kill(pid, signal.SIGTERM)
            done = running.result()
    assert done.code == 0, console.read_text()
    assert "removed or replaced" not in console.read_text()
    check_log(log)


# --- everything at once
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def used_state(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A state folder after an execution."""
    return World(tmp_path_factory.mktemp("used"), commands).state


def wander(seeds: range, folder: Path, used_state: Path, commands: Commands) -> None:
    """Run every command in the random surroundings of each seed."""
    found = []
    for seed in seeds:
        surrounding = Surrounding(folder / str(seed), random.Random(seed))
        surrounding.build(used_state)
        for case in surrounding.cases():
            done = commands.run(case)
            if wrong := complaint_about(
                case, done.code, done.text, is_terminated=done.is_terminated
            ):
                found.append(f"seed {seed}: {wrong}: {case}\n{done.text[-3000:]}")
        subprocess.run(
            ["chmod", "-R", "u+rwx", surrounding.folder], check=False, capture_output=True
        )
        shutil.rmtree(surrounding.folder, ignore_errors=True)
    assert not found, "\n\n".join(found)


@needs_root
def test_commands_in_random_surroundings_end_with_a_clear_message(
    folder: Path, used_state: Path, commands: Commands
) -> None:
    wander(range(8), folder, used_state, commands)


@needs_root
@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_commands_in_many_random_surroundings_end_with_a_clear_message(
    folder: Path, used_state: Path, commands: Commands
) -> None:
    first = random.SystemRandom().randrange(1 << 30)
    wander(
        range(first, first + int(os.environ.get("SURROUNDINGS", "300"))),
        folder,
        used_state,
        commands,
    )
