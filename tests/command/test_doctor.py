"""`paddock doctor` on a healthy machine and on broken ones."""

import json
import socket
from pathlib import Path

import pytest

from runners.host.engine_description import EngineUnavailable
from runners.protocol.engine_description import EngineDescription
from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind
from server.client.api import ApiClient
from server.commands.checks import Finding, Status, Surroundings, findings
from server.commands.processor import cpu_features, gpus_of_the_system
from tests.command.conftest import Run
from tests.support.served import ServedApplication

ENGINE = EngineDescription(version="1.2.3", cpu_variant="haswell", devices=())
GPU = Device(
    index=1, name="X", description="A GPU", kind=DeviceKind.GPU, free=8 << 30, total=9 << 30
)


def diagnose(host: str, models: Path, **changes: object) -> dict[str, Finding]:
    """Return the findings by name, of a machine that is healthy but for the changes."""
    variables = {"OLLAMA_HOST": host, "OLLAMA_MODELS": str(models), **changes.pop("variables", {})}
    healthy = {
        "describe": lambda: ENGINE,
        "find_program": lambda name: f"/usr/bin/{name}",
        "system_gpus": list,
    }
    with ApiClient(f"http://{host}") as client:
        around = Surroundings(variables, client, **{**healthy, **changes})
        return {finding.name: finding for finding in findings(around)}


def test_on_a_healthy_machine_all_is_well(application: ServedApplication, tmp_path: Path) -> None:
    found = diagnose(application.host, tmp_path)

    assert {f.status for f in found.values()} <= {Status.OK, Status.WARNING}  # free space
    assert found["engine"].text == "llama-cpp-python 1.2.3, CPU variant haswell"
    assert found["server"].text.startswith("paddock ")
    assert list(found) == [
        "paddock", "engine", "compiler", "processor", "gpu", "settings", "store", "server",
        "clients",
    ]  # fmt: skip


def test_without_engine_and_compiler_it_says_what_to_install(
    application: ServedApplication, tmp_path: Path
) -> None:
    def unavailable() -> EngineDescription:
        raise EngineUnavailable("No module named 'llama_cpp'")

    found = diagnose(application.host, tmp_path, describe=unavailable, find_program=lambda _: None)

    assert found["engine"].status is found["compiler"].status is Status.PROBLEM
    assert "make install" in found["engine"].advice
    assert "build-essential" in found["compiler"].advice or "xcode" in found["compiler"].advice


def test_a_compiler_is_not_missed_while_the_engine_works(
    application: ServedApplication, tmp_path: Path
) -> None:
    found = diagnose(application.host, tmp_path, find_program=lambda _: None)

    assert found["compiler"].status is Status.WARNING


def test_a_port_that_another_program_holds_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(5)
        host = f"127.0.0.1:{other.getsockname()[1]}"
        other.close()
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", int(host.rpartition(":")[2])))
            found = diagnose(host, tmp_path)

    assert found["server"].status is Status.PROBLEM
    assert f"serve could not listen on {host}" in found["server"].text
    assert "OLLAMA_HOST" in found["server"].advice


@pytest.mark.parametrize("kind", ["a file", "manifests that are a file"])
def test_an_unreadable_store_is_a_problem(
    application: ServedApplication, tmp_path: Path, kind: str
) -> None:
    store = tmp_path / "models"
    if kind == "a file":
        store.write_text("")
    else:
        store.mkdir()
        (store / "blobs").mkdir()
        (store / "manifests").write_text("")

    found = diagnose(application.host, store)

    assert found["store"].status is Status.PROBLEM
    assert str(store) in found["store"].text
    assert "OLLAMA_MODELS" in found["store"].advice


def test_a_gpu_that_the_engine_cannot_use_is_told_with_the_build_for_it(
    application: ServedApplication, tmp_path: Path
) -> None:
    unused = diagnose(application.host, tmp_path, system_gpus=lambda: ["NVIDIA H200"])
    engine = EngineDescription(version="1", cpu_variant="", devices=(GPU,))
    used = diagnose(application.host, tmp_path, describe=lambda: engine)

    assert unused["gpu"].status is Status.WARNING
    assert "CMAKE_ARGS=-DGGML_CUDA=on make install" in unused["gpu"].advice
    assert used["gpu"].text == "A GPU (8.6 GB of 9.7 GB free)"


def test_a_setting_and_a_proxy_that_break_things_are_told(
    application: ServedApplication, tmp_path: Path
) -> None:
    variables = {"OLLAMA_MAX_QUEUE": "many", "HTTP_PROXY": "http://127.0.0.1:1"}

    found = diagnose(application.host, tmp_path, variables=variables)

    assert found["settings"].status is Status.PROBLEM
    assert "OLLAMA_MAX_QUEUE" in found["settings"].text
    assert "NO_PROXY" in found["proxy"].advice


def test_findings_are_json_for_programs_and_set_the_exit_status(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    answer = run("doctor", "--json", OLLAMA_MODELS=str(file))
    text = run("doctor", OLLAMA_MODELS=str(file))

    checks = {check["name"]: check for check in json.loads(answer.stdout)["checks"]}
    assert answer.exit_code == text.exit_code == 1
    assert checks["store"]["status"] == "problem"
    assert "problem  store" in text.stdout
    assert "  → mend its owner" in text.stdout


def test_what_linux_tells_of_processor_and_gpus_is_read(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu avx avx2 fma sse4_2\n")
    device = tmp_path / "pci" / "0000:01"
    device.mkdir(parents=True)
    (device / "class").write_text("0x030000\n")
    (device / "vendor").write_text("0x1002\n")

    assert cpu_features(cpuinfo) == ["avx", "avx2", "fma"]
    assert cpu_features(tmp_path / "absent") == []
    assert gpus_of_the_system(tmp_path / "none", tmp_path / "pci") == ["AMD GPU"]
