"""The wheel, installed into a fresh environment and used from an unrelated folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from support.documents import DOCUMENTS
from support.place import ROOT, check_log, wait_until

from runner.cli.documentation.man_pages import man_pages
from runner.cli.documentation.topics import TOPICS
from runner.resources import example_files

BOUND_S = 240
_OTHERS = ("RUNNER_", "PYTHON", "XDG_", "STATE_DIRECTORY", "LOGS_DIRECTORY")
PIP = (sys.executable, "-m", "pip")


def run(*command: str | Path, cwd: Path, timeout_s: float = BOUND_S) -> str:
    """Run a command without Runner's and Python's variables in its environment; return
    its output.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env=bare(cwd),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def bare(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    return {**kept, "HOME": str(home), "TZ": "UTC", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def build(folder: Path, *options: str) -> Path:
    """Build the wheel; return its path."""
    run(*PIP, "wheel", "-q", "--no-deps", *options, "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("yaml_job_runner-*.whl")
    return wheel


def install(wheel: Path, *options: str) -> Path:
    """Install a wheel into a fresh environment next to it; return the environment."""
    environment = wheel.parent / "venv"
    # Without its own pip, which takes seconds to install.
    venv.create(environment, with_pip=False)
    run(
        *PIP,
        "--python",
        environment / "bin/python",
        "install",
        "-q",
        *options,
        wheel,
        cwd=wheel.parent,
    )
    return environment


def lend(requirements: Iterable[str], environment: Path) -> None:
    """Link the declared dependencies, and theirs, from this environment into another one."""
    (packages,) = environment.glob("lib/python*/site-packages")
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        # A dependency of an extra or of another platform may be missing here, and is
        # not needed then.
        lent = next(iter(distributions(name=name)), None)
        if "extra ==" in requirement or lent is None:
            continue
        for part in {file.parts[0] for file in lent.files or ()} - {"..", "__pycache__"}:
            with suppress(FileExistsError):
                (packages / part).symlink_to(str(lent.locate_file(part)))
        lend(lent.requires or (), environment)


def test_no_document_says_to_install_the_foreign_project_named_runner() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["name"], list(project["scripts"])) == ("yaml-job-runner", ["runner"])
    reported = [*DOCUMENTS, *(ROOT / "runner").rglob("*.py"), *(ROOT / "jobs.d").glob("*.yaml")]
    for path in reported:
        assert not re.search(
            r"\b(install|add|run --from)( -\S+)* ['\"]?runner\b", path.read_text()
        ), path


@pytest.mark.timeout(BOUND_S)
def test_the_wheel_works_from_any_folder(tmp_path: Path) -> None:
    wheel = build(tmp_path, "--no-build-isolation")
    environment = install(wheel, "--no-deps", "--no-index")
    (metadata,) = environment.glob("lib/python*/site-packages/yaml_job_runner-*.dist-info")
    lend(Distribution.at(metadata).requires or (), environment)
    check_use(environment / "bin/runner", tmp_path)


@pytest.mark.campaign
@pytest.mark.timeout(BOUND_S)
def test_the_wheel_works_with_dependencies_from_the_package_index(tmp_path: Path) -> None:
    check_use(install(build(tmp_path)) / "bin/runner", tmp_path)


def check_use(installed: Path, tmp_path: Path) -> None:
    """Use the command as a reader would, from `--version` to the first record."""
    assert run(installed, "--version", cwd=tmp_path).startswith("runner ")
    for name in ("process-request", "monitor-record"):
        schema = json.loads(run(installed, "schema", name, cwd=tmp_path))
        assert schema == json.loads((ROOT / f"schemas/{name}.schema.json").read_text())

    for topic, place in TOPICS.items():
        if place.heading is None:
            first, _, _ = (ROOT / place.document).read_text().partition("\n")
            assert run(installed, "help", topic, cwd=tmp_path).startswith(first.strip("# "))
    assert run(installed, "help", "log", cwd=tmp_path).startswith("The monitor log\n")

    manual = installed.parent.parent / "share/man/man1"
    assert {path.name: path.read_text() for path in manual.iterdir()} == man_pages()

    run(installed, "init", "demo", cwd=tmp_path)
    demo = tmp_path / "demo"
    assert {path.name for path in (demo / "jobs.d").iterdir()} == {
        path.name for path in example_files()
    }
    assert "all valid" in run(installed, "validate", cwd=demo)

    log = demo / "state/monitor.jsonl"
    process = subprocess.Popen(
        [installed, "start"],
        cwd=demo,
        env=bare(demo),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(
            lambda: '"execution.finished"' in read(log), within_s=60, what="welcome has finished"
        )
    finally:
        process.terminate()
        _, console = process.communicate(timeout=30)
    assert process.returncode == 0, console
    finished = [each for each in check_log(log) if each["event"] == "execution.finished"]
    assert [each["status"] for each in finished if each["request"] == "welcome"] == ["success"]
    assert "✓ welcome  success" in console
