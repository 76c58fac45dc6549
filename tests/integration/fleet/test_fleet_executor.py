"""The leader's executor of a fleet, with a worker that does what the test says."""

from __future__ import annotations

import select
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from support.fleet_world import Job, Leader, ScriptedWorker, count_in, ended
from support.postgres import execute

from runner.errors import LeaseLostError
from runner.execution.executor import (
    Elsewhere,
    Lost,
    NotStarted,
    ProcessStarted,
    Stage,
)
from runner.execution.trees.watched import ProcessId
from runner.lifecycle import Reason
from runner.service.fleet import fleet_executor, report_inbox
from runner.store.postgres.fleet import dispatches
from runner.store.postgres.fleet.worker_side import LOST_AFTER
from runner.store.protocol import DuplicateClaimError
from runner.store.rows import Batch

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def leader(database_url: str, tmp_path: Path) -> Iterator[Leader]:
    made = Leader(database_url, tmp_path / "leader")
    yield made
    made.close()


@pytest.fixture
def worker(database_url: str) -> Iterator[ScriptedWorker]:
    made = ScriptedWorker(database_url)
    made.join()
    yield made
    made.close()


def started(execution: str, node: str = "worker") -> ProcessStarted:
    process = ProcessId(pid=7, pid_started=8)
    return ProcessStarted(execution=execution, process=process, at=AT, node=node)


# --- the ordinary way


def test_an_execution_is_offered_in_its_queue_and_its_reports_become_events(
    leader: Leader, worker: ScriptedWorker, database_url: str
) -> None:
    (execution,) = leader.claim(queue="gpu")
    assert worker.jobs() == []
    assert worker.take_all("gpu") == [execution]
    end = ended(execution, exit_code=3, text="x")
    worker.report(started(execution), end)
    assert leader.next_event() == started(execution)
    assert leader.next_event() == end
    assert leader.dropped_reports == 0
    assert count_in(database_url, "reports") == 0, "the commit deleted them"


def test_a_report_makes_the_descriptor_readable(leader: Leader, worker: ScriptedWorker) -> None:
    (execution,) = leader.claim()
    worker.take_all()
    leader.turn()
    worker.report(started(execution))
    assert select.select([leader.executor.descriptor], [], [], 60)[0]
    assert leader.executor.events() == [started(execution)]


def test_a_lost_notification_only_delays_the_events(
    leader: Leader, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_executor, "_REPORTS_LOOK_S", 0.05)
    (execution,) = leader.claim()
    worker.take_all()
    worker.report(started(execution), is_notified=False)
    assert leader.next_event() == started(execution)


def test_many_claims_are_offered_in_one_commit(leader: Leader, worker: ScriptedWorker) -> None:
    executions = leader.claim(count=500)
    assert worker.take_all() == executions


def test_a_commit_that_fails_offers_nothing(leader: Leader, database_url: str) -> None:
    (execution,) = leader.claim()
    row = leader.store.load().executions[0]._replace(generation=1)
    rows = {name: row._replace(id=name) for name in ("a", "b")}
    with pytest.raises(DuplicateClaimError):
        leader.store.commit(Batch(executions=rows))
    assert [each.id for each in leader.store.load().executions] == [execution]
    assert count_in(database_url, "dispatches") == count_in(database_url, "procrastinate_jobs") == 1


def test_an_execution_that_starts_and_ends_in_one_commit_is_not_offered(
    leader: Leader, database_url: str
) -> None:
    (execution,) = leader.claim()
    row = leader.store.load().executions[0]._replace(id="other")
    leader.store.commit(Batch(executions={"other": row}, ended=["other", execution]))
    assert count_in(database_url, "dispatches") == 0


# --- reports that do not fit


def test_a_repeated_report_is_dropped_and_counted(leader: Leader, worker: ScriptedWorker) -> None:
    (execution,) = leader.claim()
    worker.take_all()
    end = ended(execution)
    for _ in range(2):
        worker.report(started(execution))
        leader.until(lambda: bool(leader.events), "the start")
    worker.report(end, end)
    leader.until(lambda: leader.events[-1] == end, "the end")
    worker.report(started(execution), end)
    leader.until(lambda: leader.dropped_reports == 3, "three dropped reports")
    assert leader.events == [started(execution), end]


def test_an_end_that_comes_before_its_start_waits_for_it(
    leader: Leader, worker: ScriptedWorker
) -> None:
    (execution,) = leader.claim()
    worker.take_all()
    end = ended(execution)
    worker.report(end)
    assert leader.turn() == []
    worker.report(started(execution))
    leader.until(lambda: len(leader.events) == 2, "both")
    assert leader.events == [started(execution), end]


