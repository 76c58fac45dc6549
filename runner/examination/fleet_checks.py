"""Checks of a fleet: whether a node leads, and whether workers serve the queues. Reads the
store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing

from runner.examination.doctor_findings import DoctorFinding, advice, good, problem
from runner.examination.subject import Subject
from runner.requests.building.request import queues_named_in
from runner.requests.model import DEFAULT_QUEUE
from runner.store.opening import read_store
from runner.store.rows import RequestRow
from runner.values import counted, listed

_MOST_NAMED = 3


def fleet_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report a fleet without a leader, and each queue of a request that no live worker serves."""
    if subject.url is None:
        return
    with closing(read_store(subject.store)) as reader:
        fleet, requests = reader.fleet(), reader.snapshot().requests
    if fleet is None:
        return
    if fleet.leader is None:
        yield advice("fleet", "no node leads, so nothing fires", "start one: `runner start`")
    else:
        yield good("fleet", f"{fleet.leader} leads")
    for queue, names in sorted(_users_of_queues(requests).items()):
        if count := fleet.served(queue):
            yield good("queue", f"{counted(count, 'live worker')} for the queue {queue}")
            continue
        message = f"no live worker serves the queue {queue} of {listed(names, _MOST_NAMED)}"
        yield problem("queue", message, f"start one: `runner work --queue {queue}`")


def _users_of_queues(requests: Iterable[RequestRow]) -> dict[str, list[str]]:
    """Return the names of the requests in force that name each queue, or none."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in requests:
        if row.file is not None and row.definition is not None:
            for queue in queues_named_in(row.definition) or {DEFAULT_QUEUE}:
                found[queue].append(row.name)
    return found
