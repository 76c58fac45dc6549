"""In any state of a repository, Runner and git name the same commit."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.git import git, git_environment

from runner.provenance.commits import commit_of, is_being_changed
from runner.provenance.revision import Provenance

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle here")


def new_repository(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", *options)
    commit(folder, "first")
    return folder


def commit(repository: Path, text: str) -> None:
    (repository / "jobs.d").mkdir(exist_ok=True)
    (repository / "jobs.d" / "a.yaml").write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", text)


def assert_as_git_says(folder: Path) -> None:
    said = git(folder, "rev-parse", "HEAD")
    assert re.fullmatch(r"[0-9a-f]{40,64}", said)
    assert commit_of(folder) == said


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repository")


def test_the_commit_of_a_branch_is_read_from_its_loose_ref(repository: Path) -> None:
    assert_as_git_says(repository)
    commit(repository, "second")
    assert_as_git_says(repository)


def test_a_folder_deep_in_a_work_tree_is_at_the_commit_of_the_work_tree(repository: Path) -> None:
    (repository / "jobs.d" / "team" / "night").mkdir(parents=True)
    assert_as_git_says(repository / "jobs.d" / "team" / "night")


def test_packed_refs_are_read_and_a_newer_loose_ref_wins_over_them(repository: Path) -> None:
    git(repository, "tag", "-am", "annotated, so that packed-refs has a peeled line", "v1")
    git(repository, "branch", "maine")  # sorts beside main
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git/refs/heads/main").exists()
    assert_as_git_says(repository)
    commit(repository, "second")
    assert_as_git_says(repository)


def test_a_detached_head_is_the_commit_itself(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, "second")
    git(repository, "checkout", "-q", "--detach", first)
    assert commit_of(repository) == first


def test_a_branch_name_may_have_slashes_and_letters_of_any_script(repository: Path) -> None:
    git(repository, "checkout", "-qb", "équipe/nuit\u00a0\u2028suite")
    commit(repository, "second")
    assert_as_git_says(repository)
    git(repository, "pack-refs", "--all")
    assert_as_git_says(repository)


def test_a_symbolic_ref_is_followed(repository: Path) -> None:
    git(repository, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    git(repository, "symbolic-ref", "HEAD", "refs/heads/alias")
    assert_as_git_says(repository)


def test_a_cycle_of_symbolic_refs_is_no_commit(repository: Path) -> None:
    (repository / ".git/refs/heads/one").write_text("ref: refs/heads/two\n")
    (repository / ".git/refs/heads/two").write_text("ref: refs/heads/one\n")
    (repository / ".git/HEAD").write_text("ref: refs/heads/one\n")
    assert commit_of(repository) is None


@pytest.mark.parametrize("packed", [False, True])
def test_a_linked_work_tree_has_its_own_head_and_shares_the_branches(
    repository: Path, packed: bool
) -> None:
    linked = repository.parent / "linked"
    git(repository, "worktree", "add", "-q", "-b", "side", str(linked))
    commit(linked, "second")
    if packed:
        git(repository, "pack-refs", "--all")
    assert_as_git_says(linked / "jobs.d")
    assert_as_git_says(repository)
    assert commit_of(linked) != commit_of(repository)


def test_a_link_to_a_work_tree_as_git_sync_sets_it_is_at_that_work_trees_commit(
    repository: Path,
) -> None:
    linked = repository.parent / "revisions" / "1"
    git(repository, "worktree", "add", "-q", "--detach", str(linked))
    commit(linked, "second")
    link = repository.parent / "current"
    link.symlink_to("revisions/1/jobs.d")
    assert commit_of(link) == git(linked, "rev-parse", "HEAD")


def test_a_submodule_is_at_its_own_commit(repository: Path) -> None:
    outer = new_repository(repository.parent / "outer")
    git(outer, "submodule", "add", "-q", str(repository), "jobs")
    git(outer, "commit", "-qm", "with a submodule")
    assert_as_git_says(outer / "jobs" / "jobs.d")
    assert commit_of(outer / "jobs") != commit_of(outer)


def test_a_sha256_repository_has_longer_ids(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository", "--object-format=sha256")
    assert_as_git_says(repository)
    assert len(commit_of(repository) or "") == 64


def test_without_a_repository_or_without_a_commit_there_is_none(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None


def test_an_empty_git_folder_is_ignored_as_by_git(repository: Path) -> None:
    (repository / "jobs.d" / ".git").mkdir()
    assert_as_git_says(repository / "jobs.d")


def test_a_broken_link_to_a_git_folder_is_no_commit_even_inside_another_repository(
    repository: Path,
) -> None:
    (repository / "jobs.d" / ".git").write_text("gitdir: ../gone\n")
    assert commit_of(repository / "jobs.d") is None


def test_a_pipe_in_place_of_a_file_does_not_block(repository: Path) -> None:
    (repository / ".git/HEAD").unlink()
    os.mkfifo(repository / ".git/HEAD")
    assert commit_of(repository) is None


@pytest.mark.parametrize("name", [".git", "HEAD", "commondir", "refs/heads/main", "packed-refs"])
@pytest.mark.parametrize(
    "kind", ["huge", "pipe", "endless device", "link to itself", "folder", "socket"]
)
def test_special_files_in_place_of_gits_files_neither_block_nor_take_memory(
    repository: Path, name: str, kind: str
) -> None:
    path = repository / ".git" / name if name != ".git" else repository / ".git"
    if name == "packed-refs":
        (repository / ".git/refs/heads/main").unlink()
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    match kind:
        case "huge":
            with path.open("wb") as file:
                file.write(b"gitdir: " if name == ".git" else b"ref: refs/heads/")
                file.truncate(1 << 42)
        case "pipe":
            os.mkfifo(path)
        case "endless device":
            path.symlink_to("/dev/zero")
        case "link to itself":
            path.symlink_to(path.name)
        case "folder":
            path.mkdir()
        case _:
            # Relative, because the path of a socket has at most 107 bytes (unix(7)).
            with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(path.parent):
                listener.bind(path.name)
    tracemalloc.start()
    try:
        found = commit_of(repository / "jobs.d")
        assert not is_being_changed(repository / "jobs.d")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert found is None or name == "commondir", (
        "without a commondir the branches are in the folder itself"
    )


def bytes_read() -> int:
    """Return how many bytes this process has read so far (Linux)."""
    return int(re.findall(r"rchar: ([0-9]+)", Path("/proc/self/io").read_text())[0])


def test_a_large_packed_refs_is_read_again_only_after_a_change(repository: Path) -> None:
    git(repository, "pack-refs", "--all")
    packed = repository / ".git/packed-refs"
    head = git(repository, "rev-parse", "HEAD")
    size = 29_000_000
    filler = "".join(f"{'0' * 40} refs/heads/a{number:08}\n" for number in range(size // 61))
    packed.write_text(packed.read_text().replace(f"{head} refs", f"{filler}{head} refs"))
    provenance = Provenance(repository / "jobs.d", git_environment())
    assert provenance.commit == head
    before = bytes_read()
    for _ in range(20):
        assert provenance.commit == head
    assert bytes_read() - before < 1_000_000
    other = head[::-1]
    packed.write_text(
        packed.read_text().replace(f"{head} refs/heads/main", f"{other} refs/heads/main")
    )
    assert provenance.commit == other


@given(
    before=st.integers(0, 3000), ref=st.sampled_from(["refs/heads/main", "refs/heads/" + "m" * 60])
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(before=0, ref="refs/heads/main")
def test_a_packed_ref_is_found_across_the_chunks_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, ref: str
) -> None:
    monkeypatch.setattr("runner.provenance.commits._CHUNK", 97)
    (tmp_path / ".git").mkdir(exist_ok=True)
    (tmp_path / ".git/HEAD").write_text(f"ref: {ref}\n")
    lines = f"# pack-refs with: peeled\n{'b' * 40} {ref}e\n{'c' * 40} x/{ref}\n^{'d' * 40}\n"
    packed = tmp_path / ".git/packed-refs"
    packed.unlink(missing_ok=True)
    packed.write_text(f"#{' ' * before}\n{lines}{'a' * 40} {ref}")
    assert commit_of(tmp_path) == "a" * 40


DAMAGE = st.binary(max_size=80) | st.sampled_from(
    [b"ref: ", b"gitdir: ", b"ref: refs/", b"\0", b"a" * 40]
).flatmap(lambda start: st.binary(max_size=40).map(lambda end: start + end))


@given(
    content=DAMAGE,
    place=st.sampled_from([".git", ".git/HEAD", ".git/commondir", ".git/packed-refs"]),
)
@example(content=b"gitdir: a\0b", place=".git")
@example(content=b"ref: refs/\0", place=".git/HEAD")
@example(content=b"ref: refs/" + b"a/" * 3000, place=".git/HEAD")
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_invalid_content_of_gits_files_is_no_commit_and_raises_nothing(
    tmp_path: Path, content: bytes, place: str
) -> None:
    shutil.rmtree(tmp_path / "folder", ignore_errors=True)
    damaged = tmp_path / "folder" / place
    damaged.parent.mkdir(parents=True)
    if place != ".git":
        (damaged.parent / "HEAD").write_text("ref: refs/heads/main\n")
    damaged.write_bytes(content)
    found = commit_of(tmp_path / "folder")
    assert found is None or found.encode() in content
    assert not is_being_changed(tmp_path / "folder")


def test_a_lock_is_seen_while_git_commits_and_gone_afterwards(repository: Path) -> None:
    hook, ready, go = repository / ".git/hooks/pre-commit", repository / "ready", repository / "go"
    os.mkfifo(ready)
    os.mkfifo(go)
    hook.write_text(f'#!/bin/sh\n: >"{ready}"\nread -r _ <"{go}"\n')
    hook.chmod(0o755)
    (repository / "jobs.d" / "a.yaml").write_text("second")
    assert not is_being_changed(repository / "jobs.d")
    with subprocess.Popen(
        ["git", "commit", "-qam", "second"], cwd=repository, env=git_environment()
    ) as running:
        ready.read_bytes()  # until the hook, inside the commit, has opened and closed it
        held = is_being_changed(repository / "jobs.d")
        go.write_text("on\n")
        assert running.wait() == 0
    assert held
    assert not is_being_changed(repository / "jobs.d")
    assert_as_git_says(repository)


def test_the_lock_of_another_work_tree_does_not_count(repository: Path) -> None:
    linked = repository.parent / "linked"
    git(repository, "worktree", "add", "-q", str(linked))
    (Path(git(linked, "rev-parse", "--absolute-git-dir")) / "index.lock").touch()
    assert is_being_changed(linked)
    assert not is_being_changed(repository)


def test_the_lock_is_seen_while_the_folder_is_missing(repository: Path) -> None:
    (repository / ".git/index.lock").touch()
    shutil.rmtree(repository / "jobs.d")
    assert is_being_changed(repository / "jobs.d")


# --- whether the folder is as its commit has it
# -----------------------------------------------------------------------


def revision(folder: Path, **environment: str) -> str | None:
    provenance = Provenance(folder, git_environment() | environment)
    provenance.ask()
    assert provenance.take(within_s=30)
    return provenance.revision()


def is_dirty(folder: Path) -> bool:
    said, head = revision(folder), git(folder, "rev-parse", "HEAD")
    assert said in (head, f"{head}-dirty")
    return said != head


def test_a_folder_is_dirty_from_its_first_change_to_the_commit_of_the_last(
    repository: Path,
) -> None:
    jobs = repository / "jobs.d"
    assert not is_dirty(jobs)
    (jobs / "a.yaml").write_text("second")
    assert is_dirty(jobs)
    git(repository, "add", ".")
    assert is_dirty(jobs), "what is staged is not committed"
    git(repository, "commit", "-qm", "second")
    assert not is_dirty(jobs)
    (jobs / "a.yaml").unlink()
    assert is_dirty(jobs)


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("jobs.d/new.yaml", True), ("jobs.d/team/new.yml", True), ("jobs.d/_defaults.yaml", True),
        ("jobs.d/été\n.yaml", True), ("jobs.d/new.log", False), ("jobs.d/.new.yaml", False),
        ("jobs.d/_draft.yaml", False), ("jobs.d/ignored.yaml", False), ("beside.yaml", False),
    ],
)  # fmt: skip
def test_an_untracked_file_counts_if_the_runner_would_read_it(
    repository: Path, name: str, dirty: bool
) -> None:
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/exclude").write_text("ignored.yaml\n")
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("new")
    assert is_dirty(repository / "jobs.d") is dirty


def test_a_change_outside_the_folder_does_not_count_and_any_tracked_file_inside_does(
    repository: Path,
) -> None:
    (repository / "README").write_text("a")
    (repository / "jobs.d/run.sh").write_text("a")
    commit(repository, "second")
    (repository / "README").write_text("b")
    assert not is_dirty(repository / "jobs.d")
    (repository / "jobs.d/run.sh").write_text("b")
    assert is_dirty(repository / "jobs.d")


def test_git_runs_no_program_of_the_repository_and_leaves_its_index_alone(
    repository: Path,
) -> None:
    trap, ran = repository / "trap", repository / "ran"
    trap.write_text(f'#!/bin/sh\n: >"{ran}"\n')
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    (repository / ".git/hooks").mkdir(exist_ok=True)
    shutil.copy(trap, repository / ".git/hooks/post-index-change")
    os.utime(repository / "jobs.d/a.yaml")  # so that git would have a reason to write its index
    index = (repository / ".git/index").stat()
    assert revision(repository / "jobs.d")
    assert not ran.exists()
    now = (repository / ".git/index").stat()
    assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (
        index.st_ino,
        index.st_mtime_ns,
        index.st_ctime_ns,
    )


def test_a_runner_that_a_hook_of_another_repository_starts_is_not_misled(repository: Path) -> None:
    other = new_repository(repository.parent / "other")
    (repository / "jobs.d/a.yaml").write_text("second")
    head = git(repository, "rev-parse", "HEAD")
    assert (
        revision(repository / "jobs.d", GIT_DIR=f"{other}/.git", GIT_WORK_TREE=str(other))
        == f"{head}-dirty"
    )


def test_runner_revision_takes_precedence_over_git_unless_it_is_empty(repository: Path) -> None:
    (repository / "jobs.d/a.yaml").write_text("second")
    assert revision(repository / "jobs.d", RUNNER_REVISION=" release-7\n") == "release-7"
    assert (revision(repository / "jobs.d", RUNNER_REVISION="") or "").endswith("-dirty")


@pytest.mark.parametrize(
    ("name", "found"), [("a" * 40, "a" * 40), ("rev-" + "b" * 64, "b" * 64), ("c" * 39, None)]
)
def test_without_a_repository_the_name_of_a_git_sync_folder_is_the_revision(
    tmp_path: Path, name: str, found: str | None
) -> None:
    jobs = tmp_path / ".worktrees" / name / "jobs.d"
    jobs.mkdir(parents=True)
    (jobs.parent / ".git").write_text("gitdir: /nowhere\n")  # only the work tree is mounted
    (link := tmp_path / "current").symlink_to(jobs)
    assert revision(link) == found


def test_without_git_the_commit_is_known_without_its_dirty_mark(repository: Path) -> None:
    (repository / "jobs.d/a.yaml").write_text("second")
    head = git(repository, "rev-parse", "HEAD")
    provenance = Provenance(repository / "jobs.d", {"PATH": "/nowhere"})
    provenance.ask()
    assert not provenance.is_asking
    assert provenance.revision() == head


def test_the_dirty_mark_counts_only_for_the_commit_that_git_compared_with(repository: Path) -> None:
    (repository / "jobs.d/a.yaml").write_text("second")
    provenance = Provenance(repository / "jobs.d", git_environment())
    provenance.ask()
    assert provenance.take(within_s=30)
    commit(repository, "second")
    assert provenance.revision() == git(repository, "rev-parse", "HEAD")


def test_git_runs_in_the_runners_session_and_its_own_process_group(
    repository: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(f'#!/bin/sh\nps -o sid=,pgid= -p $$ > "{tmp_path}/ids"\n')
    (tools / "git").chmod(0o755)
    revision(repository / "jobs.d", PATH=f"{tools}:{os.environ['PATH']}")
    session, group = map(int, (tmp_path / "ids").read_text().split())
    assert session == os.getsid(0), "only an execution has a session of its own"
    assert group != os.getpgrp(), "Ctrl-C is not for it"


def children() -> set[str]:
    """Return the pids of this process's children, zombies included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            _, parent, *_ = status.read_text().rpartition(")")[2].split()
            if parent == str(os.getpid()):
                found.add(status.parent.name)
    return found


def test_an_abandoned_or_repeated_comparison_leaves_no_process(repository: Path) -> None:
    before = children()  # of tests that ran in this process before
    provenance = Provenance(repository / "jobs.d", git_environment())
    for _ in range(3):
        provenance.ask()
    provenance.close()
    assert provenance.take()
    assert children() <= before
