"""The documentation is true: examples are valid, transcripts equal the output, tables
equal the schemas, links work.

UPDATE_README=1 (with `-n 0`) rewrites transcripts and tables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, blocks, generated_tables, replace_in
from support.place import PERSON, ROOT, check_log, zone_away_from_two
from support.reference import generated

from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.file_settings import FileSettings
from runner.requests.settings_file import settings_in
from runner.timing.zones import zone_named

README = ROOT / "README.md"
IS_UPDATING = os.environ.get("UPDATE_README") == "1"
RUNS = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/runner start"
TESTS = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest"
)

_VARYING = (
    re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
    re.compile(r"\b\d\d:\d\d:\d\d(\.\d{3})?\b"),
)
_LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
_DOCUMENT = re.compile(r"(?<![\w/.-])[\w./-]*\b[A-Z]{3,}\.md\b")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LATE = re.compile(r", \d\d:\d\d:\d\d\.\d{3} late$", re.MULTILINE)
"""What the console says of a start on a machine that is busy for a second."""
_LOOKING = ("runner validate", "runner monitor", "runner ls", "jq", "tail")
"""Commands that change nothing: they are repeated until they show what an edit before them brings.
"""
_AT_A_GIVEN_TIME = """
import sys
from datetime import datetime
from runner.cli import main
from runner.access import loading

class Fixed(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromisoformat("{at}").replace(tzinfo=tz)

loading.datetime = Fixed
main()
"""


BLOCKS = [block for document in DOCUMENTS for block in blocks(document.read_text(), document)]
PLAIN_TEXTS = [*DOCUMENTS, *(ROOT / "schemas").glob("*.json"), *(ROOT / "jobs.d").glob("*.yaml")]
TABLES = list(generated_tables())


def normal(text: str) -> str:
    """Replace everything that differs from run to run by stand-ins of the same width."""
    for pattern in _VARYING:
        text = pattern.sub(lambda found: re.sub("[0-9a-f]", "0", found[0]), text)
    return _LATE.sub("", re.sub(r"\bpid \d+", "pid 0", text))


class Demo:
    """A reader's demo folder, home and terminals."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "demo"
        (self.folder / "jobs.d").mkdir(parents=True)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RUNNER_", "XDG_"))
        }
        self.environment = {
            **{
                name: kept[name]
                for name in kept
                if name not in ("STATE_DIRECTORY", "LOGS_DIRECTORY")
            },
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "HOME": str(home),
            "RUNNER_STATE": str(self.folder / "state"),
            "TZ": "UTC" if IS_UPDATING else zone_away_from_two(datetime.now(UTC)),
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }
        self.console = home / "console"

    def run(self, command: str, at: str = "") -> str:
        """Run a line in the second terminal; return all that it prints.

        `at` is the wall time (UTC) of `runner next`.
        """
        arguments = ["bash", "-c", command.replace("tail -F -n +1", "cat")]
        environment = self.environment
        if command.startswith("runner next"):
            script = _AT_A_GIVEN_TIME.format(at=at)
            arguments = [sys.executable, "-c", script, *shlex.split(command)[1:]]
            environment = environment | {"TZ": "UTC"}
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        return self._as_maria_sees_it(done.stdout)

    @contextmanager
    def first_terminal(self) -> Iterator[Callable[[], subprocess.Popen[str]]]:
        """Allow the test to start a runner in it, and stop the runner afterwards."""
        started: list[subprocess.Popen[str]] = []

        def start() -> subprocess.Popen[str]:
            with self.console.open("w") as console:
                started.append(
                    subprocess.Popen(
                        ["runner", "start"],
                        cwd=self.folder,
                        env=self.environment,
                        stdin=subprocess.DEVNULL,
                        stdout=console,
                        stderr=console,
                        text=True,
                    )
                )
            return started[-1]

        try:
            yield start
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            assert [process.wait(timeout=30) for process in started] == [0] * len(started)

    def shown(self) -> str:
        """Return what the first terminal shows."""
        return self._as_maria_sees_it(self.console.read_text())

    def _as_maria_sees_it(self, text: str) -> str:
        text = text.replace("(MST)", "(UTC)").replace("-07:00", "+00:00")
        return re.sub(
            rf"(?<![\w/.-]){PERSON}(?![\w/.-])",
            "maria",
            text.replace(str(self.home), "/home/maria"),
        )


