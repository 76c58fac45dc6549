"""Foreign tools read Runner's files: an editor's language server reads the schema, a
SARIF validator the report.

The tools come from npm when the tests run, so these tests belong to the campaign.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.place import ROOT

from runner.resources import example_files

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(400)]

MODELINE = "# yaml-language-server: $schema=process-request.schema.json\n"
SETTINGS = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
Json = dict[str, Any]


def installed(package: str, folder: Path) -> Path:
    """Install a package from npm and return its folder of packages; skip without npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no node and npm here")
    command = [
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(folder),
        package,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {package} here: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


class Editor:
    """The client's half of the Language Server Protocol 3.17, as far as needed, on a
    folder with the schema.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._seen = b""
        self._count = 0
        self._diagnostics: dict[str, list[Json]] = {}
        completion = {
            "completionItem": {"snippetSupport": False, "documentationFormat": ["plaintext"]}
        }
        capabilities = {
            "textDocument": {"completion": completion},
            "workspace": {"configuration": True},
        }
        parameters = {
            "processId": os.getpid(),
            "rootUri": folder.as_uri(),
            "capabilities": capabilities,
        }
        self.ask("initialize", parameters)
        self._send({"method": "initialized", "params": {}})
        self._send(
            {
                "method": "workspace/didChangeConfiguration",
                "params": {"settings": {"yaml": SETTINGS}},
            }
        )

    def open(self, text: str) -> str:
        """Open a document whose first line names the schema; return its address."""
        self._count += 1
        address = (self._folder / f"{self._count}.yaml").as_uri()
        document = {"uri": address, "languageId": "yaml", "version": 1, "text": MODELINE + text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return address

    def problems_of(self, text: str) -> list[tuple[int, str]]:
        """Return line (of `text`, from 1) and message of each underlined mistake."""
        address = self.open(text)
        while address not in self._diagnostics:
            self._receive()
        return [
            (each["range"]["start"]["line"], each["message"]) for each in self._diagnostics[address]
        ]

    def completions_at_end_of(self, text: str) -> dict[str, str]:
        """Return the editor's proposals after a text, with their descriptions."""
        lines = text.split("\n")
        position = {"line": len(lines), "character": len(lines[-1])}
        answer = self.ask(
            "textDocument/completion",
            {"textDocument": {"uri": self.open(text)}, "position": position},
        )
        return {item["label"]: _plain(item.get("documentation", "")) for item in answer["items"]}

    def hover(self, text: str, line: int, column: int) -> str:
        """Return the editor's description of a place; both numbers count from 1."""
        position = {"line": line, "character": column - 1}
        answer = self.ask(
            "textDocument/hover", {"textDocument": {"uri": self.open(text)}, "position": position}
        )
        return _plain(answer["contents"])

    def ask(self, method: str, parameters: Json) -> Any:
        self._count += 1
        identity = self._count
        self._send({"id": identity, "method": method, "params": parameters})
        while True:
            message = self._receive()
            if message.get("id") == identity and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def close(self) -> None:
        self.ask("shutdown", {})
        self._send({"method": "exit"})
        self._process.communicate(timeout=20)

    def _send(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> Json:
        head = self._until(lambda: self._seen.find(b"\r\n\r\n") + 1) - 1
        fields = dict(line.split(": ") for line in self._seen[:head].decode().split("\r\n"))
        end = head + 4 + int(fields["Content-Length"])
        self._until(lambda: len(self._seen) >= end)
        message: Json = json.loads(self._seen[head + 4 : end])
        self._seen = self._seen[end:]
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": _answer(message)})
        return message

    def _until(self, condition: Any) -> int:
        assert self._process.stdout is not None
        descriptor, until_s = self._process.stdout.fileno(), time.monotonic() + 60
        while not (found := int(condition())):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until_s - time.monotonic()))
            assert ready, "the language server says nothing"
            read = os.read(descriptor, 1 << 16)
            assert read, "the language server has ended"
            self._seen += read
        return found


def _answer(request: Json) -> Any:
    if request["method"] != "workspace/configuration":
        return None
    return [
        SETTINGS if item.get("section") == "yaml" else {} for item in request["params"]["items"]
    ]


