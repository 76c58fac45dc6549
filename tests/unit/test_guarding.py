"""Where the runner is root, what anybody may write is not read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runner.errors import RefusedError
from runner.requests.catalog import Catalog, CatalogReader, exhausted
from runner.requests.guarding import is_guarded, require_guarded

REQUEST = "process: {command: [id]}\n"


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    folder = tmp_path / "jobs.d"
    (folder / "erp").mkdir(parents=True, mode=0o755)
    for name in ("a.yaml", "erp/b.yaml", "erp/notes.txt"):
        (folder / name).write_text(REQUEST)
        (folder / name).chmod(0o664)
    return folder


def reader_of(jobs: Path) -> CatalogReader:
    return CatalogReader(jobs, default_zone="UTC", is_guarded=is_guarded())


def in_force(catalog: Catalog) -> list[str]:
    return sorted(catalog.requests)


@pytest.mark.parametrize("name", [".", "erp", "a.yaml", "erp/b.yaml"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_what_anybody_may_write_is_named_with_what_mends_it(jobs: Path, name: str, mode: int) -> None:
    (jobs / name).chmod(mode)
    with pytest.raises(RefusedError) as refused:
        require_guarded(jobs)
    assert f"anybody may write {jobs / name}, " in str(refused.value)
    assert f"chmod -R o-w {jobs}," in str(refused.value)
    subprocess.run(["chmod", "-R", "o-w", str(jobs)], check=True)
    require_guarded(jobs)


def test_several_are_counted_and_what_is_never_read_may_be_as_it_likes(jobs: Path) -> None:
    (jobs / "erp/notes.txt").chmod(0o666)
    (jobs / ".git").mkdir(mode=0o777)
    (jobs / ".git").chmod(0o777)
    require_guarded(jobs)
    for name in ("a.yaml", "erp/b.yaml"):
        (jobs / name).chmod(0o666)
    with pytest.raises(RefusedError, match=r"a\.yaml \(and 1 more\)"):
        require_guarded(jobs)


def test_a_link_is_as_open_as_what_it_leads_to(jobs: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text(REQUEST)
    (jobs / "link.yaml").symlink_to(target)
    require_guarded(jobs)
    target.chmod(0o666)
    with pytest.raises(RefusedError, match=r"link\.yaml"):
        require_guarded(jobs)


def test_who_is_not_root_decides_for_himself(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    jobs.chmod(0o777)
    require_guarded(jobs)
    assert in_force(reader_of(jobs).read()) == ["a", "b"]


def test_on_a_file_system_mounted_to_be_read_nobody_may_write(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.chmod(0o777)
    there = os.statvfs(jobs)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*there[:8], there.f_flag | os.ST_RDONLY, there[9])))
    require_guarded(jobs)


def test_a_folder_that_is_not_there_is_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    require_guarded(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("opened", "kept", "rejected"),
    [("a.yaml", ["b"], ["a.yaml"]), ("erp", ["a"], ["erp", "erp/b.yaml"]), (".", [], ["", "a.yaml", "erp/b.yaml"])],
)
def test_what_is_opened_later_is_rejected_whole_until_it_is_mended(
    jobs: Path, opened: str, kept: list[str], rejected: list[str]
) -> None:
    reader = reader_of(jobs)
    incumbents = {name: request.source.file for name, request in reader.read().requests.items()}
    mode = (jobs / opened).stat().st_mode
    (jobs / opened).chmod(mode | 0o002)
    assert exhausted(reader.look())
    catalog = reader.read(incumbents)
    assert in_force(catalog) == kept
    assert [rejection.file for rejection in catalog.rejections] == rejected
    assert all(rejection.whole for rejection in catalog.rejections), "the last good versions go on"
    assert "anybody may write" in catalog.problems[0].message
    assert f"chmod o-w {jobs / opened}" in str(catalog.problems[0].suggestion)
    (jobs / opened).chmod(mode)
    assert exhausted(reader.look())
    assert in_force(reader.read(incumbents)) == ["a", "b"]
