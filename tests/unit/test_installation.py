"""The command that adds extras, for each way of installing; what an installation is called."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from support.place import ROOT

from runner.installation import EXTRAS, Installation, InstallMethod, installation, missing_extra

WHEEL = "file:///tmp/yaml_job_runner-1.0-py3-none-any.whl"
LIBRARIES: dict[str, tuple[str, ...]] = {
    "alerts": ("apprise>=1.9",),
    "calendars": ("holidays>=0.60",),
}
PIP = f"{sys.executable} -m pip install"


@pytest.mark.parametrize(
    ("method", "source", "command"),
    [
        (InstallMethod.PIP, None, f"{PIP} 'yaml-job-runner[alerts]'"),
        (InstallMethod.PIP, WHEEL, f"{PIP} 'yaml-job-runner[alerts] @ {WHEEL}'"),
        (InstallMethod.EDITABLE, WHEEL, f"{PIP} -e '/there[alerts]'"),
        (InstallMethod.CHECKOUT, None, f"{PIP} 'apprise>=1.9'"),
        (InstallMethod.PACKAGE, None, f"sudo {PIP} 'apprise>=1.9'"),
        (InstallMethod.PIPX, WHEEL, "pipx inject yaml-job-runner 'apprise>=1.9'"),
        (InstallMethod.UV_TOOL, None, "uv tool install --force 'yaml-job-runner[alerts]'"),
        (InstallMethod.UVX, None, "uvx --from 'yaml-job-runner[alerts]' runner"),
    ],
)
def test_each_way_of_installing_has_its_command_for_an_extra(
    method: InstallMethod, source: str | None, command: str
) -> None:
    found = Installation(method=method, folder=Path("/there"), source=source, libraries=LIBRARIES)
    assert found.command_for(["alerts"]) == command


@pytest.mark.parametrize("method", [InstallMethod.UV_TOOL, InstallMethod.UVX])
def test_an_environment_that_uv_makes_anew_keeps_the_extras_that_it_has(
    method: InstallMethod,
) -> None:
    found = Installation(method=method, folder=Path("/there"), extras=("fleet", "web"))
    assert "'yaml-job-runner[alerts,fleet,web]'" in found.command_for(["alerts"])


def test_this_checkout_is_an_editable_installation_with_the_declared_libraries() -> None:
    found = installation()
    assert (found.method, found.folder) == (InstallMethod.EDITABLE, ROOT)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = declared["optional-dependencies"]
    assert found.libraries == {extra: tuple(extras[extra]) for extra in EXTRAS}
    assert set(EXTRAS) == set(extras) - {"dev", "test"}
    assert missing_extra("alerts") == (
        f"the extra `alerts` is not installed: {PIP} -e '{ROOT}[alerts]'"
    )
