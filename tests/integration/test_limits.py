"""Each limit holds against a program that would exceed it."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from support.process_world import BOUND_S, World, is_dead

from runner.execution.child.program import SpawnError
from runner.execution.trees import cgroups, proc
from runner.lifecycle import Reason
from runner.requests.model import Limits

_MIB = 2**20
_ENDLESS = "while :; do echo y; done"
"""Writes slowly enough to leave the disk room between two checks, unlike `yes`."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


# Limits of each process


def test_a_program_gets_no_memory_beyond_its_limit(world: World) -> None:
    world.processes.cgroups = None
    script = "b'x' * 50_000_000; print('fits', flush=True); b'x' * 600_000_000"
    ended, output = world.run(sys.executable, "-Sc", script, limits=Limits(memory=400 * _MIB))
    assert (ended.exit_code, ended.failure) == (1, None)
    assert output.startswith("fits\n")
    assert output.endswith("MemoryError\n")


def test_too_little_memory_for_any_program_ends_it(world: World) -> None:
    world.processes.cgroups = None
    ended, _ = world.run("/bin/true", limits=Limits(memory=1))
    assert ended.failure is not None or ended.exit_code != 0


def test_a_program_beyond_its_cpu_limit_ends_with_sigxcpu(world: World) -> None:
    ended, _ = world.run(
        sys.executable, "-Sc", "while True: pass", limits=Limits(cpu=timedelta(milliseconds=300))
    )
    assert (ended.signal, ended.stopped_for) == (signal.SIGXCPU, None)
    assert ended.cpu_s is not None
    assert 0.5 < ended.cpu_s < 20


def test_limits_apply_to_the_program_and_are_capped_by_the_runners_hard_limits(
    world: World,
) -> None:
    script = "ulimit -St; ulimit -Ht; ulimit -Sn; ulimit -Hn"
    _, output = world.run(
        "/bin/sh", "-c", script, limits=Limits(cpu=timedelta(seconds=2.5), open_files=77)
    )
    assert output.split() == ["3", "4", "77", "77"]
    _, output = world.run("/bin/sh", "-c", script, limits=Limits(open_files=10**30, memory=10**30))
    assert int(output.split()[3]) >= 77


def test_a_limit_of_processes_without_a_cgroup_is_refused_with_a_message(world: World) -> None:
    world.processes.cgroups = None
    with pytest.raises(
        SpawnError, match=r"limits.processes needs a delegated cgroup v2 with the pids controller"
    ):
        world.spawn("true", limits=Limits(processes=5))


# Limits of the output


def test_endless_output_is_stopped_and_cut(world: World) -> None:
    name = world.shell(_ENDLESS, output_limit=100_000)
    ended = world.exit(name)
    assert ended.signal == signal.SIGTERM
    assert ended.stopped_for is Reason.OUTPUT_LIMIT
    assert _size(world, name) == 100_000
    assert world.output(name) == "y\n" * 50_000


def _size(world: World, name: str) -> int:
    return world.output_file(name).stat().st_size


def test_a_program_that_writes_on_after_its_stop_signal_does_not_fill_the_disk(
    world: World,
) -> None:
    script = textwrap.dedent("""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            os.write(1, b"x" * 10_000)
            time.sleep(0.001)
    """)
    name = world.spawn(sys.executable, "-Sc", script, output_limit=50_000)
    sizes = [0]

    def is_cut_again_and_again() -> bool:
        sizes.append(_size(world, name))
        return sum(after < before for before, after in pairwise(sizes)) >= 4

    world.until(is_cut_again_and_again, "four cuts of what goes on growing")
    world.processes.kill(name, Reason.KILLED_BY_USER)
    assert world.exit(name).stopped_for is Reason.OUTPUT_LIMIT
    assert _size(world, name) == 50_000 < max(sizes)


def test_300_mb_written_before_the_first_check_are_cut_at_the_end(world: World) -> None:
    name = world.spawn("/usr/bin/head", "-c", "300000000", "/dev/zero", output_limit=1000)
    os.waitid(os.P_PID, world.started[name].pid, os.WEXITED | os.WNOWAIT)
    ended = world.exit(name)
    assert (ended.stopped_for, _size(world, name)) == (Reason.OUTPUT_LIMIT, 1000)


def test_an_output_of_exactly_the_limit_is_allowed_and_ends_the_checks(world: World) -> None:
    name = world.shell("printf 0123456789", output_limit=10)
    assert (world.exit(name).stopped_for, world.output(name)) == (None, "0123456789")
    world.until(lambda: world.processes.next_deadline_s() is None, "nothing left to do")


def test_a_program_that_removes_its_output_is_still_limited(world: World) -> None:
    name = world.shell(f"rm '{world.folder}'/outputs/*; {_ENDLESS}", output_limit=1000)
    assert world.exit(name).stopped_for is Reason.OUTPUT_LIMIT


