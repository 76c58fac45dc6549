"""Threads that start processes: hand-over, hanging starts, stops during a start, the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from support.place import wait_until
from support.process_world import BOUND_S, PATH, World, is_dead

from runner.execution.launch import Launch
from runner.execution.spawning import spawners
from runner.execution.spawning.spawners import Patience
from runner.execution.trees import proc
from runner.lifecycle import Reason
from runner.values import new_id

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
SHORT = Patience(first_s=0.05, further_s=0.01, give_up_s=0.5)
LONG = Patience(give_up_s=BOUND_S)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[[Patience], World]]:
    """Make worlds; they are closed after the test."""
    made: list[World] = []

    def make(patience: Patience) -> World:
        made.append(World(tmp_path, patience=patience))
        return made[-1]

    yield make
    for world in made:
        world.close()


def launch(world: World, *arguments: str, directory: str = "/") -> Launch:
    execution = new_id()
    return Launch(
        execution=execution,
        arguments=arguments,
        directory=directory,
        environment={"PATH": PATH, "RUNNER_EXECUTION_ID": execution},
        output_file=str(world.output_file(execution)),
        stop_signal=15,
        stop_grace_s=10.0,
        timeout_s=None,
    )


class Hang:
    """A preparation that hangs until `gate` is set, as on a dead mount."""

    def __init__(self, started: Launch) -> None:
        self.launch = started
        self.gate = Event()
        self.has_begun = Event()

    def __call__(self) -> Launch:
        self.has_begun.set()
        self.gate.wait(BOUND_S)
        return self.launch


def order_hanging(world: World, *arguments: str, directory: str = "/") -> Hang:
    hang = Hang(launch(world, *(arguments or ("sleep", "600")), directory=directory))
    world.order(hang.launch, hang)
    return hang


def test_many_simultaneous_starts_are_all_watched_to_their_end(
    worlds: Callable[[Patience], World],
) -> None:
    """Orphan sweeps and reuse of descriptors go on meanwhile."""
    world = worlds(Patience())
    launches = [launch(world, "/bin/sh", "-c", f"exit {number % 200}") for number in range(600)]
    for each in launches:
        world.order(each)
    for number, each in enumerate(launches):
        assert world.exit(each.execution).exit_code == number % 200
    assert set(world.started) == {each.execution for each in launches}


def test_a_lone_start_goes_through_a_spawner_thread_too(
    worlds: Callable[[Patience], World],
) -> None:
    """So every test with processes, and every campaign, is one of the spawner threads."""
    world = worlds(Patience())
    starters: list[str] = []
    lone = launch(world, "true")

    def prepare() -> Launch:
        starters.append(threading.current_thread().name)
        return lone

    world.order(lone, prepare)
    assert world.exit(lone.execution).exit_code == 0
    assert starters == ["spawner"]


def test_a_stopping_signal_waits_for_the_main_thread_and_no_spawner_takes_it(
    worlds: Callable[[Patience], World],
) -> None:
    assert worlds(Patience()).run("true")[0].exit_code == 0
    threads = [each for each in threading.enumerate() if each.name == "spawner"]
    assert threads
    for each in threads:
        status = Path(f"/proc/self/task/{each.native_id}/status").read_text()
        blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
        for number in (signal.SIGTERM, signal.SIGINT):
            assert blocked >> (number - 1) & 1


def test_orphans_are_swept_while_starts_never_cease(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(Patience())
    (daemon,) = world.reported(world.shell("setsid sh -c 'echo $$; exec sleep 600' & sleep 0.2"))
    ordered: list[Launch] = []
    until_s = time.monotonic() + BOUND_S
    while not is_dead(daemon):
        assert time.monotonic() < until_s, "it was never swept"
        while len(ordered) < len(world.started) + 8:
            ordered.append(launch(world, "true"))
            world.order(ordered[-1])
        world.turn()


def test_dead_orphans_are_reaped_even_while_a_start_hangs(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(SHORT)
    hanging = order_hanging(world, "true", directory="/proc")
    world.until(lambda: hanging.launch.execution in world.failures, "the end of the patience")
    (daemon,) = world.reported(world.shell("setsid sh -c 'echo $$; exec sleep 600' & sleep 0.2"))
    world.until(lambda: proc.stat_of(daemon) is None, "the orphan to be reaped")
    assert world.executor._spawners._hung
    hanging.gate.set()


def test_a_hanging_start_delays_only_starts_that_need_the_same_place(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(LONG)
    hanging = order_hanging(world, "true", directory="/")
    behind = launch(world, "true", directory="/")
    world.until(lambda: world.executor.starting == 0, "the start to count as hanging")
    world.order(behind)
    for _ in range(4):
        assert world.run("true", directory="/tmp")[0].exit_code == 0
    assert behind.execution not in world.started
    hanging.gate.set()
    assert world.exit(hanging.launch.execution).exit_code == 0
    assert world.exit(behind.execution).exit_code == 0


def test_hanging_starts_in_every_thread_do_not_delay_others(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(LONG)
    hanging = [
        order_hanging(world, "true", directory=f"/missing/{number}")
        for number in range(3 * spawners.THREADS)
    ]
    assert world.run("true", directory="/tmp")[0].exit_code == 0
    for each in hanging:
        each.gate.set()
    world.until(lambda: len(world.failures) == len(hanging), "a failure of each")
    assert all("does not exist" in str(why) for why in world.failures.values())


def test_a_thousand_starts_that_would_hang_together_take_one_thread(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(SHORT)
    hanging = [order_hanging(world) for _ in range(1000)]
    world.until(lambda: len(world.failures) == 1000, "a failure of each")
    assert sum(each.has_begun.is_set() for each in hanging) <= 2 * spawners.THREADS
    assert "waited behind" in str(world.failures[hanging[-1].launch.execution])
    for each in hanging:
        each.gate.set()


def test_a_start_given_up_leaves_no_process_when_it_returns(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(SHORT)
    hang = order_hanging(world)
    execution = hang.launch.execution
    world.until(lambda: execution in world.failures, "the start to be given up")
    assert "has not answered for 0.5 s" in str(world.failures[execution])
    assert world.executor.starting == 0
    hang.gate.set()
    world.until(lambda: not world.executor._spawners._hung, "the return of its thread")
    assert not _named(execution)


def test_a_stop_cancels_a_start_that_no_thread_has_taken(
    worlds: Callable[[Patience], World],
) -> None:
    world = worlds(LONG)
    hanging = [order_hanging(world, directory=f"/{number}") for number in range(spawners.THREADS)]
    for each in hanging:
        assert each.has_begun.wait(BOUND_S)
    queued = order_hanging(world, "true")
    world.stop(queued.launch.execution)
    world.until(lambda: queued.launch.execution in world.failures, "the answer to the stop")
    assert world.failures[queued.launch.execution] is None
    assert not queued.has_begun.is_set()
    for each in hanging:
        world.stop(each.launch.execution)  # they have begun, and turn out to hang
    world.until(lambda: len(world.failures) == 3, "the answers to the stops")
    for each in hanging:
        each.gate.set()
    world.until(lambda: not world.executor._spawners._hung, "the return of the threads")
    assert not world.started
    assert not any(_named(each.launch.execution) for each in hanging)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_stop_reaches_a_process_whose_start_is_about_to_return(
    worlds: Callable[[Patience], World], at_once: bool
) -> None:
    world = worlds(Patience(first_s=BOUND_S))
    hang = order_hanging(world)
    assert hang.has_begun.wait(BOUND_S)
    world.executor.stop(hang.launch.execution, Reason.RUNNER_STOPPED, at_once=at_once)
    hang.gate.set()
    ended = world.exit(hang.launch.execution)
    assert ended.stopped_for is Reason.RUNNER_STOPPED
    assert ended.signal == (9 if at_once else 15)


def test_closing_drops_starts_that_have_not_begun_and_joins_the_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    world = World(tmp_path, patience=LONG)
    hanging = [order_hanging(world, "true") for _ in range(8)]
    assert hanging[0].has_begun.wait(BOUND_S)
    closing = threading.Thread(target=world.executor.close)
    closing.start()
    for each in hanging:
        each.gate.set()
    closing.join(BOUND_S)
    assert not closing.is_alive()
    assert set(threading.enumerate()) == before
    assert not all(each.has_begun.is_set() for each in hanging)


def test_a_bug_in_a_start_reaches_the_owner(tmp_path: Path) -> None:
    world = World(tmp_path)

    def broken() -> Launch:
        raise ZeroDivisionError

    world.order(launch(world, "true"), broken)
    with pytest.raises(ZeroDivisionError):
        world.until(lambda: False, "the error")
    world.executor.close()


def test_a_start_is_not_given_up_for_the_time_in_which_the_owner_stood_still(
    worlds: Callable[[Patience], World],
) -> None:
    """Its thread stood still as well if the whole process was stopped (SIGSTOP)."""
    world = worlds(Patience(give_up_s=2.0))
    hang = order_hanging(world, "true")
    assert hang.has_begun.wait(BOUND_S)
    until_s = time.monotonic() + 2.5
    wait_until(lambda: time.monotonic() > until_s, what="an owner that stood still")
    world.turn()
    hang.gate.set()
    assert world.exit(hang.launch.execution).exit_code == 0


_RAISED = """
import os, resource, sys, time
from pathlib import Path
sys.path.insert(0, "tests")
from support.process_world import World
from runner.execution.spawning.spawners import Patience
from integration.test_spawners import launch, order_hanging
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
world = World(Path(sys.argv[1]), patience=Patience(give_up_s=30.0))
hang = order_hanging(world, "true", directory="/proc")
for _ in range(40):
    os.dup(2)
launches = [launch(world, "/bin/sh", "-c", "ulimit -Sn; read line") for _ in range(60)]
for each in launches:
    world.order(each)
world.until(lambda: all(each.execution in world.exits for each in launches), "the ends")
assert not world.failures, world.failures
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
limits = [world.output(each.execution) for each in launches]
assert set(limits[4:]) == {"64\\n"}, limits
slow = launch(world, "/bin/sh", "-c", "ulimit -Sn", directory="/sys")
def prepared():
    time.sleep(0.2)  # a slow disk
    return slow
world.order(slow, prepared)
assert world.exit(slow.execution).exit_code == 0
assert world.output(slow.execution) == "64\\n"
hang.gate.set()
assert world.exit(hang.launch.execution).exit_code == 0
world.close()
"""


def test_programs_keep_the_former_file_limit_after_it_was_raised(
    tmp_path: Path,
) -> None:
    """This holds while another start hangs, and for a start that takes longer than the
    patience, although the limit applies to the whole process.
    """
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", _RAISED, str(tmp_path)],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr


def _named(execution: str) -> list[int]:
    """Return the living processes whose environment names an execution."""
    return [pid for pid, seen in proc.look_at_all().items() if seen.execution == execution]
