"""The Kubernetes manifests: valid by Kubernetes' own schemas, and in step with the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.place import ROOT

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="`test` is not installed")
PACKAGING = ROOT / "runner/packaging"
MANIFESTS = sorted((PACKAGING / "kubernetes").glob("*.yaml"))


def resources(manifest: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest.read_text()))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_each_resource_is_valid_and_has_no_unknown_key(manifest: Path) -> None:
    newest = kubernetes_validate.latest_version()
    for resource in resources(manifest):
        kubernetes_validate.validate(resource, newest, strict=True)


def test_an_unknown_key_would_be_found() -> None:
    claim, _ = resources(PACKAGING / "kubernetes/runner.yaml")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            claim | {"spek": {}}, kubernetes_validate.latest_version(), strict=True
        )


def test_the_deployment_fits_the_image() -> None:
    _, deployment = resources(PACKAGING / "kubernetes/runner.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    lines = (PACKAGING / "container/Containerfile").read_text().splitlines()
    said = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    user = pod["securityContext"]
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == said["USER"]
    assert container["args"] == json.loads(said["CMD"])
    probe = json.loads(said["HEALTHCHECK"].partition(" CMD ")[2])
    assert container["livenessProbe"]["exec"]["command"] == probe
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {said["VOLUME"], "/jobs.d", "/tmp"}
