"""Processes from spawn to exit.

All are real; only the clock of some deadlines is simulated.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.misbehaving import CHAIN
from support.process_world import BOUND_S, PATH, World, descriptors, everybodys_folder, is_dead

from runner.execution.child.program import SpawnError
from runner.execution.deadlines import Deadlines
from runner.execution.trees import proc
from runner.execution.trees.watched import Exit, own_peak
from runner.lifecycle import Reason
from runner.system import own_children
from runner.values import new_id

_GLIBC_SIGNALS = 0b11 << 31  # 32 and 33: its own, which its posix_spawn ignores in every child
_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def _is_gone(pid: int) -> bool:
    """Return whether a process is neither alive nor a zombie."""
    return proc.stat_of(pid) is None


def _write_program(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


# How it ended


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_an_exit_code_is_reported(world: World, code: int) -> None:
    ended = world.exit(world.shell(f"exit {code}"))
    assert (ended.exit_code, ended.signal, ended.stopped_for) == (code, None, None)


def test_a_death_by_signal_has_no_exit_code(world: World) -> None:
    ended = world.exit(world.shell("kill -SEGV $$"))
    assert (ended.exit_code, ended.signal, ended.stopped_for) == (None, signal.SIGSEGV, None)


def test_cpu_time_is_that_of_the_process_and_its_children(world: World) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    ended = world.exit(world.spawn("/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, burn))
    assert ended.cpu_s is not None
    assert 0.2 <= ended.cpu_s < 20


def test_peak_memory_above_the_runners_own_is_reported(world: World) -> None:
    size = own_peak() + 200_000_000  # earlier tests in this process may have used much memory
    ended, _ = world.run(sys.executable, "-c", f"b'x' * {size}")
    assert ended.max_rss_bytes is not None
    assert size <= ended.max_rss_bytes < size + 100_000_000


def test_peak_memory_below_the_runners_own_is_sampled_or_unknown(world: World) -> None:
    assert world.run("/bin/true")[0].max_rss_bytes is None
    sampled = world.shell(
        "echo 1; sleep 60; :"
    )  # the shell stays: a process that has just called exec uses little memory for a moment
    world.reported(sampled)
    world.processes.enforce(time.monotonic() + 10)
    world.processes.kill(sampled, Reason.KILLED_BY_USER)
    peak = world.exit(sampled).max_rss_bytes
    assert peak is not None
    assert 100_000 < peak < 8_000_000


def test_the_start_time_equals_that_of_proc(world: World) -> None:
    for _ in range(50):
        started = world.started[world.spawn("/bin/sleep", "60")]
        reported = proc.stat_of(started.pid)
        assert reported is not None
        assert reported.started == started.pid_started


# What it is given


def test_both_streams_go_to_one_private_file_byte_for_byte(world: World) -> None:
    name = world.shell(r"printf '\377\200 out\n'; printf 'err\n' >&2; printf 'no end'")
    world.exit(name)
    assert world.output_file(name).read_bytes() == b"\xff\x80 out\nerr\nno end"
    assert stat.S_IMODE(world.output_file(name).stat().st_mode) == 0o600


def test_a_process_that_closes_its_output_is_watched_to_its_end(world: World) -> None:
    ended = world.exit(world.shell("exec >&- 2>&-; exit 5"))
    assert ended.exit_code == 5


def test_the_environment_is_exactly_the_given_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_CHILDREN", "1")
    given = {"A": "1", "EMPTY": "", "UNICODE": "ñ€", "LINES": "a\nb"}
    _, output = world.run("/usr/bin/env", "-0", environment=given)
    assert dict(entry.split("=", 1) for entry in output.split("\0")[:-1]) == given


def test_the_directory_is_that_of_the_launch_and_the_runners_stays(world: World) -> None:
    before = Path.cwd()
    (world.folder / "below").mkdir()
    _, output = world.run("/bin/pwd", directory=world.folder / "below")
    assert output == f"{world.folder / 'below'}\n"
    assert Path.cwd() == before


def test_stdin_is_empty(world: World) -> None:
    ended, output = world.run("/bin/sh", "-c", "cat; readlink /proc/self/fd/0")
    assert (ended.exit_code, output) == (0, "/dev/null\n")


def test_each_process_leads_its_own_session(world: World) -> None:
    pid = world.started[world.spawn("/bin/sleep", "60")].pid
    assert os.getsid(pid) == os.getpgid(pid) == pid != os.getsid(0)


def test_processes_inherit_no_descriptor_of_the_runner(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    world = World(tmp_path)
    _, output = world.run("/bin/ls", "/proc/self/fd")
    assert output.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls lists
    world.close()
    os.close(reading)
    os.close(writing)


def test_signals_that_the_runner_ignores_or_blocks_reach_the_process(world: World) -> None:
    ignored = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGUSR1)
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    try:
        _, output = world.run("/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in ignored.items():
            signal.signal(number, handler)
    fields = output.split()
    assert (int(fields[1], 16), int(fields[3], 16) & ~_GLIBC_SIGNALS) == (0, 0)


def test_an_ignored_sigchld_loses_no_exit_code(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        world = World(tmp_path)
        assert world.exit(world.shell("exit 3")).exit_code == 3
        world.close()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_program_is_found_in_its_own_path_variable_or_its_directory(world: World) -> None:
    tools = world.folder / "tools"
    tools.mkdir()
    _write_program(tools / "tool", "#!/bin/sh\necho found\n")
    (tools / "sub" / "tool").mkdir(parents=True)
    assert (
        world.run("tool", environment={"PATH": f"/nonexistent:{tools}/sub:{tools}"})[1] == "found\n"
    )
    assert world.run("./tool", directory=tools)[1] == "found\n"
    assert world.run("tool", directory=tools, environment={"PATH": ":/bin"})[1] == "found\n"
    assert world.run("true", environment={})[0].exit_code == 0


# Why it did not start


def _refused(world: World, *arguments: str, **options: Any) -> str:
    """Return the text of the SpawnError, after checking that nothing else changed."""
    before, opened = Path.cwd(), descriptors()
    with pytest.raises(SpawnError) as caught:
        world.spawn(*arguments, **options)
    assert Path.cwd() == before
    assert descriptors() == opened
    assert world.processes.next_deadline_s() is None
    return str(caught.value)


def test_a_missing_program_is_reported_with_the_searched_path(world: World) -> None:
    assert _refused(world, "pg_dumpp") == f"program 'pg_dumpp' is not in PATH ({PATH})"
    assert _refused(world, "/opt/none/tool") == "program '/opt/none/tool' does not exist"
    assert (
        _refused(world, "./tool")
        == f"program './tool' does not exist in directory '{world.folder}'"
    )
    assert _refused(world, "") == "the name of the program is empty"


def test_an_inaccessible_directory_is_reported_as_such(world: World) -> None:
    assert _refused(world, "true", directory="/x/y") == "directory '/x/y' does not exist"
    assert (
        _refused(world, "true", directory="/etc/passwd")
        == "directory '/etc/passwd' is not a directory"
    )
    assert _refused(world, "true", directory="/a\0b").startswith(
        "directory '/a\\x00b' contains a character"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else for a moment")
def test_a_denied_permission_is_reported_as_such() -> None:
    with everybodys_folder() as folder:
        _check_denied_permissions(World(folder))


def _check_denied_permissions(world: World) -> None:
    private = world.folder / "private"
    private.mkdir(mode=0o700)
    secret = _write_program(world.folder / "secret", "#!/bin/sh\n", mode=0o700)
    os.seteuid(65534)
    try:
        assert (
            _refused(world, "true", directory=private)
            == f"no permission to enter directory '{private}'"
        )
        assert _refused(world, str(secret)) == f"no permission to execute program '{secret}'"
    finally:
        os.seteuid(0)
        world.close()


def test_a_file_that_is_not_executable_is_reported_as_such(world: World) -> None:
    script = _write_program(world.folder / "script", "#!/bin/sh\n", mode=0o644)
    assert _refused(world, str(script)) == f"program '{script}' is not executable (chmod +x)"
    wanted = f"program './script' is not executable in directory '{world.folder}' (chmod +x)"
    assert _refused(world, "./script") == wanted
    (world.folder / "un-executable").symlink_to(script)
    assert _refused(world, "un-executable", environment={"PATH": f"{world.folder}:/bin"}) == (
        f"program '{world.folder}/un-executable' is not executable (chmod +x)"
    )
    assert _refused(world, str(world.folder)) == f"program '{world.folder}' is a directory"


def test_a_script_without_its_interpreter_names_it(world: World) -> None:
    script = _write_program(world.folder / "script", "#! /usr/bin/python9 -u\n")
    assert _refused(world, str(script)) == (
        f"program '{script}' needs the interpreter '/usr/bin/python9', which does not exist"
    )
    _write_program(script, "#!/bin/sh\r\n")
    assert "'/bin/sh\\r', which does not exist" in _refused(world, str(script))


def test_a_file_that_is_no_program_is_reported_as_such(world: World) -> None:
    script = _write_program(world.folder / "script", "echo no interpreter\n")
    assert _refused(world, str(script)) == (
        f"program '{script}' is neither a binary of this machine nor a script that begins with #!"
    )


def test_an_argument_that_no_program_can_receive_is_named_without_its_value(world: World) -> None:
    assert _refused(world, "true", "a", "s3cret\0").startswith("argument 2 contains a NUL")
    assert _refused(world, "true", "\ud800").startswith("argument 1 contains")
    assert _refused(world, "true", environment={"TOKEN": "s3cret\0"}).startswith(
        "environment variable TOKEN contains"
    )
    assert (
        _refused(world, "true", environment={"A=B": "c"})
        == "'A=B' is not a valid name for an environment variable"
    )
    assert _refused(world, "true", "x" * 200_000).startswith(
        "the arguments (200006 bytes) or the environment ("
    )


def test_an_unwritable_output_is_reported_as_such(world: World) -> None:
    (world.folder / "outputs").write_text("a file in the way")
    assert "Not a directory" in _refused(world, "true") or "File exists" in _refused(world, "true")


# Stopping


def test_stop_signals_the_whole_tree_and_keeps_the_first_reason(world: World) -> None:
    name = world.shell("trap 'exit 9' TERM; echo $$; while :; do sleep 0.01; done")
    world.reported(name)
    world.stop(name, Reason.REPLACED)
    world.stop(name, Reason.KILLED_BY_USER)
    world.processes.kill(name, Reason.RUNNER_STOPPED)
    assert world.exit(name).stopped_for is Reason.REPLACED


def test_a_process_that_handles_the_stop_signal_ends_with_its_own_exit_code(world: World) -> None:
    name = world.shell("trap 'exit 9' TERM; echo $$; while :; do sleep 0.01; done")
    world.reported(name)
    world.stop(name)
    ended = world.exit(name)
    assert (ended.exit_code, ended.signal, ended.stopped_for) == (9, None, Reason.KILLED_BY_USER)


def test_a_process_that_ignores_the_stop_signal_is_killed_after_the_grace(world: World) -> None:
    name = world.shell("trap '' TERM; echo $$; while :; do sleep 0.01; done", stop_grace_s=0.3)
    world.reported(name)
    began_s = time.monotonic()
    world.stop(name)
    ended = world.exit(name)
    assert (ended.exit_code, ended.signal, ended.stopped_for) == (
        None,
        signal.SIGKILL,
        Reason.KILLED_BY_USER,
    )
    assert time.monotonic() - began_s >= 0.3


def test_a_timeout_stops_and_then_kills(world: World) -> None:
    gentle = world.spawn("/bin/sleep", "60", timeout_s=0.1)
    assert (world.exit(gentle).signal, world.exit(gentle).stopped_for) == (
        signal.SIGTERM,
        Reason.TIMEOUT,
    )
    deaf = world.shell(
        "trap '' TERM; echo $$; while :; do sleep 0.01; done", timeout_s=3600.0, stop_grace_s=0.1
    )
    world.reported(deaf)
    world.processes.enforce(time.monotonic() + 3600)
    world.processes.enforce(time.monotonic() + 3601)
    assert (world.exit(deaf).signal, world.exit(deaf).stopped_for) == (
        signal.SIGKILL,
        Reason.TIMEOUT,
    )


def test_a_process_that_ended_by_itself_was_not_stopped(world: World) -> None:
    name = world.spawn("/bin/true", timeout_s=50.0)
    select.select(
        [world.executor.descriptor], [], [], BOUND_S
    )  # it has ended, and nobody has looked
    world.stop(name)
    world.processes.enforce(time.monotonic() + 100)
    world.processes.kill(name, Reason.KILLED_BY_USER)
    ended = world.exit(name)
    assert (ended.exit_code, ended.stopped_for) == (0, None)
    world.stop(name)
    world.processes.kill(name, Reason.KILLED_BY_USER)


_FAMILY = textwrap.dedent("""
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reported, tell = os.pipe()
    def live(*, twice=False, alone=False, bare=False):
        if os.fork() == 0:
            if alone: os.setsid()
            if twice and os.fork(): os._exit(0)
            print(os.getpid(), flush=True)
            os.write(tell, b".")
            if bare: os.execve("/bin/sleep", ["sleep", "60"], {})
            time.sleep(60)
            os._exit(0)
    live()
    live(alone=True)
    live(twice=True)
    live(twice=True, alone=True)
    live(twice=True, alone=True, bare=True)
    for _ in range(5): os.read(reported, 1)  # each has reported its pid, so it may be killed
    if "stay" in sys.argv: time.sleep(60)
