"""Defers a job of Procrastinate for each offer, in the transaction of the offer.

A job only says that an execution waits for a worker; its row in `dispatches` decides. So
no lock, retry or stalled-job feature of Procrastinate is used. The one module of the
leader that knows Procrastinate.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from procrastinate import SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.types import JSONDict

from runner.store.postgres.connection import Connection
from runner.store.postgres.dispatches import Offer
from runner.store.postgres.worker_side import TASK


class Deferring:
    """Defers jobs. It opens no connection of its own."""

    def __init__(self) -> None:
        self._manager = JobManager(SyncPsycopgConnector())

    def defer(self, connection: Connection, offers: Iterable[Offer]) -> None:
        """Defer a job for each offer, in the order of the offers. Raises psycopg.Error."""
        jobs = [_job(each) for each in offers]
        if not jobs:
            return
        try:
            self._manager.batch_defer_jobs(jobs=jobs, connection=connection)
        except ConnectorException as error:
            if isinstance(error.__cause__, psycopg.Error):
                raise error.__cause__ from None
            raise


def _job(offer: Offer) -> Job:
    arguments: JSONDict = {"execution": offer.execution, "dispatch": str(offer.dispatch)}
    return Job(
        queue=offer.queue, lock=None, queueing_lock=None, task_name=TASK, task_kwargs=arguments
    )
