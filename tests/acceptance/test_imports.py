"""What commands import: a command that only looks starts at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.place import Place, wait_until

PARSING = {"yaml", "jsonschema", "runner.requests.catalog.file_reader", "loguru", "asyncio"}
READING = PARSING | {"runner.requests.catalog.catalog_reader", "runner.planning.changeover"}
HASHING = {"hashlib", "_hashlib", "random"}
HEAVY = {"logging", "subprocess", "socket", "tempfile", "shutil", "selectors", "difflib"}
RUNNING = {"schedule", "runner.requests.model", "runner.timing.rules", "runner.service.loop"}
LOOKING = READING | HASHING | HEAVY | RUNNING
DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}


def imported_by(place: Place, *arguments: str) -> set[str]:
    """Return the modules that a command imports, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "runner", *arguments],
        env=place.environment,
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def _cached_by_ls(place: Place) -> str:
    assert place.run("ls").returncode == 0
    cache = place.state / "catalog.jsonl"
    return cache.read_text() if cache.exists() else ""


WITHOUT_READING_REQUESTS = (
    ("monitor",),
    ("monitor", "--output", "json"),
    ("log", "daily"),
    ("status",),
    ("status", "--output", "json"),
)
FROM_THE_CACHE = (("ls",), ("next",), ("show", "daily"))


@pytest.mark.sqlite_only("the driver of the database imports more")
def test_a_command_imports_only_what_it_needs(place: Place) -> None:
    place.declare("daily", "echo hello", DAILY)
    runner = place.start()
    assert place.run("exec", "daily").returncode == 0
    # The cache takes no file that changed just now.
    wait_until(lambda: "daily" in _cached_by_ls(place), what="the file in the cache")
    unwanted = {
        **dict.fromkeys(WITHOUT_READING_REQUESTS, LOOKING),
        **dict.fromkeys(FROM_THE_CACHE, PARSING),
    }
    for arguments, modules in unwanted.items():
        assert not imported_by(place, *arguments) & modules, arguments
    assert place.stop(runner) == 0
