"""A jobs folder and a runner on it without processes, store or log: one decision at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runner.commands import Command
from runner.commands import CommandKind as Button
from runner.monitor.records import Event, Record
from runner.planning.changeover import Served
from runner.planning.difference import touched
from runner.planning.views.plan import Plan, plan
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.notices import Notices
from runner.service.deciding.answering import answer
from runner.service.deciding.decision import Decision
from runner.service.executions.in_progress import InProgress
from runner.service.registry import Registry, request_row
from runner.service.reload import catalog_change
from runner.service.reload.folder_gate import FolderGate
from runner.service.reload.reloader import Reading
from runner.service.runner_settings import Settings
from runner.service.situation import Situation

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Document = dict[str, Any]


class World:
    """A jobs folder and a runner on it, without processes, store or log; also its clock."""

    def __init__(self, folder: Path) -> None:
        self.at = NOON
        self.jobs = folder / "jobs.d"
        self.jobs.mkdir()
        self.settings = Settings(
            jobs=self.jobs, state=folder, monitor_log=folder / "log", zone="UTC"
        )
        self.reader = self.fresh_reader()
        self.registry = Registry(self)
        self.alerts = Alerts(self.registry, Notices(()), ())
        self.is_first = True
        self.gate = FolderGate(None, is_open=True)
        self.commit: str | None = None
        self.claims: list[tuple[str, datetime]] = []
        self.records: list[tuple[Event, Mapping[str, Any]]] = []

    def now(self) -> datetime:
        return self.at

    def elapsed_s(self) -> float:
        return (self.at - NOON).total_seconds()

    def fresh_reader(self) -> CatalogReader:
        return CatalogReader(self.jobs, default_zone="UTC")

    def write(self, name: str, document: Document | str) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        (self.jobs / f"{name}.yaml").write_text(text)

    def remove(self, name: str) -> None:
        (self.jobs / f"{name}.yaml").unlink(missing_ok=True)

    def plan(self) -> Plan:
        """Return a plan, as `plan --live` does."""
        catalog = self.fresh_reader().read(dict(self.registry.incumbents()))
        return plan(
            Served(requests=self.registry.requests, states=self.registry.states),
            catalog,
            self.at,
            {},
        )

    def reload(self) -> catalog_change.CatalogChange:
        """Put the folder in force and fire what is due, as the loop does."""
        self.claims, self.records = [], []
        catalog = exhausted(self.reader.scan(self.registry.incumbents()))
        names = exhausted(touched(self.registry.requests, catalog.requests))
        reading = Reading(catalog=catalog, touched=names, git_commit=self.commit, begun_s=0.0)
        change = catalog_change.compare(reading, self.registry)
        if self.gate.holds_back(change):
            change = catalog_change.compare(self.gate.kept(reading), self.registry)
        decision = self._decision()
        catalog_change.decide(change, decision, self.registry, is_first=self.is_first)
        self._commit(decision)
        self.registry.accept_catalog(change.changeover.in_force, change.reading.catalog)
        if self.is_first:
            self.registry.plan_all()
        self.is_first = False
        self.fire()
        return change

    def fire(self) -> None:
        """Fire all due requests."""
        is_done = False
        while not is_done:
            decision = self._decision()
            for name in self.registry.take_due(has_claims_ahead=False):
                decision.fire(name)
                self.registry.plan_when_due(name)
            self._commit(decision)
            is_done = not self.registry.has_due

    def expire(self) -> None:
        """Note the deadlines of checks that have passed."""
        decision = self._decision()
        decision.note_expired(self.alerts.take_expired(self.elapsed_s()))
        self._commit(decision)

    def press(self, button: Button, name: str) -> None:
        decision = self._decision()
        answer(Command(kind=button, targets=(name,), requested_by="maria"), decision)
        self._commit(decision)

    def restart(self) -> None:
        """Start again from the rows that the store would hold."""
        rows = [
            request_row(name, self.registry.requests.get(name), state)
            for name, state in self.registry.states.items()
        ]
        self.registry, self.reader, self.is_first = Registry(self), self.fresh_reader(), True
        self.registry.load(rows, zone="UTC")
        self.registry.plan_all()

    def events(self, name: str) -> list[tuple[str, str | None]]:
        """Return the last reload's `request.*` events about a request, with their messages."""
        return [
            (event.removeprefix("request."), fields["message"])
            for event, fields in self.records
            if event.startswith("request.") and fields["request"] == name
        ]

    def _decision(self) -> Decision:
        return Decision(
            Situation(now=self.at, now_s=self.elapsed_s()),
            registry=self.registry,
            in_progress=InProgress(),
            alerts=self.alerts,
            line_of=self._line,
            settings=self.settings,
        )

    def _commit(self, decision: Decision) -> None:
        decision.alerts.finish(decision.requests, decision.batch, decision.record)
        decision.alerts.accept()
        self.registry.accept(decision.states)
        self.claims += [
            (each.request, each.claim.scheduled_for)
            for each in decision.claims.changes.changed.values()
        ]

    def _line(self, record: Record, at: datetime) -> bytes:
        """Keep a record of a decision."""
        self.records.append(record)
        return b"{}"


@contextmanager
def world() -> Iterator[World]:
    with TemporaryDirectory() as folder:
        yield World(Path(folder))
