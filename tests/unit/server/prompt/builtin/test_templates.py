"""The built-in Go templates do what the ones in Jinja do, and what those leave out."""

import pytest

from model_store.create import KnownTemplate
from server.prompt.builtin.templates import BUILT_IN
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message
from server.prompt.template import GoTemplate
from server.prompt.template_features import of_go
from tests.support.chat_templates import FAMILIES

each = pytest.mark.parametrize("known", BUILT_IN, ids=lambda known: known.name)


def prompt(known: KnownTemplate, *said: tuple[str, str]) -> str:
    messages = [Message(role, content) for role, content in said]
    return GoTemplate(known.source).render(messages, (), None)


@each
def test_no_template_claims_an_ability_that_its_family_lacks(known: KnownTemplate) -> None:
    """What can do more in Jinja is left in Jinja, so a model never loses by a template."""
    assert not of_go(GoTemplate(known.source))


@each
def test_an_answer_that_was_begun_is_left_open(known: KnownTemplate) -> None:
    """The model goes on with it; but for a blank before it, as its own template would have it."""
    written = prompt(known, ("user", "Sing."), ("assistant", "La la"))

    own = JinjaTemplate(FAMILIES[known.name], bos="<s>", eos="</s>")
    said = [Message("user", "Sing."), Message("assistant", "La la")]
    expected = own.render(said, (), None).removeprefix("<s>")
    assert written.endswith("La la")
    assert written.removesuffix("La la").rstrip() == expected.removesuffix("La la").rstrip()


@each
def test_every_text_is_said_once(known: KnownTemplate) -> None:
    """Also in conversations that most templates in Jinja refuse."""
    said = [
        ("system", "one"),
        ("user", "two"),
        ("user", "three"),
        ("assistant", "four"),
        ("system", "five"),
        ("user", "six"),
    ]

    written = prompt(known, *said)

    assert [written.count(text) for _, text in said] == [1] * len(said)


def test_system_texts_wait_for_the_user_together() -> None:
    gemma = next(known for known in BUILT_IN if known.name == "gemma-instruct")

    written = prompt(
        gemma, ("system", "one"), ("assistant", "two"), ("system", "three"), ("user", "four")
    )

    assert written == (
        "<start_of_turn>model\ntwo<end_of_turn>\n"
        "<start_of_turn>user\none\n\nthree\nfour<end_of_turn>\n<start_of_turn>model\n"
    )
