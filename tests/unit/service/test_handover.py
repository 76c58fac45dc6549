"""What a program hands over to the one that replaces it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.execution.handed_over import HandedOver
from runner.lifecycle import Reason
from runner.service.beside.child_pipe import HandedChild
from runner.service.handover import Handover
from runner.store.lock import owner_pid, take_lock
from runner.system.inheritance import inheritable

VARIABLE = "_RUNNER_HANDOVER"
PROCESS = HandedOver(
    execution="e1",
    pid=4711,
    pid_started=99,
    begun_s=1.5,
    report=7,
    secrets=("s3cret",),
    is_supervised=True,
    own_peak=1,
    sampled_peak=None,
    stopped_for=Reason.TIMEOUT,
)


@pytest.mark.parametrize(
    "handover",
    [
        Handover(folder_lock=5),
        Handover(
            folder_lock=5,
            jobs_lock=6,
            processes=(PROCESS,),
            worker=HandedChild(node="alpha", pid=12, pipe=8),
        ),
    ],
)
def test_the_next_program_reads_what_was_written(handover: Handover) -> None:
    environment = {VARIABLE: str(handover.write()), "HOME": "/"}
    assert Handover.taken_from(environment) == handover
    assert environment == {"HOME": "/"}
    assert Handover.taken_from(environment) is None


def test_the_next_program_reads_what_one_without_a_worker_wrote() -> None:
    former = {"version": 1, "pid": os.getpid(), "store_lock": 5, "jobs_lock": 6, "processes": []}
    content = os.memfd_create("handover", 0)
    os.write(content, json.dumps(former).encode())
    os.lseek(content, 0, os.SEEK_SET)
    assert Handover.taken_from({VARIABLE: str(content)}) == Handover(folder_lock=5, jobs_lock=6)


def test_a_program_that_does_not_know_the_version_takes_the_lock_itself(tmp_path: Path) -> None:
    with take_lock(tmp_path) as lock:
        inherited = inheritable(lock.fileno())
    assert owner_pid(tmp_path) == os.getpid()
    content = os.memfd_create("handover", 0)
    os.write(content, json.dumps({"version": 99, "folder_lock": inherited}).encode())
    os.lseek(content, 0, os.SEEK_SET)
    assert Handover.taken_from({VARIABLE: str(content)}) is None
    assert owner_pid(tmp_path) is None
