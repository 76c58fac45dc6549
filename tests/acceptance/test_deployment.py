"""The session of "Deploying from git" in runner/README.md shows what happens.

A change goes from a clone through the origin to the server, whose runner is running.
UPDATE_README=1 (with `-n 0`) rewrites the session.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.documents import blocks, replace_in
from support.place import ROOT, Place, wait_until

DOCUMENT = ROOT / "runner/README.md"
SHOWN_TIMES = ("02:00", "03:30")
ZONE = "Europe/Madrid"
TIMES = SHOWN_TIMES if datetime.now(ZoneInfo(ZONE)).hour >= 5 else ("14:00", "15:30")
"""The time of the request before and after the edit: never close to now."""
POSTING = f"""\
process: {{shell: echo posted}}
timing:
  schedule: {{frequency: daily, days: weekdays, at: "{TIMES[0]}", timezone: {ZONE}}}
"""
REPORT = """\
process: {shell: echo "3 customers owe more than they should"}
timing: run_immediately
"""
EDITS = (
    {"posting.yaml": POSTING.replace(*TIMES), "report.yaml": REPORT},
    {"report.yaml": REPORT.replace("immediately", "imediately")},
    {"report.yaml": REPORT},
)
"""What the person at the desk writes, each time that the editor opens."""
EDITOR = """\
#!/bin/sh
cd "$(dirname "$0")"
next=$(ls -d edit-* | head -n 1)
for file; do [ ! -e "$next/${file##*/}" ] || cp "$next/${file##*/}" "../desk/$file"; done
rm -r "$next"
"""
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d{3})?\b"), "TIME"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,40}\b"), "COMMIT"),
    (re.compile(r"\bpid \d+"), "PID"),
    (re.compile(r", TIME late"), ""),
)


def normal(text: str) -> str:
    """Replace everything that differs from run to run."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text


class Deployment:
    """A desk and a server with a running runner, both clones of one origin."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        place.environment |= {
            "EDITOR": str(folder / "editor/editor"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        }
        del place.environment["RUNNER_JOBS"]
        (folder / "gitconfig").write_text(
            "[user]\nname = maria\nemail = maria@erp.example\n[init]\ndefaultBranch = main\n"
            "[push]\ndefault = current\n"
        )
        self._write_edits()
        self.shell("git init -q --bare origin && git clone -q origin desk 2>/dev/null", folder)
        (folder / "desk/jobs.d").mkdir()
        (folder / "desk/jobs.d/posting.yaml").write_text(POSTING)
        self.shell("git add . && git commit -qm 'Post at night' && git push -q", folder / "desk")
        self.shell("git clone -q origin server", folder)
        (folder / "server/state").symlink_to(place.state)
        place.start("--jobs", str(folder / "server/jobs.d"))
        wait_until(lambda: "posting  scheduled" in place.console(), what="the runner's start")
        self._shown = len(place.console())

    def _write_edits(self) -> None:
        for number, files in enumerate(EDITS):
            edit = self.folder / f"editor/edit-{number}"
            edit.mkdir(parents=True)
            for name, text in files.items():
                (edit / name).write_text(text)
        editor = self.folder / "editor/editor"
        editor.write_text(EDITOR)
        editor.chmod(0o755)

    def shell(self, command: str, folder: Path) -> str:
        """Run a line in a folder; return all that it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=self.place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    def type(self, where: str, command: str) -> str:
        """Type a line of the session; return what its terminal shows."""
        if not command.startswith("git pull"):
            quiet = re.sub(r"\bgit (switch|commit|merge|push)\b", r"git \1 -q", command)
            return self.shell(quiet.replace("switch -q -c", "switch -qc"), self.folder / where)
        self.shell(command, self.folder / where)
        wait_until(lambda: "✓ report" in self.place.console(), what="the report ran")
        return self.place.console()[self._shown :]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.sqlite_only("its transcript is of one machine")
def test_a_change_goes_from_a_clone_to_a_record_on_the_server(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (session,) = (
        block for block in blocks(DOCUMENT.read_text(), DOCUMENT) if "desk$ " in block.text
    )
    deployment = Deployment(place, tmp_path_factory.mktemp("deployment"))
    lines = re.findall(r"^(desk|server)\$ (.+)$", session.text, re.MULTILINE)
    shown = [f"{where}$ {line}\n{deployment.type(where, line)}" for where, line in lines]
    (first_on_server, *_) = (i for i, (where, _) in enumerate(lines) if where == "server")
    text = "".join(shown[:first_on_server]) + "\n" + "".join(shown[first_on_server:])
    for real, shown_as in zip(TIMES, SHOWN_TIMES, strict=True):
        text = text.replace(real, shown_as)
    if os.environ.get("UPDATE_README") == "1":
        replace_in(DOCUMENT, session.text, text)
        return
    assert normal(text) == normal(session.text)
