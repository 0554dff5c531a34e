"""Each model's conversations go through the template that the reference would choose."""

from pathlib import Path

import pytest

from model_store.config import ModelConfig
from model_store.model import Model
from server.errors import TemplateError
from server.formats import Source, choose, go_template_of, renderer_of
from server.prompt.image_tags import ImagePlacement
from server.prompt.messages import Message
from server.prompt.renderer import Renderer, placing_of
from server.prompt.renderers.table import RENDERERS
from tests.support.families.chat_templates import JINJA as JINJA_TEMPLATES
from tests.support.gguf_bytes import STRING, U32, array, key
from tests.support.installed import installed
from tests.support.rendering import prompt_of


def renderer_for(model: Model, setting: bool | None) -> Renderer:
    return renderer_of(model, choose(model, setting))


USER = Message("user", "hi")
GO, JINJA = "go:{{ .Prompt }}", "jinja:{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("template", "chat_template", "setting", "prompt"),
    [
        (GO, JINJA, None, "go:hi"),
        (GO, JINJA, True, "go:hi"),
        (GO, JINJA, False, "jinja:hi"),
        (GO, "", None, "go:hi"),
        (GO, "", False, "go:hi"),
        (None, JINJA, None, "jinja:hi"),
        (None, JINJA, True, "jinja:hi"),
        (None, "", None, "hi"),
        (None, "", True, "hi"),
    ],
)
def test_a_template_layer_wins_unless_the_setting_says_otherwise(
    tmp_path: Path, template: str | None, chat_template: str, setting: bool | None, prompt: str
) -> None:
    """A model with neither prints the prompt as it is."""
    model = installed(tmp_path, template=template, chat_template=chat_template)

    assert prompt_of(renderer_for(model, setting), USER) == prompt
    assert (choose(model, setting).source is Source.JINJA) is prompt.startswith("jinja")


@pytest.mark.parametrize(
    ("setting", "placing"), [(True, ImagePlacement.BEFORE), (False, ImagePlacement.BEHIND)]
)
def test_the_kind_of_template_tells_where_images_stand(
    tmp_path: Path, setting: bool, placing: ImagePlacement
) -> None:
    model = installed(tmp_path, template=GO, chat_template=JINJA)

    assert placing_of(renderer_for(model, setting)) is placing


TOOLS, HARMONY = "{{ tools }}", "<|start|>{{ .Prompt }}<|end|>"


@pytest.mark.parametrize(
    ("setting", "config", "go"),
    [
        (None, ModelConfig(), False),
        (True, ModelConfig(), True),
        (False, ModelConfig(), False),
        (None, ModelConfig(parser="qwen3"), True),
        (False, ModelConfig(parser="qwen3"), True),
        (None, ModelConfig(model_family="gptoss"), True),
        (False, ModelConfig(model_family="gpt-oss"), True),
        (None, ModelConfig(model_family="llama"), False),
        (False, ModelConfig(renderer="glm-4.7"), True),
    ],
)
def test_a_template_that_can_do_more_wins_where_nothing_says_otherwise(
    tmp_path: Path, setting: bool | None, config: ModelConfig, go: bool
) -> None:
    """A built-in parser, and the format of gpt-oss, need the Go template whatever the setting."""
    model = installed(tmp_path, template=HARMONY, chat_template=TOOLS, config=config)

    format = choose(model, setting)

    assert (format.source is not Source.JINJA) is go
    assert (format.output.name == "harmony") is (config.model_family in ("gptoss", "gpt-oss"))


def test_a_parser_alone_leaves_a_file_its_own_template(tmp_path: Path) -> None:
    model = installed(tmp_path, chat_template=JINJA, config=ModelConfig(parser="qwen3"))

    assert prompt_of(renderer_for(model, None), USER) == "jinja:hi"


def test_gpt_oss_is_known_by_its_template_too(tmp_path: Path) -> None:
    config = ModelConfig(model_family="gptoss")

    assert choose(installed(tmp_path, template=GO, config=config), None).output.name != "harmony"
    assert choose(installed(tmp_path, config=config), None).output.name != "harmony"


def test_a_broken_template_is_not_hidden_by_one_that_can_do_more(tmp_path: Path) -> None:
    model = installed(tmp_path, template="{{ .a", chat_template=TOOLS)

    assert choose(model, None).source is Source.GO


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_a_renderer_that_a_config_names_is_used_whatever_templates_there_are(
    tmp_path: Path, name: str
) -> None:
    model = installed(tmp_path, template=GO, chat_template=JINJA, config=ModelConfig(renderer=name))

    assert renderer_for(model, None) is renderer_for(model, False) is RENDERERS[name]