""")


def test_kill_reaches_the_whole_tree_with_sessions_of_their_own_and_double_forks(
    world: World,
) -> None:
    name = world.spawn(sys.executable, "-c", _FAMILY, "stay")
    family = world.reported(name, 5)
    world.processes.kill(name, Reason.KILLED_BY_USER)
    assert world.exit(name).signal == signal.SIGKILL
    world.until(lambda: all(map(_is_gone, family)), "no member left, not even as a zombie")


def test_the_stop_signal_reaches_processes_that_left_the_session(world: World) -> None:
    child = "trap 'echo 7; exit' TERM; echo 1; while :; do sleep 0.01; done"
    name = world.spawn("/bin/sh", "-c", 'trap : TERM; setsid -w sh -c "$0"; exit 3', child)
    world.reported(name)
    world.stop(name)
    ended = world.exit(name)
    assert (ended.exit_code, ended.stopped_for) == (3, Reason.KILLED_BY_USER)
    assert "7" in world.output(name).split()


def test_orphans_do_not_outlive_their_execution(world: World) -> None:
    name = world.spawn(sys.executable, "-c", _FAMILY)
    assert world.exit(name).exit_code == 0
    family = world.reported(name, 5)
    world.until(lambda: all(map(_is_gone, family)), "no member left, not even as a zombie")
    world.until(lambda: world.processes.next_deadline_s() is None, "nothing left to do")


def test_orphans_that_keep_forking_are_killed_while_an_older_execution_runs(
    world: World,
) -> None:
    world.spawn("/bin/sleep", "60")
    others = set(proc.children_of(os.getpid()))  # also orphans of earlier tests
    for _ in range(20):
        world.exit(world.spawn(sys.executable, "-c", f"{CHAIN}\nopen('ended by itself', 'x')"))
        world.until(
            lambda: others.issuperset(proc.children_of(os.getpid())), "the end of the chain"
        )
        assert not (world.folder / "ended by itself").exists()


_RELAY = '#!/bin/sh\n[ -e end ] || setsid "$0" &\n'
_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from support.process_world import World
from runner.execution import proc
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
world = World(folder)
world.spawn("/bin/sleep", "600")
for _ in range(20):
    world.exit(world.spawn(str(folder / "relay")))
    world.until(lambda: len(proc.children_of(os.getpid())) == 1, "the end of the relay")
world.close()
"""


