"""The default zone and the zone data in use: noticing that the system's changed, and
what follows.

The store keeps both. A start uses the kept ones first and then notices a change like a
running runner does. So the result is the same whether a runner was running at the time
of the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.errors import RuleError, RunnerError
from runner.monitor.event_facts import RunnerFacts
from runner.monitor.events import runner_reloaded
from runner.planning.transitions.rezoning import known_fires, rezoned, zone_of
from runner.requests.building.stored import definition_text, request_from_definition
from runner.requests.model import ProcessRequest
from runner.service.clocks.kept_zones import meta_of_zones
from runner.service.deciding.decision import Decision
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.system.clock import Clock
from runner.system.zone_data import system_zone
from runner.timing.zones import changed_zone_data, use_zone_data, zone_named
from runner.values import listed

_SHOWN = 3
LOOK_EVERY_S = 5.0
"""How often to look at the system's zone; the jobs folder is compared as often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneChange:
    """The new default zone, the former one, and the new data of each zone whose data changed."""

    zone: str
    former: str
    data: Mapping[str, bytes]

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = (
            [f"the system's zone is now {self.zone} (before: {self.former})"]
            if self.zone != self.former
            else []
        )
        if self.data:
            parts.append(f"there is new zone data for {listed(self.data, _SHOWN)}")
        return f"{'; '.join(parts)}; it applies from now on"


class ZoneWatch:
    """Looks at the system's zone and zone data every few seconds. Reads files."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.zone = settings.zone
        self._follows_system = settings.follows_system_zone
        self._clock = clock
        self._look_at_s = 0.0

    def look_at_once(self) -> None:
        """Let the next call of `look` look at once."""
        self._look_at_s = 0.0

    def look(self) -> ZoneChange | None:
        """Return what has changed; None if nothing has, or if it is too early to look."""
        if (now_s := self._clock.elapsed_s()) < self._look_at_s:
            return None
        self._look_at_s = now_s + LOOK_EVERY_S
        zone, data = self._default_zone(), changed_zone_data()
        return (
            ZoneChange(zone=zone, former=self.zone, data=data)
            if data or zone != self.zone
            else None
        )

    def _default_zone(self) -> str:
        """Return the system's zone; while the system names an unknown one, the zone in use."""
        if not self._follows_system:
            return self.zone
        try:
            return zone_named(system_zone()).key
        except RuleError:
            return self.zone


def decide(change: ZoneChange, decision: Decision, registry: Registry, about: RunnerFacts) -> None:
    """Give due fires their verdicts by the former rules, then apply the new zone data.

    Only requests in a changed zone are concerned. Afterwards the new zone data is in use,
    and `decision.requests` are built with it. If the commit fails, the caller restores
    the former data.
    """
    concerned = [name for name, request in registry.requests.items() if _concerns(change, request)]
    for name in concerned:
        decision.fire(name)
    # The known fires must be computed before the new zone data is in use.
    former = {
        name: known_fires(registry.requests[name], state)
        for name in concerned
        if (state := decision.state(name)) is not None
    }
    use_zone_data(change.data)
    decision.requests = {
        **registry.requests,
        **{name: _rebuilt(registry.requests[name], change) for name in concerned},
    }
    for name, before in former.items():
        state = decision.state(name)
        assert state is not None, "a request with known fires has a state"
        registration = rezoned(before, decision.requests[name], state, decision.now)
        # `put` comes before `register`, so that no fire counts as abandoned. An unchanged
        # state is written, too: its row names the next fire.
        decision.put(name, registration.state)
        if registration.state != state:
            decision.register(name, registration)
    if concerned or change.zone in change.data or change.zone != change.former:
        decision.record(runner_reloaded(about, message=change.summary))
    decision.batch.meta |= meta_of_zones(change.zone)


def _concerns(change: ZoneChange, request: ProcessRequest) -> bool:
    zone = zone_of(request)
    return zone is not None and (zone in change.data or (zone == change.former != change.zone))


def _rebuilt(request: ProcessRequest, change: ZoneChange) -> ProcessRequest:
    """Build a request with the zone data in use.

    If its rule is impossible there, keep the request as it is until its file is read.
    """
    definition = definition_text(request)
    try:
        return request_from_definition(definition, default_zone=change.zone, accepted=_Everything())
    except RunnerError:
        return request


class _Everything:
    """Contains everything: a definition in force needs no new validation."""

    def __contains__(self, _: object) -> bool:
        return True
