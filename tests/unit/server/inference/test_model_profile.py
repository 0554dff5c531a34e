"""Profiles of models are kept, and yet always those of the files that lie in the store now."""

from dataclasses import replace
from pathlib import Path

import pytest

from model_store.errors import ModelNotFound
from model_store.names import ModelName
from server.inference import model_profile
from server.inference.model_profile import ModelProfiles
from tests.support.gguf_bytes import F32, U32, key
from tests.support.installed import installed

THINKS = "{% if enable_thinking %}<think>{% endif %}{{ messages[0].content }}</think>"


def test_a_profile_is_kept_while_the_files_stay(tmp_path: Path) -> None:
    """To read it for each request would take as long as the rest of a short one."""
    profiles = ModelProfiles(go_template=None)
    model = installed(tmp_path, chat_template=THINKS)
    assert profiles.of(model) is profiles.of(replace(model, modified_at=1.0))


def test_a_mended_file_is_read_again(tmp_path: Path) -> None:
    """`verify --repair` puts another file at the same path, under the same manifest."""
    profiles = ModelProfiles(go_template=None)
    before = profiles.of(installed(tmp_path))
    (tmp_path / "model.gguf").unlink()
    after = profiles.of(installed(tmp_path, chat_template=THINKS))
    assert (before.format.renderer, after.format.renderer) == ("go template", "jinja")
    assert "thinking" not in before.capabilities
    assert "thinking" in after.capabilities


def test_a_projector_that_appears_is_seen(tmp_path: Path) -> None:
    profiles = ModelProfiles(go_template=None)
    model = installed(tmp_path)
    projector = tmp_path / "projector.gguf"
    projector.write_bytes(b"")
    assert "vision" not in profiles.of(model).capabilities
    assert "vision" in profiles.of(replace(model, projectors=(projector,))).capabilities


def test_names_of_the_same_weights_have_profiles_of_their_own(tmp_path: Path) -> None:
    """A copy may be replaced by a model with other parameters or another template."""
    profiles = ModelProfiles(go_template=None)
    model = installed(tmp_path, key("general.sampling.temp", F32, 0.25))
    other = replace(
        model, name=ModelName.parse("other"), digest="1" * 64, parameters={"temperature": 1.0}
    )
    assert profiles.of(model).options == {"temperature": 0.25}
    assert profiles.of(other).options == {"temperature": 1.0}


def test_parameters_of_a_modelfile_come_before_those_of_the_file(tmp_path: Path) -> None:
    model = installed(tmp_path, key("general.sampling.top_k", U32, 20))
    profile = ModelProfiles(go_template=None).of(replace(model, parameters={"top_k": 7}))
    assert profile.options == {"top_k": 7}


def test_weights_that_vanished_are_no_profile_but_an_error(tmp_path: Path) -> None:
    profiles = ModelProfiles(go_template=None)
    model = installed(tmp_path)
    profiles.of(model)
    (tmp_path / "model.gguf").unlink()
    with pytest.raises(ModelNotFound):
        profiles.of(model)


def test_profiles_of_thousands_of_models_are_not_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_profile, "_MOST_MODELS", 2)
    profiles = ModelProfiles(go_template=None)
    model = installed(tmp_path)
    first = profiles.of(model)
    for number in range(1, 4):
        profiles.of(replace(model, digest=str(number) * 64))
    assert profiles.of(model) is not first