# On a busy machine, one in some hundred chains still escapes, because it looks foreign
@pytest.mark.campaign
def test_a_runner_without_privileges_kills_orphans_that_keep_forking() -> None:
    """/proc shows a process that is about to end as root's, so others cannot inspect it."""
    with everybodys_folder() as folder:
        _write_program(folder / "relay", _RELAY)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _UNPRIVILEGED, folder],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            (folder / "end").touch()
    assert done.returncode == 0, done.stderr


def test_orphans_of_one_execution_do_not_affect_children_of_another(world: World) -> None:
    leave = "setsid sh -c 'echo $$; exec sleep 60' &"
    stays = world.shell(f"{leave} exec sleep 60")
    goes = world.shell(f"{leave} until test -e go; do sleep 0.01; done")
    (kept,), (left,) = world.reported(stays), world.reported(goes)
    (world.folder / "go").touch()
    world.exit(goes)
    world.until(lambda: _is_gone(left), "the end of the orphan")
    assert not is_dead(kept)
    assert stays not in world.exits


def test_orphans_that_end_while_their_execution_runs_do_not_stay_zombies(world: World) -> None:
    name = world.shell("(setsid sh -c 'echo $$' &); exec sleep 60")
    (orphan,) = world.reported(name)
    world.until(lambda: _is_gone(orphan), "the reaping of the orphan")
    assert name not in world.exits


