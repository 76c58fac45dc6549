"""Each way of installing Runner with its own tool, from the package index to the first
execution, then its extras by the command that `runner --version` names.

The lines are those of runner/README.md. Each case measures its row of the table there:
UPDATE_README=1 (with `-n 0`) rewrites the row, else the test compares all but the times.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import pytest
from support.artefacts import BOUND_S, artefacts, check_row, first_minutes, run
from support.place import ROOT

from runner.installation import EXTRAS

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(2 * BOUND_S)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefacts(tmp_path_factory.mktemp("dist")).wheel


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the commands pipx, uv and uvx."""
    folder = tmp_path_factory.mktemp("tools") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    run(folder / "bin/pip", "install", "-q", "pipx", "uv", cwd=folder.parent)
    return folder / "bin"


CLONE = "clone/.venv/bin/runner"


@pytest.mark.parametrize(
    ("way", "installed", "command"),
    [
        ("clone", "with pip in {home}/clone/.venv", CLONE),
        ("clone, editable", "from the clone {home}/clone, editable", CLONE),
        ("pip", "with pip in {home}/venv", "venv/bin/runner"),
        ("uv pip", "with uv in {home}/venv", "venv/bin/runner"),
        ("pipx", "with pipx in {home}/.local/share/pipx/", ".local/bin/runner"),
        ("uv tool", "with uv tool in {home}/.local/share/uv/tools/", ".local/bin/runner"),
        ("uvx", "with uvx in {home}/.cache/uv/", ""),
    ],
)
def test_from_nothing_to_the_first_execution_and_the_extras(
    way: str,
    installed: str,
    command: str,
    wheel: Path,
    tools: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/.local/bin:{tools}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("WHEEL", str(wheel))
    monkeypatch.setenv("REPOSITORY", str(ROOT))
    folder, log = "demo", "demo/state/monitor.jsonl"
    if way.startswith("clone"):
        folder, log = "clone", ".local/state/runner/monitor.jsonl"
    begun_s = time.monotonic()
    first_minutes(way, tmp_path, log)
    elapsed_s = time.monotonic() - begun_s

    runner = [tmp_path / command] if command else ["uvx", "-q", "--from", wheel, "runner"]
    said = installation_line(*runner, "--version", cwd=tmp_path)
    assert said.startswith(f"installed {installed.format(home=tmp_path)}")
    assert "; extras: none; not installed: alerts, calendars, fleet, web (" in said
    home = {"HOME": str(tmp_path)}
    checked = run(*runner, "doctor", cwd=tmp_path / folder, environment=home)
    assert said.removeprefix("installed") in checked
    add = shlex.split(said.rpartition(" (")[2].removesuffix(")"))
    if way == "uvx":  # its command runs, instead of changing what is installed
        said = installation_line(*add, "--version", cwd=tmp_path)
    else:
        run(*add, cwd=tmp_path)
        said = installation_line(*runner, "--version", cwd=tmp_path)
    assert said.endswith(f"; extras: {', '.join(EXTRAS)}")
    check_row(way, elapsed_s)


def test_the_url_of_the_repository_serves_in_place_of_a_wheel(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tools}:/usr/local/bin:/usr/bin:/bin")
    url = f"git+file://{ROOT}"
    monkeypatch.setenv("WHEEL", url)
    first_minutes("uv pip", tmp_path, "demo/state/monitor.jsonl")
    said = installation_line(tmp_path / "venv/bin/runner", "--version", cwd=tmp_path)
    assert said.startswith(f"installed with uv in {tmp_path}/venv; extras: none; not installed: ")
    assert f"'yaml-job-runner[alerts,calendars,fleet,web] @ {url}@" in said
    run("uv", "pip", "install", "--python", "venv", f"yaml-job-runner[web] @ {url}", cwd=tmp_path)
    said = installation_line(tmp_path / "venv/bin/runner", "--version", cwd=tmp_path)
    assert "; extras: web; not installed: alerts, calendars, fleet (" in said


def installation_line(*command: str | Path, cwd: Path) -> str:
    (line,) = (line for line in run(*command, cwd=cwd).splitlines() if line.startswith("installed"))
    return line
