"""The console's picture in README.md shows what the console prints. UPDATE_README=1
(with `-n 0`) redraws it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, blocks
from support.place import PERSON, ROOT, Place, Terminal, check_log, wait_until, zone_away_from_two
from support.screenshot import svg_of, text_in

PICTURE = ROOT / "runner/console.svg"
COLUMNS = 100
SHOWN_FOLDER = "/srv/erp-jobs"
"""What the picture shows as the folder; as long as its real name, so that lines break alike."""

_VARYING = (
    (re.compile(r"\bpid \d+"), "pid 0"),
    (re.compile(r", \d\d:\d\d:\d\d\.\d{3} late"), ""),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d{3})?\b"), "00:00:00"),
    (re.compile(r"\s+"), " "),
)


def normal(text: str) -> str:
    """Return a text without what differs from run to run, line breaks included."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text


@pytest.fixture
def erp() -> Iterator[Place]:
    """Provide a folder whose path is as long as `SHOWN_FOLDER`, and whose terminal has colours."""
    folder = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    assert len(str(folder)) == len(SHOWN_FOLDER)
    place = Place(folder)
    for name in ("NO_COLOR", "RUNNER_JOBS"):
        del place.environment[name]
    place.environment |= {"TERM": "xterm", "TZ": zone_away_from_two(datetime.now(UTC))}
    yield place
    for process in place.running:
        if process.poll() is None:
            process.kill()
            process.wait()
    shutil.rmtree(folder)


def test_the_picture_shows_what_the_console_prints(erp: Place) -> None:
    with erp.on_terminal("start", columns=COLUMNS) as terminal:
        _use(erp, terminal)
        shown = terminal.shown()
    check_log(erp.log)
    shown = shown.replace(str(erp.folder), SHOWN_FOLDER)
    shown = re.sub(rf"(?<![\w/.-]){PERSON}(?![\w/.-])", "maria", shown)
    picture = svg_of(f"$ runner start\n{shown}", title="The console of runner", columns=COLUMNS)
    if os.environ.get("UPDATE_README") == "1":
        PICTURE.write_text(picture)
    assert normal(text_in(picture)) == normal(text_in(PICTURE.read_text())), (
        "UPDATE_README=1 pytest -n 0 tests/acceptance/test_screenshot.py draws it anew"
    )


def _use(erp: Place, terminal: Terminal) -> None:
    """Add, run, break and correct requests; then stop the runner."""
    files = {block.file: block.text for block in blocks(DOCUMENTS[0].read_text(), DOCUMENTS[0])}
    backup = files["jobs.d/backup.yaml"]

    def until(text: str) -> None:
        wait_until(lambda: text in terminal.shown(), within_s=60, what=text)

    until("● runner")
    erp.write("backup.yaml", backup)
    until("backup  scheduled")
    erp.write("hello.yaml", files["jobs.d/hello.yaml"])
    until("✓ hello")
    assert erp.run("exec", "backup").returncode == 3
    until("✗ backup")
    erp.write("backup.yaml", backup.replace("daily", "dayly"))
    until("^")  # below the excerpt, which is read from the file when it is printed
    erp.write("backup.yaml", backup.replace("02:00", "03:00"))
    until("1 changed: backup")
    (erp.folder / "ledger").mkdir()
    assert erp.run("exec", "backup").returncode == 0
    until("✓ backup")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 0