def awaited(look: Callable[[], str], expected: str) -> str:
    """Poll until the expected value appears, at most a minute; return it."""
    if IS_UPDATING:
        return settled(look)
    until_s = time.monotonic() + 60
    while normal(seen := look()) != normal(expected) and time.monotonic() < until_s:
        time.sleep(0.05)
    return seen


def settled(look: Callable[[], str]) -> str:
    """Poll until there is a value that has not changed for a second."""
    seen = ""
    while seen != (seen := look()) or not seen:
        time.sleep(1)
    return seen


def test_the_readme_shows_each_set_up_command_once() -> None:
    lines = README.read_text().splitlines()
    assert lines.count(RUNS) == 1
    assert lines.count(TESTS) == 1


def test_the_yaml_examples_are_valid_in_one_jobs_folder(tmp_path: Path) -> None:
    (tmp_path / "jobs.d").mkdir()
    examples = [block for block in BLOCKS if block.language == "yaml"]
    for index, example in enumerate(examples):
        if not example.file:
            (tmp_path / f"jobs.d/example-{index}.yaml").write_text(example.text)
    for block in BLOCKS:
        if block.file and block.language != "yml":
            block.write_in(tmp_path)
    catalog = CatalogReader(tmp_path / "jobs.d", default_zone="UTC").read()
    assert list(catalog.problems) == []
    assert (
        len(catalog.requests) == sum(example.text.count("\n---\n") + 1 for example in examples) >= 3
    )


def test_the_examples_of_settings_are_valid() -> None:
    examples = [block.text for block in BLOCKS if block.file == "runner.yaml"]
    assert len(examples) >= 3
    for text in examples:
        assert isinstance(settings_in(text.encode(), "/srv/runner.yaml"), FileSettings), text


@pytest.mark.parametrize("name", [table.name for table in TABLES])
def test_each_table_equals_its_source(name: str) -> None:
    (table,) = (table for table in TABLES if table.name == name)
    expected = generated(name, table.content)
    if IS_UPDATING:
        replace_in(table.document, table.head + table.content, table.head + expected)
        return
    assert table.content == expected, (
        "UPDATE_README=1 pytest -n 0 tests/acceptance/test_readme.py writes it anew"
    )


@pytest.mark.timeout(300)
def test_the_transcripts_equal_what_is_printed(tmp_path: Path) -> None:
    demo, has_jq = Demo(tmp_path), shutil.which("jq") is not None
    with demo.first_terminal() as start:
        for block in BLOCKS:
            if block.document == README and block.file:
                block.write_in(demo.folder)
            elif block.language == "console":
                transcript = "".join(
                    f"$ {command}\n{printed(demo, start, command, output)}"
                    for command, output in block.steps
                    if has_jq or "jq" not in command
                )
                # Rewrite all of them, also if only times differ: then their times agree.
                if IS_UPDATING and transcript != block.text:
                    replace_in(
                        block.document,
                        f"```console\n{block.text}```",
                        f"```console\n{transcript}```",
                    )
                elif has_jq or "jq" not in block.text:
                    assert normal(transcript) == normal(block.text)
    check_log(demo.folder / "state" / "monitor.jsonl")
    if not has_jq:
        pytest.skip("jq is not installed: all but its lines were compared")


def printed(demo: Demo, start: Callable[[], object], command: str, expected: str) -> str:
    """Type a command and return what it prints."""
    if command == "runner start":
        start()
        return awaited(demo.shown, expected)
    if command.startswith(_LOOKING):
        return awaited(lambda: demo.run(command), expected)
    return demo.run(command, at=_time_of(expected))