def test_a_registered_child_of_another_module_is_not_reaped(world: World) -> None:
    with subprocess.Popen(["/bin/sh", "-c", "exit 4"]) as other:
        own_children.register(other.pid)
        os.waitid(
            os.P_PID, other.pid, os.WEXITED | os.WNOWAIT
        )  # it has ended, and nobody has reaped it
        world.exit(world.spawn("/bin/true"))
        world.until(lambda: world.processes.next_deadline_s() is None, "the sweep")
    own_children.forget(other.pid)
    assert other.returncode == 4


# Many


def test_two_hundred_simultaneous_processes_are_all_reaped(world: World) -> None:
    before = len(descriptors())
    names = [world.shell(f"echo {n}; exit {n % 256}", timeout_s=600.0) for n in range(200)]
    for number, name in enumerate(names):
        assert world.exit(name).exit_code == number % 256
        assert world.output(name) == f"{number}\n"
    world.until(lambda: world.processes.next_deadline_s() is None, "the last sweep")
    assert len(descriptors()) == before
    assert not [
        pid
        for pid in proc.children_of(os.getpid())
        if pid in {each.pid for each in world.started.values()}
    ]


def test_a_hundred_processes_are_stopped_together(world: World) -> None:
    names = [world.shell("sleep 60") for _ in range(100)]
    began_s = time.monotonic()
    for name in names:
        world.stop(name, Reason.RUNNER_STOPPED)
    assert time.monotonic() - began_s < BOUND_S
    assert {world.exit(name).stopped_for for name in names} == {Reason.RUNNER_STOPPED}


