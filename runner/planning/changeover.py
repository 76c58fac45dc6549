"""Compute what happens when a new catalog replaces the requests in force. Pure.

The runner carries out a `Changeover`, and `plan` shows it. Both call the functions of this
module, so the runner does what `plan` says.

A changeover has two parts. `changeover` compares the catalogs once: which requests come
into force, how they differ, and which of them continue the state of another.
`Changeover.registrations` then gives some requests their new states. The runner calls it
for a few hundred requests per turn, because a large delivery must not delay a fire. The
requests that wait for a later turn keep their old definition and state until then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from runner.planning.difference import Difference, difference
from runner.planning.fires.planned_status import Registration
from runner.planning.last_good import InForce, in_force
from runner.planning.states.pauses import NO_PAUSES, Pauses
from runner.planning.states.renaming import States, renamings
from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import (
    register,
    register_renamed,
    remove,
    renamed_away,
    settling_former,
)
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.catalog.catalog import Catalog
from runner.requests.model import ProcessRequest
from runner.requests.policies import NO_RETENTION

Requests = Mapping[str, ProcessRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a runner serves: the requests in force, and the states of all requests.

    `states` includes the requests that were removed.
    """

    requests: Requests
    states: States
    pauses: Pauses = NO_PAUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Changeover:
    """The change from the requests in force to those of a new catalog.

    `renamed` maps each added request that continues the state of another one to that
    one's name.
    """

    in_force: InForce
    difference: Difference
    renamed: Mapping[str, str]

    def registrations(
        self, old: Served, names: Iterable[str], now: datetime
    ) -> Iterator[tuple[str, Registration]]:
        """Yield the new registration of each of `names` whose state or definition changes.

        A name is one of the new requests or one of `difference.removed`. A request that
        continues under a new name is not removed. Register the new name first: until then
        the former one must be in `old`, because its due fires would get no verdict.
        """
        new, continued = self.in_force.requests, frozenset(self.renamed.values())
        for name in names:
            request, before = old.requests.get(name), old.states.get(name)
            if name in new:
                registration = registration_of(new[name], old, self.renamed.get(name), now)
                if registration.state != before or new[name] != request:
                    yield name, registration
            elif before is not None and name not in continued:
                kept = request.retention if request else NO_RETENTION
                removed = remove(before, now, retention=kept)
                yield name, settling_former(removed, request, before, now)

    def states_by_new_name(self, states: States) -> States:
        """Return the states with each renamed request's state under its new name as well."""
        moved = {name: states[former] for name, former in self.renamed.items()}
        return {**states, **moved} if moved else states


def changeover(
    old: Served,
    catalog: Catalog,
    *,
    allow_empty: bool = False,
    among: Collection[str] | None = None,
) -> Changeover:
    """Compare a catalog with what is served now.

    `allow_empty` accepts a folder from which all files have vanished (see `in_force`). If
    `among` is given, the caller knows that all other names are unchanged.
    """
    force = in_force(catalog, old.requests, allow_empty=allow_empty, among=among)
    changes = difference(old.requests, force.requests, among=among)
    return Changeover(
        in_force=force,
        difference=changes,
        renamed=renamings(changes.added, outlines_of(force.requests), old.states),
    )


def registration_of(
    request: ProcessRequest, old: Served, former: str | None, now: datetime
) -> Registration:
    """Register a request in place of what is served under its name.

    With a `former` name, it continues that one's state. The fires that were due and fall due
    no more are settled as missed.
    """
    if former is None:
        known_as, registration = request.name, register(request, old.states.get(request.name), now)
    else:
        known_as = former
        registration = register_renamed(request, old.states[former], now, former=former)
    return settling_former(registration, old.requests.get(known_as), old.states.get(known_as), now)


def resulting_states(
    name: str, registration: Registration, states: States, now: datetime
) -> dict[str, RequestState]:
    """Return the states by name that a registration changes.

    A renamed request changes two: its own, and the one that stays under the former name.
    """
    former = registration.renamed_from
    left = {former: renamed_away(states[former], name, now)} if former is not None else {}
    return {**left, name: registration.state}
