"""The jobs folder as the loop sees it: read at the start, and again after each change.

What was read is put in force through decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from runner.errors import RefusedError
from runner.monitor.event_facts import RunnerFacts
from runner.monitor.events import runner_reloaded, runner_started
from runner.planning.last_good import DIFFERS
from runner.service.clocks.kept_zones import meta_of_zones
from runner.service.clocks.zone_change import ZoneWatch
from runner.service.deciding.decision import Decision
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.deciding.mail import Mail
from runner.service.deciding.pausing import paused_words
from runner.service.deciding.web_changes import record_web_change
from runner.service.registry import Registry
from runner.service.reload import catalog_change
from runner.service.reload.background_reader import BackgroundReader
from runner.service.reload.catalog_change import CatalogChange
from runner.service.reload.catalog_switch import CatalogSwitch
from runner.service.reload.folder_gate import FolderGate
from runner.service.reload.reloader import Reading
from runner.service.runner_settings import Settings
from runner.service.systemd import Notifier
from runner.service.trouble import UNSETTLED
from runner.system.clock import Clock

READ_BUDGET_S = 0.005
"""How long one turn reads files."""


class JobsFolder:
    """Reads the folder and registers its requests.

    `is_registered` says whether the requests of a first reading are in force. `adopted`
    is the sentence about executions that a former runner left.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        reader: BackgroundReader,
        registry: Registry,
        decisions: DecisionMaker,
        mail: Mail,
        zones: ZoneWatch,
        notifier: Notifier,
        gate: FolderGate,
        adopted: str | None,
    ) -> None:
        self.is_registered = False
        self._settings = settings
        self._clock = clock
        self._reader = reader
        self._registry = registry
        self._decisions = decisions
        self._mail = mail
        self._zones = zones
        self._notifier = notifier
        self._gate = gate
        self._adopted = adopted
        self._switch: CatalogSwitch | None = None

    @property
    def is_serving(self) -> bool:
        """Whether requests are registered and may fire; a wrong clock prevents both."""
        return self.is_registered and self._decisions.trouble is None

    @property
    def is_switching(self) -> bool:
        """Whether a new catalog is partly in force."""
        return self._switch is not None

    @property
    def is_busy(self) -> bool:
        """Whether to call `advance` whenever nothing else is due."""
        return self.is_switching or self._reader.is_reading

    def announce(self, message: str | None) -> bool:
        """Record a start that registers nothing yet. Return False if the store refused."""
        decision = self._decisions.begin()
        self._record_start(decision, self._decisions.about(), message, rejected=())
        return self._decisions.commit(decision)

    def begin(self, *, is_start: bool, is_stopped: Callable[[], bool]) -> bool:
        """Read the folder for the first time and register its requests.

        `is_stopped` says whether a signal asked the runner to stop meanwhile. Return False
        if the store refused.
        """
        begun_s = self._clock.elapsed_s()
        reading = self._reader.read(self._registry.incumbents(), is_stopped=is_stopped)
        if reading is None:
            return not is_start or self.announce("stopped before the jobs folder was read")
        change = self._compared(reading)
        if not self._decisions.is_firing:
            self._accept(change)
            return True
        decision = self._decisions.begin()
        if is_start:
            self._record_first(change, decision)
        else:
            self._record_reload(change, decision, begun_s=begun_s)
        catalog_change.decide(change, decision, self._registry, is_first=True)
        decision.batch.meta |= self._meta_of(change)
        if not self._decisions.commit(decision):
            return False
        self.is_registered = True
        self._accept(change)
        self._registry.plan_all()
        return True

    def look_again(self) -> None:
        """Read the folder at once, and look at the system's zone. A person asked for it."""
        self._gate.open()
        self._zones.look_at_once()
        self._reader.look_again()

    def reload_on_command(self) -> None:
        """Read the folder again at once. Raises RefusedError while nothing may be read."""
        if (trouble := self._decisions.trouble) is not None:
            raise RefusedError(trouble)
        self.look_again()

    def advance(self) -> None:
        """Read the folder for one slice if necessary, and apply a complete reading."""
        if self._switch is None:
            reading = self._reader.advance(self._registry.incumbents(), READ_BUDGET_S)
            if reading is None:
                return
            asked = self._mail.reloads_before(reading.begun_s)
            is_emptying = any(command.allow_empty for command in asked.values())
            change = self._compared(reading, allow_empty=is_emptying)
            self._switch = CatalogSwitch(change, self._registry, asked)
        self._switch_on(self._switch)

    def _compared(self, reading: Reading, *, allow_empty: bool = False) -> CatalogChange:
        change = catalog_change.compare(reading, self._registry, allow_empty=allow_empty)
        if self._gate.holds_back(change):
            return catalog_change.compare(self._gate.kept(reading), self._registry)
        return change

    def _switch_on(self, switch: CatalogSwitch) -> None:
        """Apply some more requests of a reading. If the store refuses, the next turn retries."""
        decision, reading = self._decisions.begin(), switch.change.reading
        if switch.is_last:
            self._conclude(switch, decision)
        switch.decide(decision, self._registry)
        if self._decisions.commit(decision) and switch.accept(self._registry):
            self._mail.forget_reloads(switch.asked)
            self._decisions.git = reading.git_commit
            self._notifier.ready(begun_s=reading.begun_s)
            self._switch = None

    def _conclude(self, switch: CatalogSwitch, decision: Decision) -> None:
        """Record a reading, and answer the commands that asked for it."""
        change = switch.change
        if change.is_news(self._registry):
            by = next((command.requested_by for command in switch.asked.values()), None)
            before, begun_s = self._decisions.git, change.reading.begun_s
            self._record_reload(change, decision, begun_s=begun_s, before=before, by=by)
            for asked in switch.asked.values():
                record_web_change(asked, change.answer, decision, is_recorded=True)
        decision.batch.meta |= self._meta_of(change)
        for command in switch.asked:
            decision.batch.answers[command] = change.answer.text()

    def _record_first(self, change: CatalogChange, decision: Decision) -> None:
        message = catalog_change.start_message(change, is_new=not self._registry.states)
        rejected = catalog_change.recorded_changes(change).rejected
        self._record_start(decision, self._about_after(change), message, rejected=rejected)

    def _record_start(
        self,
        decision: Decision,
        about: RunnerFacts,
        message: str | None,
        *,
        rejected: Collection[str],
    ) -> None:
        """Record a start. The message also names the adopted executions and the pauses."""
        paused = paused_words(decision)
        decision.record(
            runner_started(
                about,
                message="; ".join(filter(None, (message, self._adopted, paused))) or None,
                monitor_log=str(self._settings.monitor_log),
                rejected=rejected,
            )
        )

    def _record_reload(
        self,
        change: CatalogChange,
        decision: Decision,
        *,
        begun_s: float,
        before: str | None = None,
        by: str | None = None,
    ) -> None:
        decision.record(
            runner_reloaded(
                self._about_after(change),
                message=change.summary,
                git_commit_before=before,
                requested_by=by,
                duration_s=self._clock.elapsed_s() - begun_s,
                changes=catalog_change.recorded_changes(change),
            )
        )

    def _about_after(self, change: CatalogChange) -> RunnerFacts:
        return replace(
            self._decisions.about(),
            git_commit=change.reading.git_commit,
            requests=len(change.changeover.in_force.requests),
        )

    def _meta_of(self, change: CatalogChange) -> dict[str, str]:
        reading, force = change.reading, change.changeover.in_force
        # The store has all that a new leader keeps against its own folder.
        is_unsettled = reading.catalog.rejections or force.emptiness not in (None, DIFFERS)
        return {
            "git_commit": reading.git_commit or "",
            UNSETTLED: "1" if is_unsettled else "",
            **meta_of_zones(self._zones.zone),
        }

    def _accept(self, change: CatalogChange) -> None:
        self._decisions.git = change.reading.git_commit
        self._registry.accept_catalog(change.changeover.in_force, change.reading.catalog)
