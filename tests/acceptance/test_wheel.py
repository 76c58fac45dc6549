"""The wheel and the sdist, built twice; and the wheel, installed into a fresh environment
and used from an unrelated folder.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from support.artefacts import (
    BOUND_S,
    artefacts,
    bare,
    build,
    first_execution,
    install,
    lend,
    run,
)
from support.documents import DOCUMENTS
from support.place import ROOT

from runner import __version__
from runner.cli.documentation.man_pages import man_pages
from runner.cli.documentation.topics import TOPICS
from runner.installation import EXTRAS
from runner.resources import example_files

FROM_INDEX = re.compile(
    r"\b(install|add|run --from)( -\S+)* ['\"]?(runner\b|yaml-job-runner\b(?!(\[[^]]*\])? @ ))"
)


def test_no_document_takes_runner_from_the_package_index() -> None:
    """There the name `runner` belongs to another project, and ours to nobody yet."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["name"], list(project["scripts"])) == ("yaml-job-runner", ["runner"])
    reported = [*DOCUMENTS, *(ROOT / "runner").rglob("*.py"), *(ROOT / "jobs.d").glob("*.yaml")]
    for path in reported:
        assert not FROM_INDEX.search(path.read_text()), path


def test_the_documents_and_the_manifests_name_this_version() -> None:
    manifests = (ROOT / "runner/packaging").rglob("*.yaml")
    named = [
        (path.name, version)
        for path in [*DOCUMENTS, *manifests]
        for version in re.findall(
            r"(?:runner@v|runner, rev: v|/runner:)(\d[\w.]*)", path.read_text()
        )
    ]
    assert {version for _, version in named} == {__version__}, named


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the sdist and the wheel."""
    found = artefacts(tmp_path_factory.mktemp("dist"))
    return found.sdist, found.wheel


def test_a_build_from_the_sdist_gives_the_same_bytes(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    """In another folder, without git, and with another umask."""
    with tarfile.open(built[0]) as sdist:
        sdist.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build(source, tmp_path / "dist", umask=0o077)
    assert [path.name for path in again] == [path.name for path in built]
    for first, second in zip(built, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_the_wheel_describes_itself(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(wheel.read(metadata).decode())
    assert {"runner/py.typed", "runner/packaging/runner.service"} <= set(names)
    of_page = {"templates/login.html", "pages/templates/page.html", "pages/static/pages.css"}
    assert {f"runner/web/{name}" for name in of_page} <= set(names)
    assert (told["Name"], told["Version"]) == ("yaml-job-runner", __version__)
    assert told["Description-Content-Type"] == "text/markdown"
    assert {"Summary", "Author", "Keywords", "Requires-Python"} <= set(told.keys())
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    assert set(EXTRAS) | {"dev", "test"} == set(told.get_all("Provides-Extra", []))


@pytest.mark.timeout(BOUND_S)
def test_the_wheel_works_from_any_folder(built: tuple[Path, Path], tmp_path: Path) -> None:
    environment = install(built[1], tmp_path / "venv", "--no-deps", "--no-index")
    (metadata,) = environment.glob("lib/python*/site-packages/yaml_job_runner-*.dist-info")
    lend(Distribution.at(metadata).requires or (), environment)
    check_use(environment / "bin/runner", tmp_path)
    wanted = f"'yaml-job-runner[alerts,calendars,fleet,web] @ {built[1].as_uri()}'"
    installed = run(environment / "bin/runner", "--version", cwd=tmp_path).splitlines()[1]
    assert installed.startswith(f"installed with pip in {environment}; extras: none; ")
    assert wanted in installed
    assert installed in run(environment / "bin/runner", "doctor", cwd=tmp_path / "demo")
    check_missing_extras(environment / "bin/runner", tmp_path / "demo", built[1].as_uri())


def check_missing_extras(runner: Path, demo: Path, source: str) -> None:
    """Use what each extra is for; expect a sentence with the command that adds it."""
    (demo / "runner.yaml").write_text("receivers: {ops: {apprise: {url_variable: SERVICE}}}\n")
    uses = {
        "alerts": (["notify", "--test", "ops"],),
        "calendars": (["calendar", "ES-MD"],),
        "fleet": (["work"], ["start"], ["ls"]),
        "web": (["web"], ["start", "--web"], ["metrics"]),
    }
    assert set(uses) == set(EXTRAS)
    for extra, commands in uses.items():
        fleet = {"RUNNER_STORE": "postgresql://nobody@/runner?host=/nonexistent"}
        variables = bare(demo) | (fleet if extra == "fleet" else {}) | {"SERVICE": "json://x"}
        for command in commands:
            done = subprocess.run(
                [runner, *command], cwd=demo, env=variables, capture_output=True, text=True,
                timeout=BOUND_S, check=False,
            )  # fmt: skip
            assert done.returncode != 0, command
            assert f"the extra `{extra}` is not installed: " in done.stderr, (command, done)
            assert f"install --python {runner.parent}/python" in done.stderr, command
            assert f"'yaml-job-runner[{extra}] @ {source}'" in done.stderr, command
            assert "Traceback" not in done.stderr, command


def check_use(installed: Path, tmp_path: Path) -> None:
    """Use the command as a reader would, from `--version` to the first record."""
    assert run(installed, "--version", cwd=tmp_path).startswith(f"runner {__version__}\n")
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

    first_execution(installed, demo)
