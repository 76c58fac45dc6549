"""A runner that is root reads nothing from a jobs folder that another user may change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import RefusedError
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.requests.files.permissions import is_guarded, require_trusted

REQUEST = "process: {command: [id]}\n"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs.d"
    (folder / "erp").mkdir(parents=True, mode=0o755)
    for name in ("a.yaml", "erp/b.yaml", "erp/notes.txt"):
        (folder / name).write_text(REQUEST)
        (folder / name).chmod(0o664)  # the group is root's
    return folder


def reader_of(jobs: Path) -> CatalogReader:
    return CatalogReader(jobs, default_zone="UTC", is_guarded=is_guarded())


def in_force(catalog: Catalog) -> list[str]:
    return sorted(catalog.requests)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_world_writable_jobs_folder_is_refused_with_the_command_that_fixes_it(
    jobs: Path, mode: int
) -> None:
    require_trusted(jobs, "the jobs folder")
    jobs.chmod(mode)
    with pytest.raises(
        RefusedError, match=f"everyone may write {jobs}, .*; chmod o-w {jobs}, or let the runner be"
    ):
        require_trusted(jobs, "the jobs folder")


def test_a_writable_file_is_rejected_by_itself_and_an_unread_one_is_ignored(
    jobs: Path,
) -> None:
    (jobs / "erp/notes.txt").chmod(0o666)
    (jobs / ".git").mkdir(mode=0o777)
    (jobs / ".git").chmod(0o777)
    (jobs / "a.yaml").chmod(0o666)
    require_trusted(jobs, "the jobs folder")
    catalog = reader_of(jobs).read()
    assert (in_force(catalog), [each.file for each in catalog.rejections]) == (["b"], ["a.yaml"])


def _linked(jobs: Path, tmp_path: Path) -> Path:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "c.yaml").write_text(REQUEST)
    (jobs / "link.yaml").symlink_to(target / "c.yaml")
    return target


@pytest.mark.parametrize(
    "open_up",
    [
        lambda link, target: (target / "c.yaml").chmod(0o666),
        lambda link, target: target.chmod(0o777),
        lambda link, target: os.chown(target, 54321, 0),
        lambda link, target: os.chown(target / "c.yaml", 54321, 0),
        lambda link, target: os.chown(link, 54321, 54321, follow_symlinks=False),
    ],
)
def test_a_link_is_checked_with_its_target_and_the_path_to_it(
    jobs: Path, tmp_path: Path, open_up: Callable[[Path, Path], None]
) -> None:
    target = _linked(jobs, tmp_path)
    assert in_force(reader_of(jobs).read()) == ["a", "b", "link"]
    open_up(jobs / "link.yaml", target)
    assert in_force(reader_of(jobs).read()) == ["a", "b"]


def test_a_runner_that_is_not_root_reads_writable_files(
    jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    jobs.chmod(0o777)
    require_trusted(jobs, "the jobs folder")
    assert in_force(reader_of(jobs).read()) == ["a", "b"]


def test_a_read_only_file_system_counts_as_unwritable(
    jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.chmod(0o777)
    there = os.statvfs(jobs)
    monkeypatch.setattr(
        os,
        "statvfs",
        lambda _: os.statvfs_result((*there[:8], there.f_flag | os.ST_RDONLY, there[9])),
    )
    require_trusted(jobs, "the jobs folder")


def test_a_missing_folder_is_accepted(tmp_path: Path) -> None:
    require_trusted(tmp_path / "nowhere", "the jobs folder")


@pytest.mark.parametrize(
    ("opened", "kept", "rejected"),
    [
        ("a.yaml", ["b"], ["a.yaml"]),
        ("erp", ["a"], ["erp", "erp/b.yaml"]),
        (".", [], ["", "a.yaml", "erp/b.yaml"]),
    ],
)
def test_a_folder_made_writable_later_is_rejected_until_it_is_fixed(
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
    assert "everyone may write" in catalog.problems[0].message
    assert f"chmod o-w {jobs / opened}" in str(catalog.problems[0].suggestion)
    (jobs / opened).chmod(mode)
    assert exhausted(reader.look())
    assert in_force(reader.read(incumbents)) == ["a", "b"]
