"""Where the URL of a store comes from, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.access.places import Places, places
from runner.errors import UsageError


def _places(folder: Path, store_file: Path | None = None) -> Places:
    return places(
        folder / "jobs.d", folder / "state", None, "UTC", store_file=store_file, is_guarded=False
    )


@pytest.fixture
def url_file(tmp_path: Path) -> Path:
    path = tmp_path / "store.url"
    path.write_text("postgresql://me:s3cret@db/runner\n# a comment\n")
    path.chmod(0o600)
    return path


def test_without_a_url_the_store_is_in_the_state_folder(tmp_path: Path) -> None:
    found = _places(tmp_path)
    assert (found.store.folder, found.store.url, found.has_store) == (
        tmp_path / "state",
        None,
        False,
    )


def test_the_url_of_the_environment_precedes_the_file_and_is_inherited_by_nobody(
    tmp_path: Path, url_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_STORE", "postgresql://other/runner")
    found = _places(tmp_path, url_file)
    assert found.store.url == "postgresql://other/runner"
    assert found.has_store
    assert "RUNNER_STORE" not in os.environ
    assert _places(tmp_path, url_file).store.url == "postgresql://me:s3cret@db/runner"
    assert "s3cret" not in repr(found) + repr(_places(tmp_path, url_file).store)


def test_the_settings_file_may_name_the_file(tmp_path: Path, url_file: Path) -> None:
    (tmp_path / "runner.yaml").write_text("store_file: store.url\n")
    assert _places(tmp_path).store.url == "postgresql://me:s3cret@db/runner"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(url_file: Path, mode: int) -> None:
    url_file.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod 600 {url_file}"):
        _ = _places(url_file.parent, url_file).store


def test_a_file_that_has_no_url_is_refused(tmp_path: Path, url_file: Path) -> None:
    url_file.write_text("\n")
    with pytest.raises(UsageError, match="no URL of a store in its first line"):
        _ = _places(tmp_path, url_file).store
    for odd in (tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            _ = _places(tmp_path, odd).store


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path, url_file: Path) -> None:
    os.chown(url_file, 65534, 65534)
    with pytest.raises(UsageError, match="root does not read"):
        _ = _places(tmp_path, url_file).store
