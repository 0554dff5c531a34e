"""What a model can do is told from its file, its template and its config, in a known order."""

from pathlib import Path

import pytest

from model_store.config import ModelConfig
from model_store.model import Model
from server import capabilities as module
from server.formats import choose
from tests.support.gguf_bytes import BOOL, STRING, U32, gguf, key
from tests.support.installed import installed


def capabilities(model: Model, setting: bool | None) -> tuple[str, ...]:
    return module.capabilities(model, choose(model, setting))


POOLING = key("llama.pooling_type", U32, 1)
VISION = key("llama.vision.block_count", U32, 1)
AUDIO = key("llama.audio.block_count", U32, 1)
THINKING = "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}"
TOOLS = "{{ .Tools }}{{ range .Messages }}{{ end }}"
JINJA = "{{ tools }}<think></think>"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((), ("completion",)),
        ((POOLING,), ("embedding",)),
        ((VISION,), ("completion", "vision")),
        ((AUDIO,), ("completion", "audio")),
        ((POOLING, VISION, AUDIO), ("embedding", "vision", "audio")),
    ],
)
def test_the_file_tells_what_the_model_was_made_for(
    tmp_path: Path, keys: tuple[bytes, ...], found: tuple[str, ...]
) -> None:
    assert capabilities(installed(tmp_path, *keys), None) == found


def test_a_projector_lets_a_model_see(tmp_path: Path) -> None:
    model = installed(tmp_path, VISION, projectors=(tmp_path / "projector.gguf",))

    assert capabilities(model, None) == ("completion", "vision")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((), ("vision",)),
        ((key("clip.has_audio_encoder", BOOL, value=True),), ("vision", "audio")),
        ((key("has_audio_encoder", BOOL, value=True),), ("vision", "audio")),
        ((key("clip.has_audio_encoder", BOOL, value=False),), ("vision",)),
        (
            (
                key("clip.has_audio_encoder", BOOL, value=True),
                key("clip.vision.projector_type", STRING, "gemma3nv"),
            ),
            ("vision",),
        ),
    ],
    ids=["eyes", "ears", "ears by another name", "no ears", "ears without use"],
)
def test_a_projector_tells_whether_the_model_hears(
    tmp_path: Path, keys: tuple[bytes, ...], found: tuple[str, ...]
) -> None:
    projector = tmp_path / "projector.gguf"
    projector.write_bytes(gguf([key("general.architecture", STRING, "clip"), *keys], []))

    model = installed(tmp_path, projectors=(projector,))

    assert capabilities(model, None) == ("completion", *found)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ .Prompt }}", ("completion",)),
        (TOOLS, ("completion", "tools")),
        ("{{ .Prompt }}{{ .Suffix }}", ("completion", "insert")),
        (THINKING, ("completion", "thinking")),
        (TOOLS + "{{ .Suffix }}" + THINKING, ("completion", "tools", "insert", "thinking")),
        ("{{ .Tools", ("completion",)),
        ("text about tools and <think></think>", ("completion",)),
    ],
)
def test_a_go_template_tells_what_it_prints(
    tmp_path: Path, template: str, found: tuple[str, ...]
) -> None:
    """A broken one takes nothing from the model's entry in a listing."""
    assert capabilities(installed(tmp_path, template=template), None) == found


@pytest.mark.parametrize(
    ("chat_template", "found"),
    [
        ("{{ messages }}", ("completion",)),
        ("{% if tools %}{% endif %}", ("tools", "completion")),
        ("{{ message.tool_calls }}", ("tools", "completion")),
        ("<think>", ("completion",)),
        (JINJA, ("tools", "thinking", "completion")),
    ],
)
def test_a_template_in_jinja_tells_by_its_words(
    tmp_path: Path, chat_template: str, found: tuple[str, ...]
) -> None:
    assert capabilities(installed(tmp_path, chat_template=chat_template), None) == found


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        (None, ("tools", "thinking", "completion")),
        (True, ("completion", "insert")),
        (False, ("tools", "thinking", "completion")),
    ],
)
def test_only_the_template_in_use_counts(
    tmp_path: Path, setting: bool | None, found: tuple[str, ...]
) -> None:
    model = installed(tmp_path, template="{{ .Suffix }}", chat_template=JINJA)

    assert capabilities(model, setting) == found


@pytest.mark.parametrize(
    ("parser", "found"),
    [
        ("", ("completion",)),
        ("passthrough", ("completion",)),
        ("nosuch", ("completion",)),
        ("qwen3", ("completion", "tools")),
        ("qwen3-thinking", ("completion", "tools", "thinking")),
        ("harmony", ("completion", "tools", "thinking")),
        ("olmo3-think", ("completion", "thinking")),
        ("gemma4-no-thinking", ("completion", "tools")),
    ],
)
def test_a_parser_tells_what_it_finds_in_answers(
    tmp_path: Path, parser: str, found: tuple[str, ...]
) -> None:
    assert capabilities(installed(tmp_path, config=ModelConfig(parser=parser)), None) == found


def test_a_renderer_hides_what_the_file_s_own_template_can_do(tmp_path: Path) -> None:
    config = ModelConfig(renderer="qwen3-coder", parser="qwen3-coder")
    model = installed(tmp_path, chat_template=JINJA, config=config)

    assert capabilities(model, None) == ("completion", "tools")


def test_an_encoder_of_audio_in_the_file_itself_is_told(tmp_path: Path) -> None:
    parts = [key(f"nemotron_h_omni.{part}.block_count", U32, 1) for part in ("vision", "audio")]
    model = installed(tmp_path, *parts, architecture="nemotron_h_omni")

    assert capabilities(model, None) == ("completion", "vision", "audio")


@pytest.mark.parametrize("family", ["gptoss", "gpt-oss"])
def test_one_family_thinks_whatever_its_template(tmp_path: Path, family: str) -> None:
    model = installed(tmp_path, template=TOOLS, config=ModelConfig(model_family=family))

    assert capabilities(model, None) == ("completion", "tools", "thinking")


def test_what_the_config_names_comes_first_and_once(tmp_path: Path) -> None:
    config = ModelConfig(capabilities=("thinking", "completion", "custom"))
    model = installed(tmp_path, template=TOOLS + THINKING, config=config)

    assert capabilities(model, None) == ("thinking", "completion", "custom", "tools")
