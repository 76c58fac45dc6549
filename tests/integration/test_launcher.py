"""The launcher's work before a program begins, and while it runs."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.process_world import PATH, World, descriptors, everybodys_folder

from runner.execution.child.program import SpawnError
from runner.execution.launch import Launch
from runner.execution.spawning.spawn import is_plain
from runner.execution.trees.watched import Exit
from runner.lifecycle import Reason
from runner.requests.model import Limits, RunAs

_SECRETS = frozenset({"hunter2", "correct horse\nbattery"})
_is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def open_world() -> Iterator[World]:
    """A world in a folder that every user can enter."""
    with everybodys_folder() as folder:
        made = World(folder)
        yield made
        made.close()


# What it prepares


def test_a_launch_without_settings_starts_the_program_directly() -> None:
    def launch(**further: Any) -> Launch:
        return Launch(
            execution="e",
            arguments=("true",),
            directory="/",
            environment={},
            output_file="/o",
            stop_signal=15,
            stop_grace_s=1.0,
            timeout_s=None,
            **further,
        )

    assert is_plain(launch())
    assert is_plain(launch(output_limit=10))
    for further in (
        {"stdin": ""},
        {"umask": 0},
        {"nice": 0},
        {"secrets": frozenset({"x"})},
        {"limits": Limits()},
        {"failing_texts": ("x",)},
    ):
        assert not is_plain(launch(**further))


def test_preparations_change_only_what_was_asked(world: World) -> None:
    """Stdin, umask and nice are set; everything else is as in a plain process."""
    script = textwrap.dedent("""
        import os, resource, signal, sys
        print(sys.stdin.read(), os.umask(0), os.getpriority(0, 0), os.getcwd())
        print(sorted(os.environ), sorted(map(int, os.listdir("/proc/self/fd")))[:-1])
        is_leader = os.getsid(0) == os.getpgid(0) == os.getpid()
        print(is_leader, os.getppid(), signal.pthread_sigmask(0, ()))
        print([line.split()[1] for line in open("/proc/self/status") if line.startswith("SigIgn")])
    """)
    script = f"import os; exec({script!r})"
    before = os.getpriority(os.PRIO_PROCESS, 0)
    nice = min(before + 3, 19)  # there is no more
    asked = {"stdin": "¡olé!\n", "umask": 0o027, "nice": nice}
    environment = {"PATH": PATH, "RUNNER_EXECUTION_ID": "x", "LC_ALL": "C.UTF-8"}
    ended, output = world.run(
        "/usr/bin/env", sys.executable, "-c", script, environment=environment, **asked
    )
    plain = world.run("/usr/bin/env", sys.executable, "-c", script, environment=environment)[
        1
    ].splitlines()
    reported = output.splitlines()
    assert (ended.exit_code, ended.failure, ended.result, ended.has_stderr) == (
        0,
        None,
        None,
        False,
    )
    assert reported[:2] == ["¡olé!", f" {0o027} {nice} {world.folder}"]
    assert reported[2:] == plain[1:]
    assert reported[3] == f"True {os.getpid()} set()"


def test_stdin_may_be_large_and_binary(world: World) -> None:
    text = "0123456789abcde\n" * 20_000 + "\udcff"
    assert world.run("/usr/bin/md5sum", stdin=text)[1] == _md5(
        text.encode("utf-8", "surrogateescape")
    )


def _md5(data: bytes) -> str:
    import hashlib

    return f"{hashlib.md5(data).hexdigest()}  -\n"


@pytest.mark.parametrize(
    ("arguments", "directory", "failure"),
    [
        (("pg_dumpp",), "/", f"program 'pg_dumpp' is not in PATH ({PATH})"),
        (("./tool",), "/", "program './tool' does not exist in directory '/'"),
        (("true",), "/x/y", "directory '/x/y' does not exist"),
        (("true", "x" * 200_000), "/", "the arguments (200006 bytes) or the environment ("),
    ],
)
def test_a_failed_start_ends_with_a_message(
    world: World, arguments: tuple[str, ...], directory: str, failure: str
) -> None:
    name = world.spawn(*arguments, directory=directory, secrets=_SECRETS)
    assert str(world.exit(name).failure).startswith(failure)
    assert (world.exit(name).exit_code, world.output(name)) == (
        None,
        "",
    )  # the launcher's own code is nobody's


def test_errors_known_before_the_start_are_refused_at_once_and_leave_nothing_open(
    world: World,
) -> None:
    before = descriptors()
    for more, words in (
        (
            {"run_as": RunAs(user="nobody-at-all")},
            "run_as: there is no user 'nobody-at-all' on this machine",
        ),
        (
            {"run_as": RunAs(user="root", group="no-group")},
            "run_as: there is no group 'no-group' on this machine",
        ),
        ({"run_as": RunAs(user="54321")}, "run_as: user 54321 has no passwd entry"),
        ({"stdin": "\ud800"}, "stdin contains a character that cannot be passed to a program"),
        ({"stdin": "", "environment": {"A": "s3cret\0"}}, "environment variable A contains a NUL"),
    ):
        with pytest.raises(SpawnError) as caught:
            world.spawn("true", **more)
        assert str(caught.value).startswith(words)
    assert descriptors() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may raise a priority")
def test_nice_that_is_not_permitted_is_a_failure(world: World) -> None:
    assert str(world.run("true", nice=-5)[0].failure).startswith("nice -5 is not permitted here")


# Other users


@_is_root
def test_another_user_has_its_groups_its_variables_and_its_output(world: World) -> None:
    user = pwd.getpwnam("daemon")
    script = (
        'id -u; id -g; id -G; echo "$HOME $USER $LOGNAME $SHELL"; echo again '
        ">>/dev/stdout; touch /etc/x || id -u"
    )
    ended, output = world.run(
        "/bin/sh",
        "-c",
        script,
        run_as=RunAs(user="daemon"),
        directory="/",
        environment={"PATH": PATH},
    )
    lines = output.splitlines()
    groups = " ".join(map(str, os.getgrouplist("daemon", user.pw_gid)))
    assert lines[:3] == [str(user.pw_uid), str(user.pw_gid), groups]
    assert lines[3:5] == [f"{user.pw_dir} daemon daemon {user.pw_shell}", "again"]
    assert (ended.exit_code, lines[-1]) == (0, str(user.pw_uid))


@_is_root
def test_run_as_keeps_the_variables_of_the_request_and_accepts_another_group(world: World) -> None:
    environment = {"PATH": PATH, "HOME": "/mine"}
    _, output = world.run(
        "/bin/sh",
        "-c",
        'echo "$HOME $USER"; id -u; id -g; id -G',
        run_as=RunAs(user="54321", group="12345"),
        directory="/",
        environment=environment,
    )
    assert output.split() == ["/mine", "54321", "54321", "12345", "12345"]


@_is_root
def test_another_user_enters_and_executes_with_its_own_rights(open_world: World) -> None:
    private = open_world.folder / "private"
    private.mkdir(mode=0o700)
    tool = open_world.folder / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    nobody = RunAs(user="nobody")
    words = open_world.run("true", directory=private, run_as=nobody)[0].failure
    assert words == f"no permission to enter directory '{private}'"
    words = open_world.run(str(tool), run_as=nobody)[0].failure
    assert words == f"program '{tool}' is not executable (chmod +x)"


@_is_root
def test_run_as_fails_without_the_permission(open_world: World) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(
            SpawnError,
            match=r"user id 65534 and may not become 'daemon'; only a runner started as root",
        ):
            open_world.spawn("true", run_as=RunAs(user="daemon"))
    finally:
        os.seteuid(0)


def test_run_as_the_same_user_needs_no_permission(world: World) -> None:
    own = str(os.getuid())
    assert (
        world.run("/usr/bin/id", "-u", run_as=RunAs(user=own, group=str(os.getgid())))[1]
        == f"{own}\n"
    )


# While it runs: masking, and whether stderr was used


def _masked(world: World, script: str, *, is_stderr_reported: bool = False) -> tuple[Exit, bytes]:
    name = world.spawn(
        sys.executable, "-uc", script, secrets=_SECRETS, is_stderr_reported=is_stderr_reported
    )
    return world.exit(name), world.output_file(name).read_bytes()


def test_secrets_are_masked_in_both_streams_across_writes(world: World) -> None:
    script = textwrap.dedent("""
        import os, time
        for piece in (b"a hun", b"ter2", b" \\xff\\x00 correct horse", b"\\nbatt", b"ery b\\n"):
            os.write(1, piece)
            time.sleep(0.01)
        os.write(2, b"hunter2hunt")
    """)
    ended, output = _masked(world, script)
    assert output == b"a *** \xff\x00 *** b\n******"
    assert (ended.exit_code, ended.has_stderr) == (0, False)


@pytest.mark.parametrize(
    "ending",
    ["os.kill(os.getpid(), 9)", "time.sleep(60)", "signal.signal(15, quit); time.sleep(60)"],
)
def test_the_beginning_of_a_secret_is_masked_when_the_process_is_killed(
    world: World, ending: str
) -> None:
    """Killed by itself, by the stop signal, and by the stop signal with its own exit code."""
    script = textwrap.dedent(f"""
        import os, signal, time
        def quit(*_): os._exit(3)
        os.write(1, b"ready\\nthe password is h")
        {ending}
    """)
    name = world.spawn(sys.executable, "-uc", script, secrets=_SECRETS)
    if "sleep" in ending:
        world.until(lambda: world.output(name).startswith("ready"), "the output")
        world.stop(name)
    world.exit(name)
    assert world.output(name) == "ready\nthe password is ***"


def test_an_output_whose_end_resembles_the_beginning_of_a_secret_is_shown(world: World) -> None:
    assert _masked(world, "import os; os.write(1, b'push')")[1] == b"push"


def test_text_without_a_secret_is_written_at_once(world: World) -> None:
    name = world.shell("echo 1; echo hunter1; exec sleep 60", secrets=_SECRETS)
    world.until(lambda: world.output(name) == "1\nhunter1\n", "the output while it runs")
    assert name not in world.exits


@pytest.mark.parametrize("stream", [1, 2])
def test_whether_the_process_wrote_to_stderr_is_known(world: World, stream: int) -> None:
    ended = world.exit(name := world.shell(f"echo x >&{stream}", is_stderr_reported=True))
    assert (ended.has_stderr, world.output(name)) == (stream == 2, "x\n")
    ended, output = _masked(
        world, f"import os; os.write({stream}, b'hunter2')", is_stderr_reported=True
    )
    assert (ended.has_stderr, output) == (stream == 2, b"***")


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize("is_stderr_reported", [False, True])
@pytest.mark.parametrize("secrets", [frozenset(), _SECRETS])
def test_a_failing_text_is_found_in_either_stream_across_writes(
    world: World, stream: int, is_stderr_reported: bool, secrets: frozenset[str]
) -> None:
    settings: dict[str, Any] = {"is_stderr_reported": is_stderr_reported, "secrets": secrets}
    ended = world.exit(
        name := world.shell(
            f"printf FA >&{stream}; sleep 0.05; printf 'TAL \\303\\251' >&{stream}",
            failing_texts=("never", "TAL é"),
            **settings,
        )
    )
    assert (ended.failing_text, ended.exit_code) == ("TAL é", 0)
    assert world.output(name) == "FATAL é"
    silent = world.exit(world.shell("echo fatal", failing_texts=("FATAL",), **settings))
    assert silent.failing_text is None


def test_failing_texts_are_searched_in_the_masked_output(world: World) -> None:
    def found_in(script: str, text: str) -> str | None:
        name = world.shell(script, failing_texts=(text,), secrets=_SECRETS)
        return world.exit(name).failing_text

    assert found_in("printf 'it is hunter2'", "hunter") is None
    assert found_in("printf 'it is hunter2'", "is ***") == "is ***"
    # The masker holds these bytes back until the end: they may begin a secret.
    assert found_in("printf hun", "un") == "un"


def test_the_supervisor_ends_with_the_signal_or_exit_code_of_its_program(world: World) -> None:
    """By each signal that ends a process, and by exit codes; two dozen at once."""
    deadly = [n for n in signal.valid_signals() if n not in _HARMLESS]
    names = {
        n: world.spawn(
            sys.executable, "-Sc", f"import os; os.kill(os.getpid(), {n})", is_stderr_reported=True
        )
        for n in (*deadly[::4], signal.SIGKILL, signal.SIGSEGV)
    }
    for number, name in names.items():
        assert (world.exit(name).signal, world.exit(name).exit_code) == (number, None)
    assert world.exit(world.shell("exit 255", is_stderr_reported=True)).exit_code == 255


_HARMLESS = {
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGSTOP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGURG,
    signal.SIGWINCH,
    signal.SIGINT,
    signal.SIGPIPE,
    signal.SIGXFSZ,  # Python's own treatment
}


def test_output_after_the_stop_signal_is_kept(world: World) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo 1; while :; do sleep 0.01; done"
    name = world.shell(script, secrets=_SECRETS, is_stderr_reported=True)
    world.reported(name)
    world.stop(name)
    assert world.exit(name).exit_code == 3
    assert "bye\n" in world.output(name)


def test_a_program_that_signals_its_whole_group_keeps_its_output(
    world: World,
) -> None:
    ended = world.exit(
        name := world.shell("trap '' TERM; kill 0; echo still here", secrets=_SECRETS)
    )
    assert (ended.exit_code, world.output(name)) == (0, "still here\n")


def test_a_stop_at_any_moment_of_the_start_stops_the_program(world: World) -> None:
    names = []
    for step in range(12):
        names.append(world.spawn("/bin/sleep", "60", secrets=_SECRETS))
        until_s = time.monotonic() + step * 0.004

        def is_time(until_s: float = until_s) -> bool:
            return time.monotonic() >= until_s

        world.until(is_time, "the moment")
        world.stop(names[-1])
    assert {world.exit(name).signal for name in names} == {signal.SIGTERM}


def test_peak_memory_is_that_of_the_program_not_of_its_supervisor(world: World) -> None:
    name = world.shell("echo 1; sleep 60; :", secrets=_SECRETS)  # the shell stays the program
    world.reported(name)
    world.processes.enforce(time.monotonic() + 10)
    world.processes.kill(name, Reason.KILLED_BY_USER)
    peak = world.exit(name).max_rss_bytes
    assert peak is not None
    assert 100_000 < peak < 8_000_000


def test_a_child_that_keeps_the_pipe_open_does_not_delay_the_end(world: World) -> None:
    keep = "echo left; touch up; while :; do echo more; done"
    wait = "until test -e up; do sleep 0.01; done"
    name = world.shell(f"setsid sh -c '{keep}' & {wait}; echo end; exit 4", secrets=_SECRETS)
    assert world.exit(name).exit_code == 4
    assert "end\n" in world.output(name)


def test_a_program_that_closes_its_output_is_supervised_to_its_end(world: World) -> None:
    ended = world.exit(
        world.shell("exec >&- 2>&-; sleep 0.1; exit 5", secrets=_SECRETS, is_stderr_reported=True)
    )
    assert (ended.exit_code, ended.has_stderr) == (5, False)


def test_a_large_output_is_whole_at_the_end(world: World) -> None:
    script = "import sys; [sys.stdout.write('x' * 999 + '\\n') for _ in range(20_000)]"
    ended, output = _masked(world, script)
    assert (ended.exit_code, len(output)) == (0, 20_000_000)


def test_the_supervisor_survives_its_runner_and_continues_masking(
    world: World, tmp_path: Path
) -> None:
    script = (
        f"echo hunter2; while ! test -e {tmp_path}/end; do sleep 0.01; done; echo hunter2; exit 0"
    )
    execution, started = world.orphaned(
        "/bin/sh", "-c", script, further="secrets=frozenset({'hunter2'})"
    )
    assert world.adopt(execution, started.pid, started.pid_started) == started
    (tmp_path / "end").touch()
    world.exit(execution)
    assert world.output(execution) == "***\n***\n"


def test_its_output_stays_private_and_its_files_closed(world: World) -> None:
    name = world.spawn("/bin/ls", "/proc/self/fd", secrets=_SECRETS, is_stderr_reported=True)
    world.exit(name)
    assert world.output(name).split() == ["0", "1", "2", "3"]  # 3 is the folder that ls lists
    assert stat.S_IMODE(world.output_file(name).stat().st_mode) == 0o600


def test_many_launches_leave_no_descriptor_open(world: World) -> None:
    before = len(descriptors())
    names = [world.shell("exit 7", stdin="", output_limit=10) for _ in range(12)]
    assert {world.exit(name).exit_code for name in names} == {7}
    assert len(descriptors()) == before
