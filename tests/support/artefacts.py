"""The wheel and the sdist, built and installed into fresh environments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from support.place import ROOT, check_log, wait_until

BOUND_S = 900
OPERATING = ROOT / "runner/README.md"
_OTHERS = ("RUNNER_", "PYTHON", "XDG_", "STATE_DIRECTORY", "LOGS_DIRECTORY")
PIP = (sys.executable, "-m", "pip")


def run(
    *command: str | Path,
    cwd: Path,
    timeout_s: float = BOUND_S,
    environment: Mapping[str, str] | None = None,
    umask: int = -1,
) -> str:
    """Run a command without Runner's and Python's variables in its environment; return
    its output.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**bare(cwd), **(environment or {})},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def bare(home: Path) -> dict[str, str]:
    """Return the environment of a user who has no Runner yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    return {**kept, "HOME": str(home), "TZ": "UTC", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def build(source: Path, folder: Path, *, umask: int = -1) -> tuple[Path, Path]:
    """Build the sdist and the wheel of a source folder; return their paths."""
    hatchling = (sys.executable, "-m", "hatchling", "build", "-d", folder)
    run(*hatchling, cwd=source, umask=umask, environment={"HOME": str(folder.parent)})
    (sdist,) = folder.glob("yaml_job_runner-*.tar.gz")
    (wheel,) = folder.glob("yaml_job_runner-*.whl")
    return sdist, wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefacts:
    """What a release consists of."""

    sdist: Path
    wheel: Path

    def debian_package(self) -> Path:
        """Return the Debian package, built if it is not there."""
        folder = self.wheel.parent
        if not list(folder.glob("*.deb")):
            program = ROOT / "runner/packaging/debian/build-package"
            pip = {"PIP": " ".join(PIP)}
            run(program, self.wheel, folder, cwd=folder, environment=pip)
        (package,) = folder.glob("yaml-job-runner_*.deb")
        return package


def artefacts(folder: Path) -> Artefacts:
    """Return the artefacts in the folder that the variable ARTEFACTS names (.ci/release),
    else those of this checkout, built in `folder`.
    """
    if given := os.environ.get("ARTEFACTS"):
        folder = Path(given)
        (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
        return Artefacts(sdist=sdist, wheel=wheel)
    sdist, wheel = build(ROOT, folder)
    return Artefacts(sdist=sdist, wheel=wheel)


def install(wheel: Path, environment: Path, *options: str) -> Path:
    """Install a wheel into a fresh environment; return the environment."""
    # Without its own pip, which takes seconds to install.
    venv.create(environment, with_pip=False)
    into = ("--python", environment / "bin/python", "install", "-q")
    run(*PIP, *into, *options, wheel, cwd=environment)
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


def first_execution(start: Path, folder: Path) -> None:
    """Start a runner in a folder from `runner init`, and wait until `welcome` has run."""
    _await_welcome([start, "start"], folder, "state/monitor.jsonl")


def first_minutes(way: str, home: Path, log: str) -> None:
    """Run the lines of a way of installing in an empty home, until `welcome` has run.

    `log` is a pattern for the path of the monitor log.
    """
    *lines, last = lines_of(way)
    before, and_, start = last.rpartition("&& ")
    # The shell becomes the runner, which the test can then stop.
    script = "\n".join([*lines, f"{before}{and_}exec {start}"])
    _await_welcome(["sh", "-ec", script], home, log)


def lines_of(way: str) -> list[str]:
    """Return the lines that install Runner in a way, as runner/README.md has them."""
    (block,) = re.findall(
        rf"^```sh\n# {re.escape(way)}\n(.+?)\n```$", OPERATING.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(block).splitlines()


def _await_welcome(command: Sequence[str | Path], folder: Path, log: str) -> None:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=bare(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def has_run() -> bool:
        written = "".join(path.read_text() for path in folder.glob(log))
        if '"execution.finished"' in written:
            return True
        assert process.poll() is None, process.communicate()[0]
        return False

    try:
        wait_until(has_run, within_s=BOUND_S, what="welcome has finished")
    finally:
        process.terminate()
        console, _ = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, console
    (path,) = folder.glob(log)
    finished = [each for each in check_log(path) if each["event"] == "execution.finished"]
    assert [each["status"] for each in finished if each["request"] == "welcome"] == ["success"]
    assert "✓ welcome  success" in console


def check_row(way: str, elapsed_s: float) -> None:
    """Compare the row of a way of installing in runner/README.md, or rewrite it."""
    text = OPERATING.read_text()
    row = re.compile(rf"^\| {re.escape(way)} \|(.*)$", re.MULTILINE)
    found = row.search(text)
    assert found, f"the table has no row for {way}"
    if os.environ.get("UPDATE_README") == "1":
        new = f"| {way} | yes | yes | {elapsed_s:.0f} s |"
        OPERATING.write_text(row.sub(lambda _: new, text))
    else:
        assert re.fullmatch(r" yes \| yes \| \d+ s \|", found[1]), found[0]
