"""A new leader of a fleet serves the store's definitions until its folder is as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.decision_world import World, world

from runner.service.reload.folder_gate import FolderGate

SERVED, OTHER = "a" * 40, "b" * 40
OLD, NEW = {"process": {"shell": "echo old"}}, {"process": {"shell": "echo new"}}


@pytest.fixture
def leader() -> Iterator[World]:
    """Provide a new leader whose store has NEW of commit SERVED, and whose folder has OLD."""
    with world() as here:
        here.write("a", NEW)
        here.write("b", NEW)
        here.reload()
        here.restart()
        here.gate = FolderGate(SERVED, is_open=False)
        here.commit = OTHER
        here.write("a", OLD)
        here.remove("b")
        yield here


def commands(here: World) -> dict[str, str]:
    return {
        name: request.process.action.line  # type: ignore[union-attr]
        for name, request in here.registry.requests.items()
    }


def test_an_old_folder_changes_nothing_and_the_leader_says_so(leader: World) -> None:
    change = leader.reload()
    assert commands(leader) == {"a": "echo new", "b": "echo new"}
    assert change.reading.git_commit == SERVED
    assert change.summary == (
        "the jobs folder differs from what the fleet serves; all requests are kept: deploy the"
        " served commit there, and the runner reads it by itself (to take this folder instead:"
        " `runner reload`)"
    )
    assert change.is_news(leader.registry) is False, "it is reported once"


def test_the_folder_takes_effect_with_the_served_commit_and_all_its_later_changes(
    leader: World,
) -> None:
    leader.reload()
    leader.write("a", NEW)
    leader.commit = SERVED
    assert leader.reload().is_back
    assert commands(leader) == {"a": "echo new"}
    leader.write("a", OLD)
    leader.commit = OTHER
    leader.reload()
    assert commands(leader) == {"a": "echo old"}


def test_a_folder_with_the_same_content_needs_no_commit(leader: World) -> None:
    leader.commit = None
    for name in ("a", "b"):
        leader.write(name, NEW)
    leader.reload()
    leader.write("b", OLD)
    leader.reload()
    assert commands(leader) == {"a": "echo new", "b": "echo old"}


def test_a_person_can_make_an_old_folder_take_effect(leader: World) -> None:
    leader.reload()
    leader.gate.open()
    leader.reload()
    assert commands(leader) == {"a": "echo old"}


def test_a_missing_folder_does_not_open_the_gate(leader: World) -> None:
    leader.remove("a")
    leader.jobs.rmdir()
    leader.reload()
    leader.jobs.mkdir()
    leader.write("a", OLD)
    leader.reload()
    assert commands(leader) == {"a": "echo new", "b": "echo new"}