def _plain(documentation: str | Json) -> str:
    return documentation if isinstance(documentation, str) else str(documentation["value"])


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    packages = installed("yaml-language-server", tmp_path_factory.mktemp("npm"))
    folder = tmp_path_factory.mktemp("jobs.d")
    shutil.copy(ROOT / "schemas" / "process-request.schema.json", folder)
    made = Editor([str(packages / ".bin" / "yaml-language-server"), "--stdio"], folder)
    yield made
    made.close()


def test_an_editor_underlines_each_mistake_at_its_place(editor: Editor) -> None:
    (line, message), *_ = editor.problems_of("process: {shell: x}\nowmer: me\n")
    assert line == 2
    assert "owmer" in message
    text = "process:\n  shell: x\ntiming:\n  schedule:\n    frequency: dayly\n    at: '02:00'\n"
    assert [line for line, _ in editor.problems_of(text)] == [5]
    text = "process: {shell: x, timeout: 30}\n"
    assert [line for line, _ in editor.problems_of(text)] == [1]


def test_an_editor_underlines_nothing_in_the_examples(editor: Editor) -> None:
    examples = example_files()
    assert examples
    assert {example.name: editor.problems_of(example.read_text()) for example in examples} == {
        example.name: [] for example in examples
    }


def test_an_editor_proposes_keys_with_their_descriptions(editor: Editor) -> None:
    proposed = editor.completions_at_end_of("process: {shell: x}\n")
    assert {"name", "owner", "timing", "scheduled"} <= proposed.keys()
    assert "process" not in proposed
    assert "Whom to ask" in proposed["owner"]
    assert {"shell", "command", "directory", "timeout"} <= editor.completions_at_end_of(
        "process:\n  "
    ).keys()


def test_an_editor_proposes_values(editor: Editor) -> None:
    frequencies = editor.completions_at_end_of(
        "process: {shell: x}\ntiming:\n  schedule:\n    frequency: "
    )
    assert {
        "secondly",
        "minutely",
        "hourly",
        "daily",
        "weekly",
        "monthly",
        "cron",
    } <= frequencies.keys()
    assert "true" in editor.completions_at_end_of("process:\n  shell: x\n  prevent_concurrent: ")
    weekly = "process: {shell: x}\ntiming:\n  schedule:\n    frequency: weekly\n    days:\n      - "
    assert {"monday", "sunday"} <= editor.completions_at_end_of(weekly).keys()


def test_an_editor_shows_the_description_of_a_key(editor: Editor) -> None:
    assert "stopped" in editor.hover("process:\n  shell: x\n  timeout: 30m\n", 3, 4)


def test_the_validator_of_sarifs_makers_accepts_the_report(tmp_path: Path) -> None:
    """Microsoft's Multitool checks the standard's JSON schema and further rules."""
    tool = (
        installed("@microsoft/sarif-multitool-linux", tmp_path / "npm")
        / "@microsoft/sarif-multitool-linux"
    )
    program = tool / "Sarif.Multitool"
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    (jobs / "ü 1%.yaml").write_text("process: {shel: x}\ntiming: {schedule: {frequency: dayly}}\n")
    (jobs / "b.yaml").write_text("process: {shell: *x}\n")
    validate = [sys.executable, "-m", "runner", "validate", "--output", "sarif"]
    report = subprocess.run(
        validate, cwd=tmp_path, capture_output=True, check=False, timeout=60
    ).stdout
    assert judged(program, tmp_path, report) == []
    assert judged(program, tmp_path, report.replace(b'"startLine": 1', b'"startLine": 0', 1))


def judged(program: Path, folder: Path, report: bytes) -> list[str]:
    """Return the rules that a report violates with errors."""
    written, found = folder / "report.sarif", folder / "found.sarif"
    written.write_bytes(report)
    command = [
        str(program),
        "validate",
        str(written),
        "--output",
        str(found),
        "--log",
        "ForceOverwrite",
    ]
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    results = json.loads(found.read_text(encoding="utf-8-sig"))["runs"][0].get("results", [])
    return [result["ruleId"] for result in results if result.get("level", "warning") == "error"]