# After the runner has died


def test_a_former_process_is_watched_to_its_end(world: World) -> None:
    execution, started = world.orphaned(
        "/bin/sh", "-c", f"while ! test -e {world.folder}/end; do sleep 0.01; done"
    )
    assert world.adopt(execution, pid=started.pid, started=started.pid_started) == started
    world.turn()
    assert execution not in world.exits
    (world.folder / "end").touch()
    assert world.exit(execution) == Exit(
        execution=execution,
        exit_code=None,
        signal=None,
        cpu_s=None,
        max_rss_bytes=None,
        stopped_for=None,
    )


def test_a_former_process_of_unknown_pid_is_found_by_its_environment(world: World) -> None:
    execution, started = world.orphaned("/bin/sleep", "60")
    assert world.adopt(execution, None, None) == started
    world.stop(execution)
    assert world.exit(execution).stopped_for is Reason.KILLED_BY_USER


def test_a_former_process_keeps_its_timeout(world: World) -> None:
    execution, started = world.orphaned("/bin/sleep", "60")
    world.adopt(execution, started.pid, started.pid_started, timeout_left_s=0.1)
    assert world.exit(execution).stopped_for is Reason.TIMEOUT


def test_the_whole_former_tree_is_killed(world: World) -> None:
    execution, started = world.orphaned(sys.executable, "-c", _FAMILY, "stay")
    family = world.reported(execution, 5)
    world.until(
        lambda: any(proc.execution_of(pid) is None for pid in family),
        "a process whose environment is gone",
    )
    bare = [pid for pid in family if proc.execution_of(pid) is None]
    assert world.adopt(execution, started.pid, started.pid_started) == started
    world.processes.kill(execution, Reason.KILLED_BY_USER)
    assert world.exit(execution).stopped_for is Reason.KILLED_BY_USER
    for pid in bare:  # it left session, parent and environment under a runner that has died
        os.kill(pid, signal.SIGKILL)
    world.until(lambda: all(map(is_dead, family)), "no member alive")


