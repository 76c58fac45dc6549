"""A worker with real processes and a real database; the test plays the leader."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import fork_server
from support.marked_points import Point, is_stopped
from support.place import Place, wait_until
from support.worker_world import WorkerWorld, row_for

from runner import __version__
from runner.values import new_id


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[WorkerWorld]:
    """Provide a store without a leader."""
    world = WorkerWorld(database_url, tmp_path)
    yield world
    world.close()


def test_a_worker_runs_what_is_offered_and_reports_it(world: WorkerWorld) -> None:
    """Two deliveries of one offer and an offer that was withdrawn start nothing further.

    What a process puts in the place of its output could be a file that only the worker can
    read, so neither the tail nor the output has it.
    """
    world.note_meta("lost_after_s", "10")  # makes heartbeats frequent
    worker = world.work("alpha", "--concurrency", "2", "--allow-user", world.own_user)
    world.await_worker("alpha")
    execution = world.offer(f"echo one; echo $RUNNER_ATTEMPT_TOKEN >> {world.ledger}; exit 3")
    world.deliver_again(execution)
    forbidden = world.offer(f"echo never >> {world.ledger}", run_as="nobody")
    withdrawn = world.offer(f"echo never >> {world.ledger}", queue="other")
    world.settle(withdrawn)
    replaced = world.offer('out=$(readlink /proc/$$/fd/1); rm "$out"; echo hidden > "$out"')
    finished = world.await_report(execution, "finished")
    started = world.await_report(execution, "started")
    assert started.node == "alpha" and started.body["pid"] > 1
    assert finished.body["exit_code"] == 3 and finished.body["tail"] == ["one\n", 4, False]
    assert finished.body["duration"] > 0 and not finished.body["is_adopted"]
    assert world.output(execution) == b"one\n"
    assert world.await_report(replaced, "finished").body["tail"] == ["", 0, False]
    assert world.output(replaced) == b""
    why = world.await_report(forbidden, "not_started").body["why"]
    assert "may not run anything as nobody" in why
    assert world.noted() == ["1"]
    for each in (execution, forbidden, replaced):
        world.settle(each)
    folder = world.worker_folder("alpha")
    wait_until(lambda: not list(folder.rglob("*.out")), what="the output is only in the store")
    wait_until(lambda: not world.await_worker("alpha")["executions"], what="nothing is listed")
    assert world.end(worker) == 0
    assert world.node("alpha") is None


def test_a_killed_worker_adopts_its_processes_and_reports_what_ended_meanwhile(
    world: WorkerWorld,
) -> None:
    world.work("alpha", "--concurrency", "3")
    goes_on = world.offer(world.waiting_line())
    ends = world.offer(f"{world.waiting_line()} kill -TERM $$", name="other")
    waits = world.offer(world.waiting_line(), queue="nobody")
    for each in (goes_on, ends):
        world.await_report(each, "started")
    world.kill_worker()
    world.kill_process(ends)
    world.work("alpha", "--concurrency", "3", "--queue", "nobody")
    world.await_report(waits, "started")
    assert world.await_report(ends, "finished").body == {"lost": "running"}
    world.gate.touch()
    assert world.await_report(goes_on, "finished").body["is_adopted"]
    for each in (goes_on, waits):
        world.await_report(each, "finished")
        assert world.noted().count(f"start {each}") == world.noted().count(f"end {each}") == 1


def test_what_a_killed_worker_took_and_never_noted_is_started_by_its_successor(
    world: WorkerWorld,
) -> None:
    world.work()
    world.await_worker("alpha")
    world.kill_worker()
    execution = world.offer(f"echo once >> {world.ledger}")
    world.take_for("alpha", execution)
    world.work()
    world.await_report(execution, "finished")
    assert world.noted() == ["once"]


def test_a_worker_of_another_identity_takes_over_a_name_but_no_execution(
    world: WorkerWorld,
) -> None:
    """It waits until the former one counts as lost, and starts nothing that it does not know."""
    world.note_meta("lost_after_s", "120")
    world.work()
    execution = world.offer(world.waiting_line())
    world.await_report(execution, "started")
    world.kill_worker()
    world.forget_identity("alpha")
    former = world.await_worker("alpha")["instance"]
    world.work()
    wait_until(lambda: "another worker was seen as alpha" in world.console(), what="a refusal")
    world.note_meta("lost_after_s", "2")
    wait_until(lambda: world.await_worker("alpha")["instance"] != former, what="the name is free")
    assert world.await_worker("alpha")["executions"] == []
    other = world.offer(f"echo other >> {world.ledger}")
    world.await_report(other, "finished")
    assert [each.kind for each in world.reports(execution)] == ["started"]
    assert world.noted().count(f"start {execution}") == 1


def test_a_worker_that_was_replaced_takes_nothing_more(world: WorkerWorld) -> None:
    """Another machine took its name while it stood still for longer than lost_after."""
    world.note_meta("lost_after_s", "2")
    former = world.work()
    world.await_worker("alpha")
    running = world.offer(world.waiting_line())
    world.await_report(running, "started")
    former.send_signal(signal.SIGSTOP)
    instance = world.await_worker("alpha")["instance"]
    successor = world.work("alpha", "--queue", "other", state=world.folder / "elsewhere")
    wait_until(lambda: world.await_worker("alpha")["instance"] != instance, what="a successor")
    former.send_signal(signal.SIGCONT)
    wait_until(lambda: "another worker is registered" in world.console(), what="it notices")
    late = world.offer(f"echo late >> {world.ledger}")
    world.gate.touch()
    assert world.await_report(running, "finished").body["exit_code"] == 0
    world.settle(running)
    assert world.end(former) == 0
    assert world.taker_of(late) is None
    assert world.end(successor) == 0


def test_a_stop_reason_ends_the_tree_even_without_a_notification(world: WorkerWorld) -> None:
    world.note_meta("lost_after_s", "20")
    world.work()
    executions = [world.offer(world.waiting_line()) for _ in range(2)]
    for number, each in enumerate(executions):
        world.await_report(each, "started")
        world.ask_to_stop(each, "killed_by_user", is_notified=not number)
    for each in executions:
        finished = world.await_report(each, "finished").body
        assert finished["stopped_for"] == "killed_by_user"


def test_a_drained_worker_finishes_and_takes_nothing_new(world: WorkerWorld) -> None:
    worker = world.work()
    first = world.offer(world.waiting_line())
    world.await_report(first, "started")
    assert _completed(world.places["alpha"], "drain", "al") == ["alpha"]
    done = world.places["alpha"].run("drain", "alpha")
    assert done.returncode == 0 and "still has 1 execution" in done.stdout, done
    wait_until(lambda: "takes nothing more" in world.console(), what="it drains")
    second = world.offer(f"echo second >> {world.ledger}")
    world.gate.touch()
    world.await_report(first, "finished")
    world.settle(first)
    assert world.end(worker) == 0
    assert world.taker_of(second) is None
    unknown = world.places["alpha"].run("drain", "beta")
    assert unknown.returncode == 2 and "there is no worker 'beta'" in unknown.stderr


def _completed(place: Place, *words: str) -> list[str]:
    """Return how bash completes the last word."""
    position = {"COMP_WORDS": " ".join(("runner", *words)), "COMP_CWORD": str(len(words))}
    asking = place.environment | position | {"_RUNNER_COMPLETE": "bash_complete"}
    done = fork_server.run((), environment=asking, folder=place.folder, timeout_s=60)
    return [line.removeprefix("plain,") for line in done.stdout.split()]


def test_a_worker_restarts_and_stops_where_it_runs(world: WorkerWorld) -> None:
    world.note_meta("lost_after_s", "10")
    worker = world.work("alpha")
    place = world.places["alpha"]
    running = world.offer(f"{world.waiting_line()} exit 3")
    world.await_report(running, "started")
    done = place.run("restart")
    restarted = f"restarted: alpha works again; runner {__version__}, process {worker.pid}"
    assert done.stdout == f"{restarted}; 1 execution went on\n", done.stderr
    world.gate.touch()
    assert world.await_report(running, "finished").body["exit_code"] == 3
    world.settle(running)
    wait_until(lambda: not world.await_worker("alpha")["executions"], what="nothing is listed")
    done = place.run("restart")
    assert done.stdout == f"{restarted}\n", done.stderr
    assert place.run("stop", "--leave-running").returncode == 1
    done = place.run("stop")
    assert done.stdout == f"stopped: alpha, process {worker.pid}\n", done.stderr
    assert worker.wait(timeout=60) == 0


def test_a_worker_waits_for_a_store_and_says_what_it_lacks(
    empty_database_url: str, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.environment["RUNNER_STORE"] = empty_database_url
    with (tmp_path / "console").open("wb") as console, open(os.devnull, "rb") as empty:  # noqa: PTH123
        worker = fork_server.start(
            ("work", "--name", "early"),
            environment=place.environment,
            folder=place.folder,
            streams=(empty.fileno(), console.fileno(), console.fileno()),
        )
    said = tmp_path / "console"
    wait_until(lambda: "there is no store in the schema runner" in said.read_text())
    assert place.run("store", "migrate").returncode == 0
    wait_until(lambda: "early works on queue default" in said.read_text(), what="it works")
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert "taking from the queues" not in said.read_text()
    assert "relation" not in said.read_text()


def test_a_stopped_worker_waits_for_its_executions_and_a_second_signal_kills_them(
    world: WorkerWorld,
) -> None:
    worker = world.work()
    execution = world.offer(f"trap '' TERM; {world.waiting_line()}")
    world.await_report(execution, "started")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: "a second signal kills" in world.console(), what="it waits")
    worker.send_signal(signal.SIGTERM)
    assert world.await_report(execution, "finished").body["stopped_for"] == "runner_stopped"
    world.settle(execution)
    assert worker.wait(timeout=60) == 0


def test_a_member_is_fenced_with_its_group(world: WorkerWorld) -> None:
    """The supervisor ends what must not overlap while its worker stands still; all else goes on."""
    world.note_meta("lost_after_s", "12")  # a stall on a busy machine is shorter than half of it
    worker = world.work("alpha", "--concurrency", "3")
    world.await_beat("alpha")
    group = world.insert_group(prevent_concurrent=True)
    member = world.offer(world.waiting_line(), group=group)
    free = world.offer(world.waiting_line())
    for each in (member, free):
        world.await_report(each, "started")
    worker.send_signal(signal.SIGSTOP)
    wait_until(lambda: not world.runs(member), what="the member ends")
    assert world.runs(free)
    worker.send_signal(signal.SIGCONT)
    assert world.await_report(member, "finished").body == {"lost": "running"}
    world.gate.touch()
    assert world.await_report(free, "finished").body["exit_code"] == 0


def test_fenced_executions_end_with_their_supervisor(world: WorkerWorld) -> None:
    world.work("alpha", "--concurrency", "2")
    fenced = world.offer(world.waiting_line(), if_interrupted="rerun")
    free = world.offer(world.waiting_line())
    for each in (fenced, free):
        world.await_report(each, "started")
    world.kill_supervisor("alpha")
    assert world.await_report(fenced, "finished").body == {"lost": "running"}
    assert world.runs(free)
    again = world.offer(f"echo again >> {world.ledger}", if_interrupted="rerun")
    world.await_report(again, "finished")


def test_what_has_not_started_waits_for_the_next_supervisor(world: WorkerWorld) -> None:
    """A worker has taken it; its supervisor dies before the order to start."""
    accepted = Point("runner.worker.executions:Executions.accept", "after")
    worker = world.work_until(accepted, 2, signal.SIGSTOP, "alpha")
    world.await_report(world.offer("true", prevent_concurrent=True), "finished")
    fenced = world.offer(f"echo ran >> {world.ledger}", prevent_concurrent=True)
    wait_until(lambda: is_stopped(worker.pid), within_s=60, what="it has taken the execution")
    world.kill_supervisor("alpha")
    worker.send_signal(signal.SIGCONT)
    assert world.await_report(fenced, "finished").body["exit_code"] == 0
    assert world.noted() == ["ran"]


def test_what_was_taken_before_a_long_stop_never_starts(world: WorkerWorld) -> None:
    """Even if the worker has not sent a heartbeat since it registered."""
    world.note_meta("lost_after_s", "2")
    fenced = world.offer(f"echo ran >> {world.ledger}", prevent_concurrent=True)
    first_beat = Point("runner.worker.link:Link._beat", "before")
    worker = world.work_until(first_beat, 1, signal.SIGSTOP, "alpha")
    wait_until(lambda: is_stopped(worker.pid), within_s=60, what="it has taken the execution")
    assert world.taker_of(fenced) == "alpha"
    wait_until(lambda: world.silent_for_s("alpha") > 2, what="it counts as lost")
    worker.send_signal(signal.SIGCONT)
    assert world.await_report(fenced, "finished").body == {"lost": "never_started"}
    assert world.noted() == []


def test_broken_connections_repeat_and_lose_nothing(world: WorkerWorld) -> None:
    """Each breaks at an arbitrary moment of taking and reporting; each job is there twice."""
    world.work("alpha", "--concurrency", "8")
    world.await_worker("alpha")
    executions = [world.offer(f"echo $RUNNER_EXECUTION_ID >> {world.ledger}") for _ in range(20)]
    for each in executions:
        world.deliver_again(each)
    for _ in range(20):
        world.break_connections()

    def are_finished() -> bool:
        world.redeliver()
        found = {each.execution for each in world.reports() if each.kind == "finished"}
        return found == set(executions)

    wait_until(are_finished, within_s=90, what="all ends")
    assert sorted(world.noted()) == sorted(executions)


def test_the_service_manager_hears_of_a_worker_and_its_processes_do_not(
    world: WorkerWorld,
) -> None:
    # The path of a socket has room for about a hundred bytes.
    with (
        tempfile.TemporaryDirectory(prefix="runner-", dir="/tmp") as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(f"{short}/notify")
        manager.settimeout(60)
        worker = world.work(variables={"NOTIFY_SOCKET": f"{short}/notify"})
        assert manager.recv(4096) == b"READY=1"
        assert manager.recv(4096).startswith(b"STATUS=")
        execution = world.offer("echo ${NOTIFY_SOCKET-nothing}")
        world.await_report(execution, "finished")
        assert world.output(execution) == b"nothing\n"
        world.settle(execution)
        worker.send_signal(signal.SIGTERM)
        while b"STOPPING=1" not in manager.recv(4096):
            pass
    assert worker.wait(timeout=90) == 0


def test_a_row_that_cannot_be_read_is_reported(world: WorkerWorld) -> None:
    world.work()
    row = row_for(new_id(), "true")
    world.offer_row(row._replace(body='{"process": {}, "claim": {}}'))
    assert "cannot be read" in world.await_report(row.id, "not_started").body["why"]
