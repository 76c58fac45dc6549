"""What is wrong with the runner itself, from its trouble to its end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.alerts_world import AlertsWorld

from runner.lifecycle import Check
from runner.service.alerts.own_checks import DISK_EVERY_S, OwnChecks

MINUTE = timedelta(minutes=1)
FULL = "the disk is full"


class _ClockOf:
    def __init__(self, here: AlertsWorld) -> None:
        self._here = here

    def now(self) -> datetime:
        return self._here.now

    def elapsed_s(self) -> float:
        return self._here.now_s


@dataclass
class OwnWorld(AlertsWorld):
    """The runner's own checks."""

    folder: Path = Path("/")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.troubles: dict[Check, str | None] = {}
        self.store: str | None = None
        self.checks = OwnChecks(self.alerts, lambda: self.troubles, self.folder, _ClockOf(self))

    def turn(self) -> None:
        """Look once, and commit what was found, as the loop does."""
        self.checks.note_store(self.store)
        if self.store is not None:
            return  # the loop leaves the store alone
        news = self.checks.look(self.now_s, is_store_sound=True)
        decision = self._decision()
        for check, each in news:
            decision.note(None, None, each, check)
        self._commit(decision)
        self.checks.accept(news)
        self.wait(timedelta(seconds=1))


@pytest.fixture
def here(tmp_path: Path) -> OwnWorld:
    return OwnWorld(folder=tmp_path)


def own(here: OwnWorld) -> list[tuple[str, object]]:
    """Return the recorded events but those of a disk that is really full."""
    return [(event, check) for event, check, _ in here.events if check is not Check.DISK]


@pytest.mark.parametrize("check", [Check.LOG, Check.CLOCK])
def test_a_trouble_opens_one_alert_and_its_end_closes_it(here: OwnWorld, check: Check) -> None:
    here.troubles = {check: FULL}
    here.turn()
    here.turn()
    assert [each.message for each in here.alerts.open() if each.check is check] == [FULL]
    here.troubles = {check: None}
    here.turn()
    here.turn()
    assert own(here) == [("opened", check), ("closed", check)]
    assert all(fields["request"] is None for _, fields in here.records)


def test_a_lost_folder_alerts_after_five_minutes(here: OwnWorld) -> None:
    here.troubles = {Check.RELOAD: "gone"}
    here.turn()
    here.wait(5 * MINUTE - timedelta(seconds=3))
    here.turn()
    assert own(here) == []
    here.wait(timedelta(seconds=1))
    assert own(here) == [("opened", Check.RELOAD)]
    assert here.records[-1].fields["message"] == "gone"
    here.troubles = {Check.RELOAD: None}
    here.turn()
    assert own(here)[1:] == [("closed", Check.RELOAD)]


def test_a_queue_without_a_worker_alerts_after_a_minute(here: OwnWorld) -> None:
    here.troubles = {Check.QUEUE: "no worker serves gpu"}
    here.turn()
    here.wait(MINUTE - timedelta(seconds=3))
    here.turn()
    assert own(here) == []
    here.wait(timedelta(seconds=4))
    assert own(here) == [("opened", Check.QUEUE)]
    here.troubles = {Check.QUEUE: None}
    here.turn()
    assert own(here)[1:] == [("closed", Check.QUEUE)]


@pytest.mark.parametrize("check", [Check.LOG, Check.CLOCK, Check.RELOAD, Check.QUEUE])
def test_an_alert_stays_open_while_its_part_is_unknown(here: OwnWorld, check: Check) -> None:
    here.troubles = {check: "gone"}
    here.turn()
    here.wait(6 * MINUTE)
    here.troubles = {}
    here.turn()
    here.turn()
    assert own(here) == [("opened", check)]
    here.troubles = {check: None}
    here.turn()
    assert own(here)[1:] == [("closed", check)]


def test_an_alert_about_the_disk_stays_open_while_the_disk_does_not_answer(
    here: OwnWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost_full = SimpleNamespace(f_bavail=4, f_blocks=100, f_frsize=2**20)
    monkeypatch.setattr(os, "statvfs", lambda _: almost_full)
    here.turn()

    def refuse(_: object) -> Any:
        raise OSError

    monkeypatch.setattr(os, "statvfs", refuse)
    here.checks = OwnChecks(here.alerts, dict, here.folder, _ClockOf(here))
    here.turn()
    assert here.open() == {Check.DISK: 1}


def test_a_folder_that_comes_back_in_time_alerts_nobody(here: OwnWorld) -> None:
    here.troubles = {Check.RELOAD: "gone"}
    here.turn()
    here.wait(4 * MINUTE)
    here.troubles = {Check.RELOAD: None}
    here.turn()
    here.wait(60 * MINUTE)
    assert own(here) == []


def test_a_store_that_refused_opens_and_closes_an_alert_when_it_works_again(
    here: OwnWorld,
) -> None:
    here.store, began = FULL, here.now
    here.turn()
    here.wait(3 * MINUTE)
    here.turn()
    here.store = None
    here.turn()
    here.turn()
    assert own(here) == [("opened", Check.STORE), ("closed", Check.STORE)]
    assert {fields["since"] for _, fields in here.records if fields["check"] is Check.STORE} == {
        began
    }


def test_a_disk_with_less_than_5_percent_free_alerts_until_there_is_more(
    here: OwnWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 4

    def statvfs(_: object) -> Any:
        return SimpleNamespace(f_bavail=free, f_blocks=100, f_frsize=2**20)

    monkeypatch.setattr(os, "statvfs", statvfs)
    here.turn()
    assert here.open() == {Check.DISK: 1}
    free = 5
    here.wait(timedelta(seconds=DISK_EVERY_S))
    here.turn()
    assert here.open() == {}