def test_an_adopted_execution_keeps_its_output_limit(world: World) -> None:
    gate = f"until test -e '{world.folder}/go'; do sleep 0.01; done"
    execution, started = world.orphaned("/bin/sh", "-c", f"{gate}; {_ENDLESS}")
    world.adopt(execution, started.pid, started.pid_started, output_limit=1000)
    (world.folder / "go").touch()
    assert world.exit(execution).stopped_for is Reason.OUTPUT_LIMIT
    assert _size(world, execution) == 1000


# Limits of the whole tree, where cgroups are available


def _unified() -> Path | None:
    """Return the cgroup v2 folder in which this test can make cgroups."""
    own = cgroups.folder_of(
        Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    )
    return own if own is not None and os.access(own, os.W_OK) and os.geteuid() == 0 else None


@pytest.fixture
def delegated(tmp_path: Path) -> Iterator[tuple[World, Path]]:
    """A cgroup of the test, delegated to a world in it."""
    unified = _unified()
    if unified is None:
        pytest.skip("no cgroup v2 that this user may write")
    base = unified / f"runner-test-{os.getpid()}"
    base.mkdir()
    (base / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield World(tmp_path), base
    finally:
        (unified / "cgroup.procs").write_text(str(os.getpid()))
        (base / "cgroup.kill").write_text("1")
        until_s = time.monotonic() + BOUND_S
        for folder in (*(path for path in base.iterdir() if path.is_dir()), base):
            while (
                "populated 1" in (folder / "cgroup.events").read_text()
                and time.monotonic() < until_s
            ):
                pass
            folder.rmdir()


def test_a_delegated_cgroup_holds_and_kills_the_whole_tree(delegated: tuple[World, Path]) -> None:
    world, base = delegated
    assert Path("/proc/self/cgroup").read_text().endswith(f"{base.name}/runner\n")
    script = textwrap.dedent("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: os.execve('/bin/sleep', ['sleep', '60'], {})
            os._exit(0)
        os.wait()
        print(1, flush=True)
        time.sleep(60)
    """)
    name = world.spawn(sys.executable, "-Sc", script, stdin="", secrets=frozenset({"x"}))
    plain = world.shell("sleep 60")
    world.reported(name)
    world.until(
        lambda: len(world.processes._in_cgroup(name)) == 2, "the program and its double fork"
    )
    inside = world.processes._in_cgroup(name)
    assert world.started[name].pid not in inside  # the supervisor has no limit
    assert not world.processes._in_cgroup(plain)
    later = World(world.folder)  # a later runner, in the same leaf
    assert later.processes.cgroups == world.processes.cgroups is not None
    assert (base / name).exists()
    later.close()
    world.processes.kill(name, Reason.KILLED_BY_USER)
    world.exit(name)
    world.until(lambda: not (base / name).exists(), "its cgroup's removal")
    assert all(map(is_dead, inside))
    world.close()


def _is_bare(pids: set[int]) -> bool:
    return len(pids) == 1 and all(proc.execution_of(pid) is None for pid in pids)


def test_a_process_known_only_by_its_cgroup_is_adopted(delegated: tuple[World, Path]) -> None:
    world, base = delegated
    execution, started = world.orphaned(
        "/bin/sh", "-c", "setsid env -i sleep 60 & echo 1", further="stdin=''"
    )
    world.until(lambda: is_dead(started.pid), "the end of the main process")
    world.until(
        lambda: _is_bare(world.processes._in_cgroup(execution)), "one process without a name"
    )
    (left,) = world.processes._in_cgroup(execution)
    adopted = world.adopt(execution, started.pid, started.pid_started)
    assert adopted is not None
    assert adopted.pid == left
    world.processes.kill(execution, Reason.KILLED_BY_USER)
    world.exit(execution)
    world.close()
    assert not (base / execution).exists()


@pytest.mark.parametrize(
    ("controller", "limits"), [("memory", Limits(memory=64 * _MIB)), ("pids", Limits(processes=8))]
)
def test_a_limit_of_the_cgroup_holds(
    delegated: tuple[World, Path], controller: str, limits: Limits
) -> None:
    world, _ = delegated
    held = world.processes.cgroups
    if held is None or controller not in held.controllers:
        world.close()
        pytest.skip(f"the {controller} controller is not in cgroup v2 here")
    script = (
        "x = [bytearray(10**7) for _ in range(100)]"
        if controller == "memory"
        else "import os\nwhile True: os.fork()"
    )
    ended, output = world.run(sys.executable, "-Sc", script, limits=limits)
    assert ended.stopped_for is Reason.MEMORY_LIMIT or "BlockingIOError" in output
    world.close()
