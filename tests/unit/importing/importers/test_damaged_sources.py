"""Damaged sources: an importer either refuses one with a message, or writes files that
mean what it read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.errors import Problem, RunnerError
from runner.importing.imported import Import, ImportSettings, Severity
from runner.importing.importers.crontab import from_crontab
from runner.importing.importers.kubernetes import from_kubernetes
from runner.importing.importers.openbravo import from_openbravo
from runner.importing.importers.yacron import from_yacron
from runner.importing.writing import request_text
from runner.requests.yaml.document import documents_in

SAMPLES = Path(__file__).parents[2] / "samples"
SETTINGS = ImportSettings(default_zone="Europe/Madrid", now=datetime(2026, 11, 22, tzinfo=UTC))
WORDS = [
    "", "[]", "{}", "5", "-1", "0", "1e9", "true", "~", '""', "*/5", "@every 1h", "9" * 30,
    "x" * 300, "\x01", "\u2028", "é", "'a", "2019-02-30", "Y", "7", "L", "?", "0 0 31 2 *", "- ",
    "\t", "%", "\\", "null", "#",
]  # fmt: skip
HOMES: dict[str | None, str] = {None: "/home/maria"}
SOURCES: dict[str, Callable[[str], Import]] = {
    "maria.crontab": lambda text: from_crontab(text, SETTINGS, has_users=False, homes=HOMES.get),
    "cronjobs.yaml": lambda text: from_kubernetes(text, SETTINGS, name="source"),
    "yacrontab.yaml": lambda text: from_yacron(text, SETTINGS, name="source"),
    "process_request.csv": lambda text: from_openbravo(
        text, SETTINGS, name="source", command="erp {process}"
    ),
    "process_request.xml": lambda text: from_openbravo(text, SETTINGS, name="source", command=None),
}


def damaged(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 2)):
        parts = re.split(r"([\s,:<>]+)", text)
        parts[dice.randrange(0, len(parts), 2)] = dice.choice([*WORDS, dice.choice(parts)])
        text = "".join(parts)
    return text


def check(name: str, seeds: range) -> int:
    """Import damaged copies of a sample; return how many could be read."""
    sample, read = (SAMPLES / name).read_text(), 0
    for seed in seeds:
        try:
            imported = SOURCES[name](damaged(sample, random.Random(seed)))
        except RunnerError as error:
            assert str(error)
            continue
        read += 1
        for request in imported.requests:
            has_changed = any(remark.severity is Severity.CHANGED for remark in request.remarks)
            assert request.data is not None or has_changed, seed
            if request.data is not None:
                assert not (has_changed and request.data.get("scheduled", True)), seed
                documents = documents_in(request_text(request, "source").encode(), "x.yaml")
                assert not isinstance(documents, Problem), seed
                assert [document.data for document in documents] == [request.data], seed
    return read


@pytest.mark.parametrize("name", SOURCES)
def test_a_damaged_source_is_refused_or_read_as_written(name: str) -> None:
    assert check(name, range(15)) > 2


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SOURCES)
def test_hundreds_of_damaged_sources(name: str) -> None:
    assert check(name, range(15, 400)) > 50
