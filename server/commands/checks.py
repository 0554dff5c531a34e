"""What `paddock doctor` checks: engine, compiler, processor, GPU, settings, store, address."""

import errno
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import psutil

from model_store.disk import free_space
from model_store.errors import StoreError
from model_store.store import Store
from runners.host.engine_description import EngineUnavailable, describe_engine
from runners.protocol.engine_description import EngineDescription
from runners.protocol.placement import DeviceKind
from server.client import human
from server.client.api import ApiClient, ForeignServer
from server.client.library import ollama
from server.commands.processor import cpu_features, gpus_of_the_system
from server.config.settings import Settings
from server.config.values import Address
from server.config.variables import SettingError
from server.http.listener import listen
from server.versions import PADDOCK

_LITTLE_SPACE = 5 * 10**9
_PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_BUILD = "run 'make install' in paddock's folder"


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what is the case, and what to do about it."""

    name: str
    status: Status
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks look at; tests give others."""

    environment: Mapping[str, str]
    client: ApiClient
    describe: Callable[[], EngineDescription] = describe_engine
    find_program: Callable[[str], str | None] = shutil.which
    system_gpus: Callable[[], list[str]] = field(default=gpus_of_the_system)


def findings(around: Surroundings) -> Iterator[Finding]:
    """Yield the result of each check; those that need a valid setting are left out without one."""
    yield _python()
    engine: EngineDescription | None = None
    try:
        engine = around.describe()
        yield Finding("engine", Status.OK, str(engine))
    except EngineUnavailable as e:
        yield Finding("engine", Status.PROBLEM, f"cannot be started: {e}", _BUILD)
    yield _compiler(around, is_needed=engine is None)
    yield _processor()
    yield _gpu(around, engine)
    problems = Settings.problems(around.environment)
    for problem in problems:
        yield Finding("settings", Status.PROBLEM, problem, "correct it, or unset the variable")
    if not problems:
        yield Finding("settings", Status.OK, "all variables are valid")
    try:
        settings = Settings.from_env(around.environment)
    except SettingError:
        return
    yield _store(settings)
    yield from _server(around, settings.address)


def _python() -> Finding:
    text = f"paddock {PADDOCK}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    return Finding("paddock", Status.OK, text)


def _compiler(around: Surroundings, *, is_needed: bool) -> Finding:
    names = (around.environment.get("CXX") or "c++", "g++", "clang++")
    found = next((path for name in names if (path := around.find_program(name))), None)
    if found:
        return Finding("compiler", Status.OK, found)
    install = (
        "run 'xcode-select --install'"
        if sys.platform == "darwin"
        else "install one, such as the package build-essential of Debian and Ubuntu"
    )
    if is_needed:
        text = "there is no C++ compiler, which building the engine needs"
        return Finding("compiler", Status.PROBLEM, text, f"{install}; then {_BUILD}")
    text = "there is no C++ compiler; the installed engine works without one"
    return Finding("compiler", Status.WARNING, text, f"to build it for other hardware, {install}")


def _processor() -> Finding:
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    features = cpu_features()
    text = (
        f"{cores} cores, {human.size(memory.total)} memory ({human.size(memory.available)} free)"
        + (f", {' '.join(features)}" if features else "")
    )
    if platform.machine() == "x86_64" and features and "avx2" not in features:
        advice = "a processor with AVX2 computes several times faster"
        return Finding("processor", Status.WARNING, text, advice)
    return Finding("processor", Status.OK, text)