def test_a_former_execution_lasts_while_any_process_of_it_runs(world: World) -> None:
    script = (
        f"setsid sh -c 'echo $$; while ! test -e {world.folder}/end; do sleep 0.01; "
        f"done' & exec sleep 60"
    )
    execution, started = world.orphaned("/bin/sh", "-c", script)
    (second,) = world.reported(execution)
    world.adopt(execution, started.pid, started.pid_started)
    os.kill(started.pid, signal.SIGKILL)
    world.until(lambda: is_dead(started.pid), "the end of the main process")
    for _ in range(3):
        world.turn()
    assert execution not in world.exits
    assert not is_dead(second)
    (world.folder / "end").touch()
    world.exit(execution)
    assert is_dead(second)


def test_a_survivor_is_adopted_where_the_main_process_has_ended(world: World) -> None:
    execution, started = world.orphaned("/bin/sh", "-c", "setsid sh -c 'echo $$; sleep 60; :' &")
    (second,) = world.reported(execution)
    world.until(lambda: is_dead(started.pid), "the end of the main process")
    adopted = world.adopt(execution, started.pid, started.pid_started)
    assert adopted is not None
    assert adopted.pid == second
    world.processes.kill(execution, Reason.KILLED_BY_USER)
    world.exit(execution)


def test_a_process_whose_main_thread_has_ended_still_runs(world: World) -> None:
    threads = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    )
    execution, started = world.orphaned(
        sys.executable, "-c", f"{threads}; ctypes.CDLL(None).pthread_exit(None)"
    )
    reported = Path(f"/proc/{started.pid}/stat")
    world.until(lambda: ") Z " in reported.read_text(), "the end of the main thread")
    stat = proc.stat_of(started.pid)
    assert stat is not None
    assert (stat.is_dead, stat.is_ending) == (False, False)
    assert world.adopt(execution, started.pid, started.pid_started) == started
    world.processes.kill(execution, Reason.KILLED_BY_USER)
    world.exit(execution)


def test_stopping_a_former_tree_kills_processes_that_outlive_the_grace(world: World) -> None:
    script = "(trap '' TERM; echo 1; while :; do sleep 0.01; done) & exec sleep 60"
    execution, started = world.orphaned("/bin/sh", "-c", script)
    world.reported(execution)
    world.adopt(execution, started.pid, started.pid_started)
    world.stop(execution)
    world.until(lambda: is_dead(started.pid), "the end of the main process")
    assert execution not in world.exits
    world.processes.enforce(time.monotonic() + 31)
    assert world.exit(execution).stopped_for is Reason.KILLED_BY_USER


def test_no_process_is_adopted_if_all_have_ended_or_the_pid_was_reused(world: World) -> None:
    execution, started = world.orphaned("/bin/true")
    world.until(lambda: is_dead(started.pid), "the end")
    before = len(descriptors())
    assert world.adopt(execution, started.pid, started.pid_started) is None
    assert world.adopt(new_id(), None, None) is None
    other = world.started[world.spawn("/bin/sleep", "60", environment={})]
    assert world.adopt(new_id(), other.pid, other.pid_started - 1) is None
    assert world.adopt(new_id(), other.pid, None) is None
    assert len(descriptors()) == before + 1


# Parts


def test_a_command_may_have_any_name(tmp_path: Path, world: World) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    started = world.started[world.spawn(str(program), "60")]
    reported = proc.stat_of(started.pid)
    assert reported is not None
    assert (reported.parent, reported.session, reported.started) == (
        os.getpid(),
        started.pid,
        started.pid_started,
    )


