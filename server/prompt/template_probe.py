"""Probe which message forms a Jinja chat template accepts, by rendering short conversations.

Templates differ in what they can print: content as text or as a list of parts, arguments as an
object or as JSON text, system messages, tools and calls or none. A form that a template cannot
print is often not refused but dropped, so each form is tried once and looked for in the output.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.template_variables import MessageForm

Execute = Callable[[Sequence[Message], Sequence[Tool], MessageForm, Think | None], str]
"""Renders messages in a form, with thinking on or off; raises TemplateError."""

# Words that no template contains.
_USER, _SYSTEM, _ANSWER, _RESULT = "quaxuser", "quaxsystem", "quaxanswer", "quaxresult"
_NAME, _KEY, _VALUE = "quaxname", "quaxkey", "quaxvalue"
_SECOND_VALUE, _SECOND_RESULT = "quaxsecond", "quaxlater"
_LONG_ID, _SHORT_ID, _SECOND_ID = "call_quaxid12", "quaxid123", "quaxid456"
_TOOL: Final = Tool(
    "function",
    _NAME,
    "quax",
    {"type": "object", "properties": {"quaxparameter": {"type": "string"}}},
)


def _exchange(content: str = "", id: str = _SHORT_ID) -> list[Message]:
    """Return a user message with a tool call and its result."""
    call = ToolCall(id, 0, _NAME, {_KEY: _VALUE})
    return [
        Message("user", _USER),
        Message("assistant", content, tool_calls=(call,)),
        Message("tool", _RESULT, tool_name=_NAME, tool_call_id=id),
    ]


class TemplateProbe:
    """What one template accepts; each answer is found when it is first needed and kept.

    Where a template shows no text of the user in either form, everything is left as it is.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._form_of: dict[str, MessageForm] = {}

    def form(self, messages: Sequence[Message], *, has_tools: bool = False) -> MessageForm:
        """Return the form for these messages, and for tools if there are any."""
        if not self.shows_text:
            return MessageForm()
        has_calls = any(message.tool_calls for message in messages)
        form = self._calls if has_calls else MessageForm()
        if has_tools and self._needs_descriptions:
            form = replace(form, descriptions=True)
        roles = {message.role for message in messages}
        return replace(form, parts=frozenset(role for role in roles if self._wants_parts(role)))

    @cached_property
    def shows_text(self) -> bool:
        """Whether the text of a user's message is in the prompt."""
        return self._text_form is not None

    @cached_property
    def shows_system(self) -> bool:
        """Whether a system message at the beginning is."""
        conversation = [Message("system", _SYSTEM), Message("user", _USER)]
        return any(
            self._shows(conversation, form, _SYSTEM, _USER)
            for form in (self._user_form, self._with_parts("system"))
        )

    @cached_property
    def shows_several_system(self) -> bool:
        """Whether two system messages at the beginning are."""
        conversation = [
            Message("system", _SYSTEM),
            Message("system", _ANSWER),
            Message("user", _USER),
        ]
        return self._shows(conversation, self.form(conversation), _SYSTEM, _ANSWER, _USER)

    @cached_property
    def shows_later_system(self) -> bool:
        """Whether a system message between an answer and a user's message is."""
        before = [Message("user", _USER), Message("assistant", _ANSWER)]
        system, after = Message("system", _SYSTEM), Message("user", _RESULT)
        form = self.form([*before, system])
        if not self._accepts([*before, after], form):
            before = before[:1]
        return self._shows([*before, system, after], form, _USER, _SYSTEM, _RESULT)

    @cached_property
    def shows_tools(self) -> bool:
        """Whether the declarations of tools are."""
        user = [Message("user", _USER)]
        form = replace(self._user_form, descriptions=self._needs_descriptions)
        return self._shows(user, form, _NAME, tools=(_TOOL,))

    @cached_property
    def shows_calls(self) -> bool:
        """Whether earlier tool calls are, in any form."""
        return any(_VALUE in output for _, output in self._call_outputs)

    @cached_property
    def drops_parallel_calls(self) -> bool:
        """Whether only the first of several calls in one message is; gpt-oss makes one at a time.

        A template that refuses such a message does not drop them.
        """
        user, called, result = _exchange()
        second = ToolCall(_SECOND_ID, 1, _NAME, {_KEY: _SECOND_VALUE})
        both = replace(called, tool_calls=(*called.tool_calls, second))
        other = replace(result, content=_SECOND_RESULT, tool_call_id=_SECOND_ID)
        output = self._output([user, both, result, other], self._calls)
        return output is not None and _VALUE in output and _SECOND_VALUE not in output

    @cached_property
    def shows_results(self) -> bool:
        """Whether the results of tool calls are."""
        return self._shows(_exchange(), self.form(_exchange()), _RESULT)

    @cached_property
    def switches_thinking(self) -> bool:
        """Whether a variable turns thinking off."""
        user, form = [Message("user", _USER)], self._user_form
        off = self._output(user, form, think=False)
        return off is None or off != self._output(user, form, think=True)

    @cached_property
    def needs_short_ids(self) -> bool:
        """Whether ids of tool calls must have the nine letters and digits of Mistral's."""
        form = self._calls
        return self._accepts(_exchange(), form) and not self._accepts(_exchange(id=_LONG_ID), form)

    @cached_property
    def drops_calls_with_content(self) -> bool:
        """Whether a call is shown only in a message without content."""
        form = self._calls
        alone = self._shows(_exchange(), form, _VALUE)
        return alone and not self._shows(_exchange(_ANSWER), form, _VALUE)

    @cached_property
    def _text_form(self) -> MessageForm | None:
        """The form in which a user's message is shown, None when neither shows it."""
        forms = (MessageForm(), MessageForm(frozenset(("user",))))
        user = [Message("user", _USER)]
        tries = ((tools, form) for tools in ((), (_TOOL,)) for form in forms)
        return next((f for tools, f in tries if self._shows(user, f, _USER, tools=tools)), None)

    @property
    def _user_form(self) -> MessageForm:
        return self._text_form or MessageForm()

    def _with_parts(self, role: str) -> MessageForm:
        return replace(self._user_form, parts=self._user_form.parts | {role})

    def _wants_parts(self, role: str) -> bool:
        if role not in self._form_of:
            self._form_of[role] = self._find_form(role)
        return role in self._form_of[role].parts

    def _find_form(self, role: str) -> MessageForm:
        """Return a form in which messages of `role` are shown, plain text where none is."""
        plain, text = self._user_form, _ANSWER
        if role == "user":
            return plain
        if role == "tool":
            conversation, text, plain = _exchange(), _RESULT, self._calls
        elif role == "assistant":
            conversation = [Message("user", _USER), Message(role, text), Message("user", _USER)]
        else:
            conversation = [Message(role, text), Message("user", _USER)]
        in_parts = replace(plain, parts=plain.parts | {role})
        return next((f for f in (plain, in_parts) if self._shows(conversation, f, text)), plain)

    @cached_property
    def _needs_descriptions(self) -> bool:
        """Whether a tool is refused that has a parameter without description."""
        user, tools = [Message("user", _USER)], (_TOOL,)
        described = replace(self._user_form, descriptions=True)
        return self._output(user, self._user_form, tools) is None and (
            self._output(user, described, tools) is not None
        )

    @cached_property
    def _call_outputs(self) -> list[tuple[MessageForm, str]]:
        """The forms in which calls are accepted, with the output of each."""
        user = replace(self._user_form, descriptions=self._needs_descriptions)
        forms = [
            replace(user, json_arguments=json_arguments, null_content=null_content)
            for null_content in (False, True)
            for json_arguments in (False, True)
        ]
        outputs = [(form, self._output(_exchange(), form)) for form in forms]
        if not any(output is not None for _, output in outputs):
            outputs = [(form, self._output(_exchange()[:-1], form)) for form in forms]
        return [(form, output) for form, output in outputs if output is not None]

    @cached_property
    def _calls(self) -> MessageForm:
        """The form in which the template prints calls: best as JSON, else in any way at all."""
        accepted = self._call_outputs
        shown = [(form, output) for form, output in accepted if _VALUE in output]
        as_json = [(form, output) for form, output in shown if _is_json(output)]
        return next((form for form, _ in (*as_json, *shown, *accepted)), self._user_form)

    def _shows(
        self,
        messages: Sequence[Message],
        form: MessageForm,
        *texts: str,
        tools: Sequence[Tool] = (),
    ) -> bool:
        output = self._output(messages, form, tools)
        return output is not None and all(text in output for text in texts)

    def _accepts(self, messages: Sequence[Message], form: MessageForm) -> bool:
        return self._output(messages, form) is not None

    def _output(
        self,
        messages: Sequence[Message],
        form: MessageForm,
        tools: Sequence[Tool] = (),
        think: Think | None = None,
    ) -> str | None:
        """Return the prompt, None when the template refuses the conversation."""
        if any(message.tool_calls for message in messages):
            tools = (_TOOL,)
        try:
            return self._execute(messages, tools, form, think)
        except TemplateError:
            return None


def _is_json(output: str) -> bool:
    """Tell whether arguments were printed neither as a Python object nor as quoted JSON."""
    return f"'{_KEY}'" not in output and f'\\"{_KEY}' not in output
