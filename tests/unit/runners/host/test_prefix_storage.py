"""Files of computed prefixes: told apart by all that their states depend on, and tidied up."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from runners.host.model_request import ModelRequest, PrefixSettings, SchedulerConfig
from runners.host.prefix_storage import prefix_storage, tidy
from runners.protocol.adapters import Adapter
from runners.protocol.load_spec import CacheType, FlashAttention
from tests.support.models import model_request


@pytest.fixture
def settings(tmp_path: Path) -> PrefixSettings:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "sha256-a").touch()
    return PrefixSettings(
        directory=tmp_path / "prefixes", max_bytes=1000, weights=tmp_path / "blobs"
    )


@pytest.fixture
def config(settings: PrefixSettings) -> SchedulerConfig:
    return SchedulerConfig(prefixes=settings)


def model_of(request: ModelRequest, config: SchedulerConfig) -> str:
    storage = prefix_storage(request, config)
    assert storage is not None
    return storage.model


def test_states_of_different_models_and_settings_have_different_names(
    config: SchedulerConfig,
) -> None:
    request = replace(model_request("a"), weights=Path("/blobs/sha256-a"))
    names = [
        model_of(request, config),
        model_of(replace(request, weights=Path("/blobs/sha256-b")), config),
        model_of(replace(request, projector=Path("/blobs/sha256-c")), config),
        model_of(request, replace(config, cache_type=CacheType.Q8_0)),
        model_of(request, replace(config, flash_attention=FlashAttention.OFF)),
    ]

    assert len(set(names)) == len(names)
    assert model_of(replace(request, name="other", digest="x"), config) == names[0]
    # What was computed with adapters is never saved.
    assert model_of(replace(request, adapters=(Adapter("/blobs/c"),)), config) == names[0]


@pytest.mark.parametrize("max_bytes", [0, None])
def test_switched_off_nothing_is_read_or_written(
    config: SchedulerConfig, settings: PrefixSettings, max_bytes: int | None
) -> None:
    off = None if max_bytes is None else replace(settings, max_bytes=max_bytes)

    assert prefix_storage(model_request("a"), replace(config, prefixes=off)) is None


def test_directory_is_for_its_owner_alone(settings: PrefixSettings) -> None:
    tidy(settings)

    assert stat.S_IMODE(settings.directory.stat().st_mode) == 0o700


def test_files_of_deleted_models_and_unfinished_files_are_deleted(
    settings: PrefixSettings,
) -> None:
    tidy(settings)
    names = {
        "sha256-a.key.tokens.prefix",
        f"sha256-a.key.tokens.prefix.{os.getpid()}.partial",
        "notes.txt",
    }
    for name in (
        *names,
        "sha256-gone.key.tokens.prefix",
        "sha256-a.key.tokens.prefix.999999999.partial",
    ):
        (settings.directory / name).touch()

    tidy(settings)

    assert {path.name for path in settings.directory.iterdir()} == names


def test_switching_it_off_deletes_what_was_saved_and_nothing_else(
    settings: PrefixSettings,
) -> None:
    tidy(settings)
    (settings.directory / "sha256-a.key.tokens.prefix").touch()
    (settings.directory / "notes.txt").touch()

    tidy(replace(settings, max_bytes=0))

    assert [path.name for path in settings.directory.iterdir()] == ["notes.txt"]


def test_directory_that_cannot_be_made_stops_nothing(settings: PrefixSettings) -> None:
    settings.directory.touch()

    tidy(settings)