def _stat_line(state: str, *, threads: int, memory: int, arguments: int) -> bytes:
    """Return a line of /proc/PID/stat (proc(5)) with the given fields 3, 20, 23 and 48."""
    fields = {3: state, 20: threads, 23: memory, 48: arguments}
    rest = " ".join(str(fields.get(number, 1)) for number in range(3, 53))
    return f"7 (a program) {rest}\n".encode()


@pytest.mark.parametrize(
    ("line", "is_dead_now", "is_ending", "is_bare"),
    [
        (_stat_line("S", threads=1, memory=4096, arguments=4096), False, False, False),
        (
            _stat_line("R", threads=1, memory=4096, arguments=0),
            False,
            False,
            True,
        ),  # about to become another program
        (_stat_line("R", threads=1, memory=0, arguments=0), False, True, True),  # about to end
        (_stat_line("Z", threads=1, memory=0, arguments=0), True, True, False),
        (_stat_line("X", threads=0, memory=0, arguments=0), True, True, False),
        (
            _stat_line("Z", threads=2, memory=0, arguments=0),
            False,
            False,
            False,
        ),  # only its main thread has ended
    ],
)
def test_a_process_about_to_exec_or_to_end_is_recognised(
    line: bytes, is_dead_now: bool, is_ending: bool, is_bare: bool
) -> None:
    stat = proc.parse_stat(line)
    assert (stat.is_dead, stat.is_ending, stat.is_bare) == (is_dead_now, is_ending, is_bare)


def test_a_running_process_is_neither_ending_nor_bare_and_a_zombie_has_ended(world: World) -> None:
    name = world.shell("echo $$; sleep 60; :")
    (pid,) = world.reported(name)
    stat = proc.stat_of(pid)
    assert stat is not None
    assert (stat.is_dead, stat.is_ending, stat.is_bare, proc.execution_of(pid)) == (
        False,
        False,
        False,
        name,
    )
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    stat = proc.stat_of(pid)
    assert stat is not None
    assert (stat.is_dead, stat.is_ending, proc.execution_of(pid)) == (True, True, None)


def test_a_tree_holds_processes_by_environment_by_session_and_their_descendants() -> None:
    def seen(parent: int, session: int, execution: str | None = None) -> proc.Seen:
        stat = proc.Stat(
            parent=parent,
            session=session,
            started=0,
            is_dead=False,
            is_ending=False,
            is_bare=False,
            has_environment=True,
        )
        return proc.Seen(stat=stat, execution=execution)

    table = {
        1: seen(0, 1),
        10: seen(1, 10, "x"),
        11: seen(10, 10),
        12: seen(1, 12, "x"),  # left session and parent
        13: seen(12, 13),  # left session and environment
        20: seen(1, 20, "y"),
        21: seen(1, 21),
    }
    assert proc.members(table, "x", 10) == {10, 11, 12, 13}
    assert proc.members(table, "x", None) == {10, 11, 12, 13}
    assert proc.members(table, "z", 10) == {10, 11}
    assert proc.members(table, "z", None) == set()


def test_deadlines_come_in_order_once_each_and_only_the_last_set_counts() -> None:
    deadlines = Deadlines()
    for number in range(500):
        deadlines.set(f"long {number}", 1e9 + number)
        deadlines.drop(f"long {number}")
    deadlines.set("b", 2.0)
    deadlines.set("a", 1.0)
    deadlines.set("c", 1.5)
    deadlines.set("c", 3.0)
    assert deadlines.next_s() == 1.0
    assert deadlines.take(2.5) == ["a", "b"]
    assert deadlines.take(2.5) == []
    deadlines.set("c", 3.0)
    assert deadlines.take(3.0) == ["c"]
    assert deadlines.next_s() is None


def test_without_processes_there_is_no_deadline(world: World) -> None:
    assert world.processes.next_deadline_s() is None
    world.processes.enforce(time.monotonic())
    with suppress(KeyError):
        world.processes.reap(10**6)
    assert not world.processes.owns(10**6)