def test_gemma_4_is_resolved_by_the_model(tmp_path: Path) -> None:
    model = installed(tmp_path, config=ModelConfig(renderer="gemma4"))

    assert renderer_for(model, None) is RENDERERS["gemma4-small"]


def test_a_template_is_parsed_once(tmp_path: Path) -> None:
    model = installed(tmp_path, template=GO, chat_template=JINJA)

    assert renderer_for(model, None) is renderer_for(model, True)
    assert renderer_for(model, False) is renderer_for(model, False)
    assert go_template_of(model) is renderer_for(model, None)


def test_a_renderer_that_is_not_known_is_named(tmp_path: Path) -> None:
    model = installed(tmp_path, template=GO, config=ModelConfig(renderer="nosuch"))

    with pytest.raises(TemplateError, match='unknown renderer "nosuch"'):
        renderer_for(model, None)


def test_a_template_in_jinja_prints_the_tokens_of_its_vocabulary(tmp_path: Path) -> None:
    """Without its end an earlier answer would run into what follows.

    BOS is taken off again where the tokenizer adds it.
    """
    model = installed(
        tmp_path,
        array("tokenizer.ggml.tokens", STRING, ["<s>", "</s>"]),
        key("tokenizer.ggml.bos_token_id", U32, 0),
        key("tokenizer.ggml.eos_token_id", U32, 1),
        chat_template="{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
    )

    renderer = renderer_for(model, None)

    assert prompt_of(renderer, USER) == "<s>hi</s>"
    assert renderer.bos == "<s>"


def test_tokens_that_are_not_known_print_nothing(tmp_path: Path) -> None:
    model = installed(tmp_path, chat_template="[{{ bos_token }}{{ eos_token }}]")

    assert prompt_of(renderer_for(model, None), USER) == "[]"


@pytest.mark.parametrize("template", [{"template": "{{ .a"}, {"chat_template": "{{ a"}])
def test_a_broken_template_is_an_error_of_its_own(tmp_path: Path, template: dict[str, str]) -> None:
    with pytest.raises(TemplateError, match=r"unclosed action|cannot be parsed"):
        prompt_of(renderer_for(installed(tmp_path, **template), None), USER)


QWEN = "{{ tools }}<think></think><tool_call>{{ message.tool_calls }}</tool_call>"


@pytest.mark.parametrize(
    ("template", "chat_template", "config", "told"),
    [
        (None, "", ModelConfig(), ("go template", "generic", "no template")),
        (GO, "", ModelConfig(), ("go template", "generic", "go template")),
        (None, JINJA, ModelConfig(), ("jinja", "passthrough", "jinja passthrough")),
        (None, QWEN, ModelConfig(), ("jinja", "<think> <tool_call>", "jinja <think> <tool_call>")),
        (
            GO,
            QWEN,
            ModelConfig(renderer="glm-4.7", parser="glm-4.7"),
            ("glm-4.7", "glm-4.7", "config"),
        ),
        (
            None,
            QWEN,
            ModelConfig(parser="qwen3"),
            ("jinja", "qwen3", "jinja <think> <tool_call>, parser from config"),
        ),
        (
            HARMONY,
            "",
            ModelConfig(model_family="gptoss"),
            ("go template", "harmony", "go template, gpt-oss"),
        ),
        ("{{ .a", "", ModelConfig(), ("go template", "passthrough", "go template")),
        (None, "", ModelConfig(renderer="nosuch"), ("nosuch", "passthrough", "config")),
    ],
)
def test_a_format_says_what_was_chosen_and_why(
    tmp_path: Path,
    template: str | None,
    chat_template: str,
    config: ModelConfig,
    told: tuple[str, str, str],
) -> None:
    """Whoever asks why a tool call is lost sees first which parser looked for it."""
    format = choose(
        installed(tmp_path, template=template, chat_template=chat_template, config=config), None
    )

    assert (format.renderer, format.output.name, format.reason) == told


@pytest.mark.parametrize(
    ("name", "thinks"),
    [("gpt-oss", True), ("magistral", True), ("seed-oss", True), ("mistral", False)],
)
def test_thoughts_between_marks_of_a_family_are_a_feature(
    tmp_path: Path, name: str, thinks: bool
) -> None:
    """Otherwise a request to think would be refused."""
    format = choose(installed(tmp_path, chat_template=JINJA_TEMPLATES[name]), None)

    assert ("thinking" in format.features) is thinks
    assert "tools" in format.features
