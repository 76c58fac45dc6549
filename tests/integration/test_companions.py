"""Reading very many files with the help of other processes: it comes to the same, whatever becomes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.requests import companions
from runner.requests.catalog import Catalog, CatalogReader

FILES = 240
DAILY = 'timing: {{schedule: {{frequency: daily, at: "{hour:02}:00", except: ../holidays.txt}}}}\n'
DIES = "import os; os._exit(1)"
GOES_ON = "from runner.requests import companions; companions.serve()"
STOPS_HALFWAY = f"import os; from multiprocessing import connection as c; send = c.Connection.send; \
    c.Connection.send = lambda self, piece: (send(self, piece), os._exit(1)); {GOES_ON}"
IS_ANOTHER_VERSION = f"import runner; runner.__version__ = 'another'; {GOES_ON}"
TALKS = "print('this is no answer')"


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companions, "_WORTH", FILES)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place") / "jobs.d"
    (folder / "équipe").mkdir(parents=True)
    (folder.parent / "holidays.txt").write_text("2026-12-25\n")
    (folder / "équipe" / "_defaults.yaml").write_text("owner: équipe\nprocess: {environment: {LANG: C}}\n")
    for number in range(FILES):
        below = folder / "équipe" if number % 3 else folder
        holidays = "../../holidays.txt" if number % 3 else "../holidays.txt"
        wrong = "frequencey: true\n" if number % 50 == 0 else ""
        timing = DAILY.format(hour=number % 24).replace("../holidays.txt", holidays)
        (below / f"r{number:03}.yaml").write_text(f"process: {{command: [/bin/true, ñ{number}]}}\n{timing}{wrong}")
    (folder / "broken.yaml").symlink_to("nowhere")
    return folder


def _read(jobs: Path) -> Catalog:
    return CatalogReader(jobs, default_zone="Europe/Madrid").read()


@pytest.fixture(scope="module")
def alone(jobs: Path) -> Catalog:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "_WORTH", FILES + 10)
        catalog = _read(jobs)
    assert (len(catalog.requests), len(catalog.rejections)) == (FILES - 5, 6)
    return catalog


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep the companions that are started; in the end all have been waited for."""
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    yield found
    assert all(process.returncode is not None for process in found)


def test_companions_read_the_same_as_one_alone(
    jobs: Path, alone: Catalog, begun: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert _read(jobs) == alone
    assert len(begun) == 2


def test_a_companion_reads_a_part(jobs: Path, alone: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    read_here: list[object] = []
    read_entry = companions.read_entry
    monkeypatch.setattr(
        companions, "read_entry", lambda place, known: read_here.append(place) or read_entry(place, known)
    )
    assert _read(jobs) == alone
    assert len(read_here) == FILES / 2


@pytest.mark.parametrize("script", [DIES, STOPS_HALFWAY, IS_ANOTHER_VERSION, TALKS])
def test_what_a_companion_does_not_deliver_is_read_here(
    script: str, jobs: Path, alone: Catalog, begun: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "_BEGIN", f"import sys; sys.path[:] = sys.argv[1:]; {script}")
    assert _read(jobs) == alone
    assert len(begun) == 1


def test_without_room_for_another_process_all_is_read_here(
    jobs: Path, alone: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert _read(jobs) == alone


def test_a_reading_that_is_given_up_ends_its_companions(jobs: Path, begun: list[subprocess.Popen[bytes]]) -> None:
    steps = CatalogReader(jobs, default_zone="UTC").scan({})
    while not begun:
        next(steps)
    steps.close()


def test_what_changes_later_is_read_here(jobs: Path, tmp_path: Path, begun: list[subprocess.Popen[bytes]]) -> None:
    own = shutil.copytree(jobs, tmp_path / "jobs.d", symlinks=True)
    reader = CatalogReader(own, default_zone="UTC")
    reader.read()
    changed = [path for path in own.rglob("r*.yaml") if path.write_text("process: {shell: another}\n")]
    assert len(reader.read().requests) == len(changed) == FILES
    assert len(begun) == 1
