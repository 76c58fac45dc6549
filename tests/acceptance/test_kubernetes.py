"""The manifests of Kubernetes and the compose file: valid by their specifications' schemas,
in step with each other and with the image.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from support.artefacts import run
from support.place import ROOT

from runner.cli.group import cli

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="`test` is not installed")
PACKAGING = ROOT / "runner/packaging"
MANIFESTS = sorted((PACKAGING / "kubernetes").glob("*.yaml"))
MONITOR = "ServiceMonitor"
"""A resource of the operator of Prometheus, which Kubernetes' schemas do not know."""
Resource = dict[str, Any]


def resources(manifest: Path) -> list[Resource]:
    return list(yaml.safe_load_all(manifest.read_text()))


def one(kind: str, name: str) -> Resource:
    """Return the only resource of a kind in a manifest."""
    (found,) = [
        each for each in resources(PACKAGING / f"kubernetes/{name}.yaml") if each["kind"] == kind
    ]
    return found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_each_resource_is_valid_and_has_no_unknown_key(manifest: Path) -> None:
    newest = kubernetes_validate.latest_version()
    for resource in resources(manifest):
        if resource["kind"] != MONITOR:
            kubernetes_validate.validate(resource, newest, strict=True)


CHECK_MONITOR = """
import json, sys
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

def problem_of(given):
    try:
        read = ServiceMonitor.model_validate(given)
    except ValueError as error:
        return str(error)
    kept = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return "" if kept == given else f"unknown keys: {given} became {kept}"

print(json.dumps([problem_of(each) for each in json.load(sys.stdin)]))
"""
"""Reads each ServiceMonitor by the models that are generated from the operator's own schema.
They drop a key that they do not know.
"""


@pytest.mark.campaign
def test_the_monitor_of_the_service_is_valid_and_has_no_unknown_key(tmp_path: Path) -> None:
    """In an environment of its own: the models take seconds to import."""
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    wanted = "cloudcoil-models-prometheus-operator"
    run("venv/bin/pip", "install", "-q", wanted, cwd=tmp_path)

    monitor = one(MONITOR, "monitoring")
    spec = monitor["spec"]
    (endpoint,) = spec["endpoints"]
    unselective = {"endpoints": [endpoint]}
    unknown = spec | {"endpoints": [endpoint | {"pfad": "/metrics"}]}
    wrong = spec | {"endpoints": [endpoint | {"interval": "30 seconds"}]}
    given = [monitor, *(monitor | {"spec": each} for each in (unselective, unknown, wrong))]
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", CHECK_MONITOR],
        input=json.dumps(given), text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    problems = json.loads(done.stdout)
    assert problems[0] == ""
    for problem, word in zip(problems[1:], ("selector", "unknown keys", "interval"), strict=True):
        assert word in problem


def test_an_unknown_key_would_be_found() -> None:
    claim = one("PersistentVolumeClaim", "runner")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            claim | {"spek": {}}, kubernetes_validate.latest_version(), strict=True
        )


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "runner"), ("StatefulSet", "fleet")])
def test_the_pods_fit_the_image(kind: str, name: str) -> None:
    workload = one(kind, name)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    lines = (PACKAGING / "container/Containerfile").read_text().splitlines()
    said = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    user = pod["securityContext"]
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == said["USER"]
    assert container["args"] == [*json.loads(said["CMD"]), "--web"]
    probe = json.loads(said["HEALTHCHECK"].partition(" CMD ")[2])
    assert container["startupProbe"]["exec"]["command"] == probe
    assert container["securityContext"]["readOnlyRootFilesystem"]
    written = {
        mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
    }
    assert written == {said["VOLUME"], "/tmp"}
    volumes = {volume["name"] for volume in pod["volumes"]}
    claimed = {
        claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())
    }
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes | claimed


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "runner"), ("StatefulSet", "fleet")])
def test_prometheus_finds_the_page_of_the_pods(kind: str, name: str) -> None:
    service = one("Service", name)
    monitor = one(MONITOR, "monitoring")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    (port,) = [each for each in service["spec"]["ports"] if each["name"] == endpoint["port"]]
    workload = one(kind, name)
    labels = workload["spec"]["template"]["metadata"]["labels"] | {
        "statefulset.kubernetes.io/pod-name": f"{workload['metadata']['name']}-0"
    }
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert port["targetPort"] in {each["name"] for each in container["ports"]}


def test_the_compose_file_is_valid_by_the_compose_specification(tmp_path: Path) -> None:
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    run(*check, PACKAGING / "container/compose.yaml", cwd=tmp_path)


def test_further_workers_fit_the_image_and_the_store_of_the_fleet() -> None:
    runner = one("StatefulSet", "fleet")["spec"]["template"]
    worker = one("Deployment", "workers")["spec"]["template"]
    (lead,), (work,) = runner["spec"]["containers"], worker["spec"]["containers"]
    assert worker["spec"]["securityContext"] == runner["spec"]["securityContext"]
    assert (work["image"], work["securityContext"]) == (lead["image"], lead["securityContext"])
    assert all(variable in lead["env"] for variable in work["env"])
    command = cli.get_command(click.Context(cli), work["args"][0])
    assert command is not None
    options = {option for each in command.params for option in each.opts}
    assert {each for each in work["args"] if each.startswith("--")} <= options
    labels = one("StatefulSet", "fleet")["spec"]["selector"]["matchLabels"]
    assert not labels.items() <= worker["metadata"]["labels"].items(), "two owners of one pod"