def _time_of(expected: str) -> str:
    """Return the wall time at which the README lists the upcoming fires.

    A rewritten README lists them at the time of its other transcripts, so that all agree.
    """
    shown = re.search(r"^(\S+ [\d:]+)\S*  now ", expected, re.MULTILINE)
    if IS_UPDATING or shown is None:
        return f"{datetime.now(UTC):%Y-%m-%d %H:%M}:00"
    return shown[1]


@pytest.mark.parametrize("path", PLAIN_TEXTS)
def test_a_text_has_no_marks_of_an_unresolved_merge(path: Path) -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    for target in _LINK.findall(_INLINE_CODE.sub("", document.read_text())):
        file, _, anchor = target.partition("#")
        linked = document.parent / file if file else document
        assert linked.is_file(), target
        assert not anchor or anchor in headings(linked), target


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub forms them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_the_reference_names_every_key_that_requests_share() -> None:
    schema = json.loads((ROOT / "schemas/defaults.schema.json").read_text())["properties"]
    text = (ROOT / "jobs.d/README.md").read_text().partition("- It may contain ")[2]
    named = re.findall(r"`(\w+)`", text.partition("\n- ")[0])
    shared = {*schema, *schema["timing"]["properties"]}
    assert {*named} == shared | {"name"}, "and `name`, which no defaults may set"
    assert "name" not in schema["process"]["properties"]


def test_the_guide_for_contributors_names_every_package() -> None:
    guide = (ROOT / "tests/README.md").read_text()
    rows = "\n".join(line.split("|")[1] for line in guide.splitlines() if line.startswith("| `"))
    packages = {path.parent.name for path in (ROOT / "runner").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}`" not in rows} == set()


def test_each_test_that_the_guide_for_contributors_runs_exists() -> None:
    prose = re.sub("```.*?```", "", (ROOT / "tests/README.md").read_text(), flags=re.DOTALL)
    text = " ".join(prose.split())
    commands = [command for command in re.findall(r"`([^`]+)`", text) if "pytest" in command]
    assert any(" -k " in command for command in commands)
    for command in commands:
        paths = [ROOT / path for path in re.findall(r"tests/[\w/]+(?:\.py)?", command)]
        assert all(path.exists() for path in paths), command
        for word in re.findall(r' -k "?(\w+)', command):
            names = re.findall(r"def (test_\w+)", "".join(path.read_text() for path in paths))
            assert any(word in name for name in names), command


def test_the_code_refers_only_to_existing_documents() -> None:
    sources = [path for folder in ("runner", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in sources for name in _DOCUMENT.findall(path.read_text())}
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    assert "runner/README.md" in named


def test_stand_ins_keep_the_width_and_the_constant_text() -> None:
    line = (
        "2026-11-22 17:33:48+00:00  success  00:00:00.002  hello  "
        "01a20452-3ffb-7a9d-b0d7-77462963f86f  exit code 3"
    )
    assert normal(line) == (
        "0000-00-00 00:00:00+00:00  success  00:00:00.000  hello  "
        "00000000-0000-0000-0000-000000000000  exit code 3"
    )
    assert normal("17:33:48  ▶ hello  started, pid 20537") == "00:00:00  ▶ hello  started, pid 0"
    assert (
        normal("17:33:48  ▶ hello  started, pid 7, 00:00:01.203 late")
        == "00:00:00  ▶ hello  started, pid 0"
    )
    assert normal("backup at 02:00, 1 problem") == "backup at 02:00, 1 problem"


def test_no_example_of_a_night_fires_while_the_readme_is_replayed() -> None:
    midnight = datetime(2026, 11, 30, tzinfo=UTC)
    for minute in range(24 * 60):
        now = midnight + timedelta(minutes=minute)
        local = now.astimezone(zone_named(zone_away_from_two(now)))
        ends = (local + timedelta(minutes=15)).time()
        for fire in (time_of_day(2), time_of_day(3)):
            assert not local.time() <= fire <= ends, now
