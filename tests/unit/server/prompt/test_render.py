"""Each model's conversations go through the template that the reference would choose."""

from pathlib import Path

import pytest

from model_store.config import ModelConfig
from server.errors import TemplateError
from server.prompt.images import Placing
from server.prompt.messages import Message
from server.prompt.render import go_template_of, placing_of, renderer_for, uses_go_template
from tests.support.installed import installed

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

    assert renderer_for(model, setting).render([Message("user", "hi")], [], None) == prompt
    assert uses_go_template(model, setting) is not prompt.startswith("jinja")


@pytest.mark.parametrize(("setting", "placing"), [(True, Placing.BEFORE), (False, Placing.BEHIND)])
def test_the_kind_of_template_tells_where_images_stand(
    tmp_path: Path, setting: bool, placing: Placing
) -> None:
    model = installed(tmp_path, template=GO, chat_template=JINJA)

    assert placing_of(renderer_for(model, setting)) is placing


def test_a_template_is_parsed_once(tmp_path: Path) -> None:
    model = installed(tmp_path, template=GO, chat_template=JINJA)

    assert renderer_for(model, None) is renderer_for(model, True)
    assert renderer_for(model, False) is renderer_for(model, False)
    assert go_template_of(model) is renderer_for(model, None)


def test_a_renderer_that_is_not_known_is_named(tmp_path: Path) -> None:
    model = installed(tmp_path, template=GO, config=ModelConfig(renderer="nosuch"))

    with pytest.raises(TemplateError, match='unknown renderer "nosuch"'):
        renderer_for(model, None)


def test_a_template_in_jinja_prints_no_tokens_that_the_tokenizer_adds(tmp_path: Path) -> None:
    model = installed(tmp_path, chat_template="[{{ bos_token }}{{ eos_token }}]")

    assert renderer_for(model, None).render([Message("user", "hi")], [], None) == "[]"


@pytest.mark.parametrize("template", [{"template": "{{ .a"}, {"chat_template": "{{ a"}])
def test_a_broken_template_is_an_error_of_its_own(tmp_path: Path, template: dict[str, str]) -> None:
    with pytest.raises(TemplateError, match=r"unclosed action|cannot be parsed"):
        renderer_for(installed(tmp_path, **template), None)
