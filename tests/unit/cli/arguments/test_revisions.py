"""Extracting a jobs folder from a commit, whatever the tree contains."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from support.git import commit_all, git

from runner.cli.arguments.revisions import Repository
from runner.errors import UsageError
from runner.requests.files.bounded_read import LARGEST, Trouble, read_bounded

ALL = [PurePosixPath()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    return made


def around(folder: Path) -> Repository:
    found = Repository.around(folder)
    assert found is not None
    return found


def test_exactly_the_committed_files_are_extracted(folder: Path, tmp_path: Path) -> None:
    jobs = folder / "ops" / "jobs [1].d"
    (jobs / "sub").mkdir(parents=True)
    (jobs / "sub" / "ä\n.yaml").write_bytes(b"\xff\r\n")
    (jobs / "link.yaml").symlink_to("sub/../../../elsewhere")
    (folder / "outside").write_text("x")
    commit = commit_all(folder)
    (jobs / "link.yaml").unlink()
    repository, target = around(jobs), tmp_path / "target"
    assert (repository.top, str(repository.prefix)) == (folder, "ops/jobs [1].d")
    assert repository.extract(commit, target, [repository.prefix]) == ()
    laid = target / "ops" / "jobs [1].d"
    assert (laid / "sub" / "ä\n.yaml").read_bytes() == b"\xff\r\n"
    assert (laid / "link.yaml").readlink() == Path("sub/../../../elsewhere")
    assert not (target / "outside").exists()
    repository.extract(
        commit, target, [PurePosixPath("outside"), PurePosixPath("../up"), PurePosixPath("missing")]
    )
    assert (target / "outside").read_text() == "x"


def test_the_folder_may_be_the_whole_work_tree_and_may_be_missing(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "a.yaml").write_text("x")
    commit = commit_all(folder)
    around(folder).extract(commit, tmp_path / "target", ALL)
    assert (tmp_path / "target" / "a.yaml").exists()
    assert str(around(folder / "gone" / "jobs.d").prefix) == "gone/jobs.d"


def test_a_file_that_is_too_large_is_reported_and_takes_no_disk_space(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "a.yaml").write_bytes(b"#" * (LARGEST + 1))
    around(folder).extract(commit_all(folder), tmp_path / "target", ALL)
    trouble = read_bounded(str(tmp_path / "target" / "a.yaml"))
    assert isinstance(trouble, Trouble)
    assert "larger than" in trouble.reason
    assert (tmp_path / "target" / "a.yaml").stat().st_blocks == 0


def test_a_submodule_is_named_and_its_files_are_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text("x")
    first = commit_all(folder)
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{first},vendor")
    git(folder, "commit", "-q", "-m", "a submodule")
    repository = around(folder)
    assert repository.extract("HEAD", tmp_path / "target", ALL) == ("vendor",)
    assert os.listdir(tmp_path / "target") == ["a.yaml"]  # noqa: PTH208


def test_a_hostile_tree_cannot_write_outside_the_target(folder: Path, tmp_path: Path) -> None:
    blob = git(folder, "hash-object", "-w", "--stdin", given="x")
    link = git(folder, "hash-object", "-w", "--stdin", given=str(tmp_path))
    below = git(folder, "mktree", given=f"100644 blob {blob}\tescaped\n")
    # git refuses to make such a tree, so it is written as raw bytes: `..`, and one name
    # twice, as a link to elsewhere and as a folder.
    entries = [("40000", "..", below), ("120000", "a", link), ("40000", "a", below)]
    raw = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(identity) for mode, name, identity in entries
    )
    tree = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        cwd=folder, input=raw, capture_output=True, timeout=30, check=True,
    ).stdout.decode().strip()  # fmt: skip
    commit = git(folder, "commit-tree", tree, "-m", "hostile")
    with pytest.raises(UsageError, match="cannot be extracted"):
        around(folder).extract(commit, tmp_path / "target", ALL)
    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "target" / "a" / "escaped").exists()


def test_a_ref_is_never_an_option_and_must_be_a_commit(folder: Path) -> None:
    (folder / "a.yaml").write_text("x")
    commit = commit_all(folder)
    git(folder, "tag", "-a", "v1", "-m", "x")
    repository = around(folder)
    assert {repository.commit(ref) for ref in ("HEAD", "main", "v1", commit[:10])} == {commit}
    assert [
        repository.commit(ref) for ref in ("--all", "nothing", "HEAD~9", "HEAD:a.yaml", "")
    ] == [None] * 5
    assert sorted(repository.refs()) == ["main", "v1"]


def test_a_missing_repository_is_none_and_a_missing_git_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(folder / ".git"))
    assert Repository.around(tmp_path / "other") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="not installed"):
        Repository.around(folder)
