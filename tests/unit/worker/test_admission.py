"""Which users a worker lets executions run as."""

from __future__ import annotations

import os
import pwd

from support.executions_world import process

from runner.requests.model import RunAs
from runner.worker.admission import refusal

OWN = pwd.getpwuid(os.geteuid()).pw_name


def test_without_a_list_any_user_is_allowed() -> None:
    assert refusal(process("a", run_as=RunAs(user="maria")), frozenset()) is None


def test_a_user_is_allowed_by_name_or_number() -> None:
    for user in ("nobody", str(pwd.getpwnam("nobody").pw_uid)):
        assert refusal(process("a", run_as=RunAs(user=user)), {"nobody"}) is None


def test_a_user_who_is_not_listed_is_refused_with_the_list() -> None:
    why = refusal(process("a", run_as=RunAs(user="root2")), {"nobody", "maria"})
    assert why == "this worker may not run anything as root2 (it allows maria, nobody)"


def test_the_workers_own_user_must_be_listed_too() -> None:
    assert refusal(process("a"), {OWN}) is None
    assert refusal(process("a"), {"somebody-else"}) is not None