def _gpu(around: Surroundings, engine: EngineDescription | None) -> Finding:
    devices = engine.devices if engine else ()
    used = [d for d in devices if d.kind is not DeviceKind.CPU]
    if used:
        names = (
            f"{d.description} ({human.size(d.free)} of {human.size(d.total)} free)" for d in used
        )
        return Finding("gpu", Status.OK, ", ".join(names))
    seen = around.system_gpus()
    if not seen:
        return Finding("gpu", Status.OK, "none; models compute on the processor")
    backend = (
        "HIP" if seen[0].startswith("AMD") else "CUDA" if seen[0].startswith("NVIDIA") else "VULKAN"
    )
    return Finding(
        "gpu",
        Status.WARNING,
        f"{', '.join(seen)}: not used, because the engine is built without it or its driver fails",
        f"run 'CMAKE_ARGS=-DGGML_{backend}=on make install' in paddock's folder",
    )


def _store(settings: Settings) -> Finding:
    folder = settings.models
    try:
        if not any((folder / name).exists() for name in ("blobs", "manifests")):
            place = next(p for p in (folder, *folder.parents) if p.exists())
            if place.is_dir() and os.access(place, os.W_OK):
                return Finding("store", Status.OK, f"{folder}: no models yet")
            raise NotADirectoryError(0, "it is not a directory that can be written")
        store = Store(folder, keep_unreferenced=True)
        store.check()
        n_models, free = sum(1 for _ in store.models()), free_space(folder)
    except (StoreError, OSError) as e:
        reason = (e.strerror or "unreadable").lower() if isinstance(e, OSError) else str(e)
        advice = "mend its owner and rights, or set OLLAMA_MODELS to another folder"
        return Finding("store", Status.PROBLEM, f"{folder}: {reason}", advice)
    text = f"{folder}: {n_models} models, {human.size(free)} free"
    if free < _LITTLE_SPACE:
        return Finding("store", Status.WARNING, text, "make room before you pull a model")
    return Finding("store", Status.OK, text)


def _server(around: Surroundings, address: Address) -> Iterator[Finding]:
    if around.client.answers():
        yield from _answering(around.client, address)
    else:
        yield _port(address, around.client.url)
    proxy = next((name for name in _PROXIES if around.environment.get(name)), None)
    exceptions = around.environment.get("NO_PROXY", around.environment.get("no_proxy", ""))
    if proxy and not any(name in exceptions for name in ("localhost", "127.0.0.1", "*")):
        yield Finding(
            "proxy",
            Status.WARNING,
            f"{proxy} is set, so that many clients look for this server behind the proxy",
            "set NO_PROXY=localhost,127.0.0.1",
        )


def _answering(client: ApiClient, address: Address) -> Iterator[Finding]:
    try:
        name = client.version()
    except ollama.ResponseError as e:
        text = f"a server answers at {client.url}, but refuses the command: {e.error}"
        advice = "set OLLAMA_API_KEY to a key of this server, if it asks for one"
        yield Finding("server", Status.WARNING, text, advice)
    except ForeignServer:
        text = f"what answers at {client.url} is not a server for models"
        advice = "stop the program that holds the port, or set OLLAMA_HOST to another address"
        yield Finding("server", Status.PROBLEM, text, advice)
        return
    else:
        yield Finding("server", Status.OK, f"{name} answers at {client.url}")
    yield _reach(address)


def _reach(address: Address) -> Finding:
    if address.is_loopback:
        text = "programs of this machine reach the server, other machines do not"
        return Finding(
            "clients", Status.OK, text, "for others, set OLLAMA_HOST=0.0.0.0 and API keys"
        )
    return Finding(
        "clients", Status.OK, "other machines reach the server, if no firewall is between"
    )


def _port(address: Address, url: str) -> Finding:
    try:
        listen(address).close()
    except OSError as e:
        where = f"{address.host or '*'}:{address.port}"
        return Finding(
            "server",
            Status.PROBLEM,
            f"nothing answers at {url}, and serve could not listen on {where}: "
            f"{os.strerror(e.errno or errno.EADDRINUSE).lower()}",
            "stop the program that holds the port, or set OLLAMA_HOST to another address",
        )
    return Finding("server", Status.OK, f"none answers at {url}; the port is free", "paddock serve")