def test_an_end_whose_start_never_comes_is_a_lost_execution(
    leader: Leader, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_inbox, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(fleet_executor, "_REPORTS_LOOK_S", 0.02)
    (execution,) = leader.claim()
    worker.take_all()
    worker.report(ended(execution))
    assert leader.next_event() == Lost(execution=execution, stage=Stage.RUNNING, node="worker")


@pytest.mark.parametrize(("kind", "body"), [("started", "{}"), ("finished", "nonsense")])
def test_a_malformed_report_is_dropped(
    leader: Leader, worker: ScriptedWorker, database_url: str, kind: str, body: str
) -> None:
    (execution,) = leader.claim()
    worker.write(execution, kind, body)
    worker.report()
    leader.until(lambda: leader.dropped_reports == 1, "a dropped report")
    leader.until(lambda: count_in(database_url, "reports") == 0, "its end")
    assert leader.events == []


# --- stops


def test_an_execution_that_nobody_took_is_withdrawn(leader: Leader, worker: ScriptedWorker) -> None:
    (execution,) = leader.claim()
    (job,) = worker.jobs()
    leader.executor.stop(execution, Reason.KILLED_BY_USER)
    assert leader.next_event() == NotStarted(execution=execution, why=None)
    assert not worker.take(job), "a late job is harmless"


def test_a_worker_is_asked_to_end_an_execution_that_it_took(
    leader: Leader, worker: ScriptedWorker
) -> None:
    (execution,) = leader.claim()
    worker.take_all()
    worker.connection.execute("LISTEN runner_stops")
    leader.executor.stop(execution, Reason.TIMEOUT)
    leader.turn()
    assert worker.asked_to_end() == {execution: "timeout"}
    assert [each.channel for each in worker.connection.notifies(timeout=60, stop_after=1)] == [
        "runner_stops"
    ]
    assert leader.turn() == []


def test_a_stop_of_an_execution_that_is_over_changes_nothing(
    leader: Leader, worker: ScriptedWorker
) -> None:
    (execution,) = leader.claim()
    worker.take_all()
    worker.report(started(execution), ended(execution))
    leader.until(lambda: len(leader.events) == 2, "the end")
    leader.executor.stop(execution, Reason.KILLED_BY_USER)
    leader.turn()
    assert worker.asked_to_end() == {}


# --- jobs and workers that are gone


def test_an_execution_whose_job_vanished_is_offered_again(
    leader: Leader, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatches, "_UNSEEN_S", 0.0)
    monkeypatch.setattr(fleet_executor, "_OFFERS_LOOK_S", 0.05)
    (execution,) = leader.claim()
    (lost,) = worker.jobs()
    jobs = list[Job]()

    def has_come() -> bool:
        jobs.extend(worker.jobs())
        return bool(jobs)

    leader.until(has_come, "another job")
    assert not worker.take(lost)
    assert [job.execution for job in jobs] == [execution]
    assert worker.take(jobs[0])


def test_a_job_that_waits_or_that_a_live_worker_has_is_left_alone(
    leader: Leader, worker: ScriptedWorker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatches, "_UNSEEN_S", 0.0)
    waits, fetched, dead = leader.claim(count=3)
    alive, gone = (
        execute(database_url, "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")[0][0]
        for _ in range(2)
    )
    for execution, by in ((fetched, alive), (dead, gone)):
        execute(
            database_url,
            f"UPDATE procrastinate_jobs SET status = 'doing', worker_id = {by}"
            f" WHERE args->>'execution' = '{execution}'",
        )
    execute(
        database_url,
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"
        f" WHERE id = {gone}",
    )
    assert [execution for execution, _ in dispatches.unheard(worker.connection)] == [dead]
    assert waits not in (fetched, dead)


def test_the_executions_of_a_silent_worker_are_lost_after_a_while(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    leader = Leader(database_url, tmp_path / "leader", lost_after_s=1.0)
    running, starting = leader.claim(count=2)
    worker.join(worker.take_all())
    worker.report(started(running))
    assert leader.next_event() == started(running)
    found = {leader.next_event(), leader.next_event()}
    assert found == {
        Lost(execution=running, stage=Stage.RUNNING, node="worker"),
        Lost(execution=starting, stage=Stage.STARTING, node="worker"),
    }
    worker.report(ended(running))
    leader.until(lambda: leader.dropped_reports == 1, "a late report")
    leader.close()


def test_a_silent_worker_has_the_time_that_the_former_leader_gave(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    leader = Leader(database_url, tmp_path / "leader", lost_after_s=0.5)
    begun_s = leader.clock.elapsed_s()
    leader.executor.note_former({LOST_AFTER: "3"})
    (execution,) = leader.claim()
    worker.join(worker.take_all())
    assert leader.next_event() == Lost(execution=execution, stage=Stage.STARTING, node="worker")
    assert leader.clock.elapsed_s() >= begun_s + 3.0
    leader.close()


def test_a_worker_that_beats_keeps_its_executions(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    leader = Leader(database_url, tmp_path / "leader", lost_after_s=0.5)
    executions = leader.claim(count=3)
    worker.take_all()
    until_s = leader.clock.elapsed_s() + 2.0

    def beaten() -> bool:
        worker.join(executions)
        return leader.clock.elapsed_s() > until_s

    leader.until(beaten, "four times as long")
    assert leader.events == []
    leader.close()


def test_an_execution_that_its_live_worker_does_not_list_is_lost(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    leader = Leader(database_url, tmp_path / "leader", lost_after_s=2.0)
    listed, unlisted = leader.claim(count=2)
    worker.take_all()

    def is_lost() -> bool:
        worker.join([listed])
        return bool(leader.events)

    leader.until(is_lost, "a loss")
    assert leader.events == [Lost(execution=unlisted, stage=Stage.STARTING, node="worker")]
    leader.close()


def test_a_reported_end_counts_more_than_a_lost_worker(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    leader = Leader(database_url, tmp_path / "leader", lost_after_s=0.5)
    (execution,) = leader.claim()
    worker.take_all()
    worker.report(started(execution), ended(execution), is_notified=False)
    leader.until(lambda: len(leader.events) == 2, "both reports")
    assert leader.events == [started(execution), leader.events[1]]
    assert not isinstance(leader.events[1], Lost)
    leader.close()


# --- another leader


def test_a_new_leader_goes_on_in_the_middle_of_everything(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    former = Leader(database_url, tmp_path / "former")
    waiting, starting, running, over, stopped = former.claim(count=5)
    waits, *others = worker.jobs()
    assert waits.execution == waiting
    for job in others[:-1]:
        worker.take(job)
    worker.report(started(running))
    former.until(lambda: former.events == [started(running)], "a start")
    former.executor.stop(stopped, Reason.KILLED_BY_USER)
    former.store.commit(Batch())  # and it dies before the event of the withdrawal
    end = ended(over)
    worker.report(started(over), end, started(starting))
    execute(database_url, "UPDATE lease SET expires = '-infinity'")

    leader = Leader(database_url, tmp_path / "leader")
    for execution in (waiting, starting, over, stopped):
        assert leader.adopt(execution) is Elsewhere.UNDER_WAY
    assert leader.adopt(running, pid=7) is Elsewhere.UNDER_WAY
    leader.executor.stop(stopped, Reason.KILLED_BY_USER)  # as the taking over does
    leader.until(lambda: len(leader.events) == 4, "all that was reported meanwhile")
    assert {event for event in leader.events if not isinstance(event, type(end))} == {
        started(over),
        started(starting),
        NotStarted(execution=stopped, why=None),
    }
    assert end in leader.events
    assert worker.take(waits), "its job is still good"
    with pytest.raises(LeaseLostError):
        former.store.commit(Batch(meta={"a": "b"}))
    former.close()
    leader.close()


def test_a_former_leader_changes_nothing_any_more(
    database_url: str, tmp_path: Path, worker: ScriptedWorker
) -> None:
    former = Leader(database_url, tmp_path / "former")
    (execution,) = former.claim()
    worker.take_all()
    execute(database_url, "UPDATE lease SET expires = '-infinity'")
    leader = Leader(database_url, tmp_path / "leader")
    leader.adopt(execution)
    former.executor.stop(execution, Reason.KILLED_BY_USER)
    worker.report(started(execution))
    with pytest.raises(LeaseLostError):
        former.turn()
    assert worker.asked_to_end() == {}
    assert leader.next_event() == started(execution), "the report stays for the new leader"
    former.close()
    leader.close()


def test_an_execution_that_was_never_offered_is_not_adopted(leader: Leader) -> None:
    assert leader.adopt(str(uuid4())) is None


def test_an_answer_of_the_database_that_fails_is_no_event(leader: Leader) -> None:
    """A broken connection is opened again, and nothing is lost by it."""
    (execution,) = leader.claim()
    worker = ScriptedWorker(leader.url)
    worker.take_all()
    execute(
        leader.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN"
        " ('runner executor', 'runner runner_reports')",
    )
    worker.report(started(execution))
    assert leader.next_event() == started(execution)
    worker.close()
