"""Checks of a store in PostgreSQL: its tables, and whether its commits last. Reads the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.store.opening import database_condition
from runner.values import counted

if TYPE_CHECKING:
    from runner.store.postgres.checkup import DatabaseCondition


def database_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the database answers, its tables, and what may lose commits."""
    try:
        condition = database_condition(subject.store)
    except StoreError as error:
        message, _, right = str(error).partition("; ")
        yield problem("store", message, right or "see the log of the server")
        return
    if condition.version == 0:
        message = f"there is no store yet in {subject.store.words}; `runner start` creates it"
        yield good("store", message)
        return
    yield from list(_doubts(condition)) or [
        good("store", f"version {condition.version}, in PostgreSQL {condition.server}")
    ]


def _doubts(condition: DatabaseCondition) -> Iterator[DoctorFinding]:
    if condition.version < condition.newest:
        message = f"it has version {condition.version}, this program writes {condition.newest}"
        yield advice("store", message, "stop all nodes, then `runner store migrate`")
    if not condition.is_durable:
        yield problem(
            "store",
            "the server confirms commits that are not on its disk (fsync is off): after a crash"
            " of its machine, what ran may run again",
            "set fsync = on in postgresql.conf",
        )
    if condition.asynchronous:
        yield warning(
            "store",
            f"{counted(condition.asynchronous, 'standby server')} may lack the last commits: if"
            " one takes over, what ran since may run again",
            "name it in synchronous_standby_names",
        )
    if condition.is_pooled:
        yield warning(
            "store",
            "a connection pool such as PgBouncer lies before the server: unless it pools"
            " sessions, it loses notifications",
            "connect to the server directly",
        )
