"""Checks of a fleet: whether a node leads, whether it serves the requests of this machine's jobs
folder, and whether workers serve the queues. Reads the store and the folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import closing

from runner.errors import StoreUnwritableError
from runner.examination.doctor_findings import DoctorFinding, advice, good, problem
from runner.examination.subject import Subject
from runner.requests.building.request import queues_named_in
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.model import DEFAULT_QUEUE
from runner.service.fleet.leader_watch import LEADER
from runner.store.opening import read_store
from runner.store.rows import RequestRow
from runner.values import counted, listed

_MOST_NAMED = 3


def fleet_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report a fleet without a leader or with other requests than the jobs folder has, and each
    queue of a request that no live worker serves.
    """
    if subject.url is None:
        return
    try:
        with closing(read_store(subject.store)) as reader:
            fleet, snapshot = reader.fleet(), reader.snapshot()
    except StoreUnwritableError:  # the check of the store says so
        return
    if fleet is None:
        return
    requests = snapshot.requests
    yield from _difference(subject, {row.name for row in requests if row.file is not None})
    yield _leader_finding(fleet.leader, snapshot.meta.get(LEADER))
    for queue, names in sorted(_users_of_queues(requests).items()):
        if count := fleet.served(queue):
            yield good("queue", f"{counted(count, 'live worker')} for the queue {queue}")
            continue
        message = f"no live worker serves the queue {queue} of {listed(names, _MOST_NAMED)}"
        yield problem("queue", message, _way_to_serve(queue, fleet.drained(queue)))


def _leader_finding(leader: str | None, former: str | None) -> DoctorFinding:
    """Report who leads. A store that no node has served yet may still wait for the first one."""
    if leader is not None:
        return good("fleet", f"{leader} leads")
    message, hint = "no node leads, so nothing fires", "start one: `runner start`"
    if former is None:
        return advice("fleet", message, hint)
    return problem("fleet", f"{message}; the last leader was {former}", hint)


def _way_to_serve(queue: str, drained: Sequence[str]) -> str:
    """Return how to get a worker for a queue; `drained` workers would serve it.

    >>> _way_to_serve("gpu", ["vm", "vm-2"])
    'vm, vm-2 serve it, but are drained: `runner restart` there lets them take again'
    """
    if not drained:
        return f"start one: `runner work --queue {queue}`"
    serve, them = (
        ("serves it, but is", "it") if len(drained) == 1 else ("serve it, but are", "them")
    )
    names = listed(drained, _MOST_NAMED)
    return f"{names} {serve} drained: `runner restart` there lets {them} take again"


def _difference(subject: Subject, served: Set[str]) -> Iterator[DoctorFinding]:
    """Report how the names of the served requests differ from those in the jobs folder."""
    if subject.listing is None or not served:
        return
    own = CatalogReader(subject.jobs, default_zone=subject.zone).read().requests.keys()
    if own and own.isdisjoint(served):
        yield problem(
            "fleet",
            f"the fleet serves other requests ({listed(sorted(served), _MOST_NAMED)}) than those in"
            f" {subject.jobs}, which never run",
            "if this folder is another fleet's, give that one a schema of its own: `?schema=NAME`"
            " in the URL of its store",
        )
    elif different := sorted(own ^ served):
        yield advice(
            "fleet",
            f"{subject.jobs} differs from what the fleet serves: {listed(different, _MOST_NAMED)}",
            "deliver the same commit to each node, or `runner reload` for the leader's folder",
        )


def _users_of_queues(requests: Iterable[RequestRow]) -> dict[str, list[str]]:
    """Return the names of the requests in force that name each queue, or none."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in requests:
        if row.file is not None and row.definition is not None:
            for queue in queues_named_in(row.definition) or {DEFAULT_QUEUE}:
                found[queue].append(row.name)
    return found
