"""The files in deploy/ are valid, and agree with the settings, the routes and the documents."""

import inspect
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import crossplane
import kubernetes_validate
import pytest
import yaml

from server.commands import health as health_command
from server.config import derived
from server.config.location import SYSTEM_FILE
from server.config.settings import VARIABLES, Settings
from server.config.values import DEFAULT_PORT
from server.config_file.configuration import ConfigFile
from server.http.serving import MAX_END_SECONDS
from server.routes import health

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
PORT = re.compile(r"\b11\d{3}\b")
GRACE = Settings().grace_period
MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes" / "paddock.yaml").read_text())
)
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["paddock"]


def manifest(kind: str) -> dict[str, Any]:
    [found] = [each for each in MANIFESTS if each["kind"] == kind]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_settings_and_ports_are_those_of_the_server(path: Path) -> None:
    text = path.read_text()
    names = set(re.findall(r"\b(?:OLLAMA|PADDOCK)_[A-Z_]+\b", text))

    assert names <= {variable.name for variable in VARIABLES}
    assert {int(port) for port in PORT.findall(text)} <= {DEFAULT_PORT}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_documented(path: Path) -> None:
    assert f"deploy/{path.relative_to(DEPLOY)}" in (ROOT / "docs" / "operations.md").read_text()


def test_the_parts_of_the_cluster_are_what_kubernetes_expects() -> None:
    parts = yaml.safe_load_all((DEPLOY / "kubernetes" / "cluster.yaml").read_text())
    kinds = []
    for part in parts:
        kinds.append(part["kind"])
        if part["kind"] != "RayCluster":  # of KubeRay
            kubernetes_validate.validate(part, "1.31", strict=True)
    assert kinds == ["PersistentVolumeClaim", "RayCluster", "Service", "NetworkPolicy"]


@pytest.mark.parametrize("kind", [each["kind"] for each in MANIFESTS])
def test_a_manifest_is_what_kubernetes_expects(kind: str) -> None:
    kubernetes_validate.validate(manifest(kind), "1.31", strict=True)


def test_probes_ask_for_routes_of_health() -> None:
    paths = {route.path for route in health.router.routes}  # type: ignore[attr-defined]
    [container] = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]

    assert {probe["path"] for probe in probes} <= paths
    assert {probe["port"] for probe in probes} == {"http"}
    assert container["ports"] == [{"name": "http", "containerPort": DEFAULT_PORT}]
    assert health_command._PATH in paths


def test_the_configuration_of_the_manifest_is_valid_and_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "paddock.toml"
    path.write_text(manifest("ConfigMap")["data"]["paddock.toml"])
    settings = ConfigFile.read(path).settings({"HOME": "/"})
    pod = manifest("Deployment")["spec"]["template"]["spec"]

    assert settings.grace_period + MAX_END_SECONDS < pod["terminationGracePeriodSeconds"]
    assert {"name": "PADDOCK_CONFIG", "value": str(SYSTEM_FILE)} in pod["containers"][0]["env"]


def test_containers_and_units_wait_until_the_server_has_ended() -> None:
    unit = (DEPLOY / "paddock.service").read_text()
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    assert float(COMPOSE["stop_grace_period"].rstrip("s")) > GRACE + MAX_END_SECONDS
    assert float(seconds) > GRACE + MAX_END_SECONDS


def test_volumes_and_users_are_those_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    [uid] = re.findall(r"--uid (\d+)", dockerfile)

    assert pod["securityContext"]["runAsUser"] == int(uid)
    assert f"USER {uid}\n" in dockerfile
    assert "VOLUME /models" in dockerfile
    assert COMPOSE["volumes"] == ["models:/models"]
    assert {"name": "models", "mountPath": "/models"} in pod["containers"][0]["volumeMounts"]


def test_all_that_the_image_writes_is_in_its_volume() -> None:
    """The rest of its file system may be read-only, and belongs to root."""
    lines = re.findall(
        r"^(?:ENV |    )(\w+)=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    environment = dict(lines)
    settings = Settings.from_env(environment)
    files = [
        function(settings)
        for _, function in inspect.getmembers(derived, inspect.isfunction)
        if inspect.signature(function).return_annotation is Path
    ]
    folders = [
        derived.scheduler_config(settings).prefixes.directory,
        derived.registry_config(settings, "").keys,
        settings.models,
    ]

    assert len(files) >= 5
    assert {path.parts[:2] for path in [*files, *folders]} == {("/", "models")}


def test_every_image_of_the_platforms_is_one_that_the_dockerfile_builds() -> None:
    bake = (DEPLOY / "docker-bake.hcl").read_text()
    dockerfile = (ROOT / "Dockerfile").read_text()
    backends = set(re.findall(r'BACKEND = "(\w+)"', bake))
    built = (ROOT / "release" / "container" / "make-engine").read_text()

    assert backends == set(re.findall(r"AS base-(\w+)", dockerfile))
    assert set(re.findall(r"linux/(\w+)", bake)) == set(
        re.findall(r"^(\w+)\) machine=", built, re.MULTILINE)
    )


def test_the_example_of_nginx_is_valid_and_streams() -> None:
    parsed = crossplane.parse(str(DEPLOY / "nginx.conf"), check_ctx=False, check_args=True)

    assert parsed["errors"] == []
    text = (DEPLOY / "nginx.conf").read_text()
    assert "proxy_buffering off;" in text
    assert "proxy_http_version 1.1;" in text
    assert "flush_interval -1" in (DEPLOY / "Caddyfile").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("name", ["paddock.service", "paddock.socket"])
def test_systemd_understands_the_unit(tmp_path: Path, name: str) -> None:
    """With a command that exists here: the installed one does not."""
    for path in DEPLOY.glob("paddock.s*"):
        text = path.read_text().replace("/usr/bin/paddock serve", "/bin/true")
        (tmp_path / path.name).write_text(text)

    command = ["systemd-analyze", "verify", str(tmp_path / name)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)

    about = [line for line in verified.stderr.splitlines() if "paddock" in line]
    assert about == []


def test_the_example_in_the_documents_is_valid(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "configuration.md").read_text()
    [example] = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    path = tmp_path / "paddock.toml"
    path.write_text(example)

    assert tomllib.loads(example)
    assert ConfigFile.read(path).serving.aliases
