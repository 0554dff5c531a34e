"""Chat templates in Jinja as models bring them along: one that each built-in Go template equals.

Each is written in the manner of its family: with BOS or without, with a macro, a namespace or
plain conditions, refusing what the family refuses.
"""


def _each(body: str, tail: str, opening: str = "{{ bos_token }}") -> str:
    return (
        f"{opening}{{% for m in messages %}}{body}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{tail}{{% endif %}}"
    )


def _by_role(system: str, user: str, assistant: str, tail: str) -> str:
    """Return a template with one line for each role, as those with line breaks in them have."""
    return _each(
        "\n{%- if m['role'] == 'system' %}\n{{- " + system + " }}"
        "\n{%- elif m['role'] == 'user' %}\n{{- " + user + " }}"
        "\n{%- elif m['role'] == 'assistant' %}\n{{- " + assistant + " }}"
        "\n{%- else %}\n{{- raise_exception('Unknown role: ' + m['role']) }}"
        "\n{%- endif %}\n",
        tail,
    )


_FIRST = (
    "{% if messages[0].role == 'system' %}{% set said = messages[0].content %}"
    "{% set turns = messages[1:] %}{% else %}{% set said = '' %}{% set turns = messages %}"
    "{% endif %}{% for m in turns %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate: user, assistant, user, …') }}{% endif %}"
)


def _gemma(system: str) -> str:
    return (
        "{{ bos_token }}" + system + "{%- for m in turns -%}"
        "{%- set role = 'model' if m.role == 'assistant' else m.role -%}"
        "{{ '<start_of_turn>' + role + '\n' + (prefix if loop.first else '') }}"
        "{{ m.content | trim }}{{ '<end_of_turn>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
    )


FAMILIES = {
    "alfred": _each(
        "<start_{{ m.role }}>{{ m.content }}<end_message>", "<start_assistant>", opening=""
    ),
    "alpaca": _by_role(
        "m['content'] + '\n\n'",
        "'### Instruction:\n' + m['content'] + '\n\n'",
        "'### Response:\n' + m['content'] + '\n\n'",
        "{{ '### Response:\n' }}",
    ),
    "chatml": _each(
        "{{'<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>' + '\n'}}",
        "{{ '<|im_start|>assistant\n' }}",
        opening="",
    ),
    "chatqa": _by_role(
        "'System: ' + m['content'] + '\n\n'",
        "'User: ' + m['content'] + '\n\n'",
        "'Assistant: ' + m['content'] + '\n\n'",
        "Assistant:",
    ),
    "codellama-70b-instruct": _each(
        "{{ 'Source: %s\n\n %s <step> ' | format(m.role, m.content.strip()) }}",
        "{{ 'Source: assistant\nDestination: user\n\n ' }}",
    ),
    "command-r": _each(
        "{% set who = {'user': 'USER', 'assistant': 'CHATBOT', 'system': 'SYSTEM'}[m.role] %}"
        "<|START_OF_TURN_TOKEN|><|{{ who }}_TOKEN|>{{ m.content.strip() }}<|END_OF_TURN_TOKEN|>",
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
    "falcon-instruct": _by_role(
        "'System: ' + m['content'] + '\n'",
        "'User:\n' + m['content'] + '\n'",
        "'Falcon:\n' + m['content'] + '\n'",
        "{{ 'Falcon:\n' }}",
    ),
    "gemma-instruct": _gemma(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% set turns, prefix = messages, '' %}"
    ),
    "gemma3-instruct": _gemma(
        "{% if messages[0].role == 'system' %}"
        "{% set turns, prefix = messages[1:], messages[0].content + '\n\n' %}"
        "{% else %}{% set turns, prefix = messages, '' %}{% endif %}"
    ),
    "granite-instruct": (
        "{% for m in messages %}\n"
        "{% if m.role == 'user' %}\n{{ 'Question:\n' + m.content + '\n\n' }}"
        "{% elif m.role == 'system' %}\n{{ 'System:\n' + m.content + '\n\n' }}"
        "{% elif m.role == 'assistant' %}\n{{ 'Answer:\n' + m.content + '\n\n' }}{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ 'Answer:\n' }}{% endif %}"
        "{% endfor %}"
    ),
    "llama2-chat": _FIRST
    + (
        "{% if m.role == 'user' %}{{ bos_token }}[INST] "
        "{% if loop.first and said %}<<SYS>>{{ '\n' + said + '\n' }}<</SYS>>{{ '\n\n' }}{% endif %}"
        "{{ m.content.strip() }} [/INST]"
        "{% else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}{% endfor %}"
    ),
    "llama3-instruct": _each(
        "{% set head = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' %}"
        "{{ (bos_token if loop.first else '') + head + m['content'] | trim + '<|eot_id|>' }}",
        "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
        opening="",
    ),
    "magicoder": _by_role(
        "m['content'] + '\n\n'",
        "'@@ Instruction\n' + m['content'] + '\n\n'",
        "'@@ Response\n' + m['content'] + '\n\n'",
        "{{ '@@ Response\n' }}",
    ),
    "mistral-instruct": "{{ bos_token }}"
    + _FIRST
    + (
        "{% if m.role == 'user' %}{{ '[INST] ' }}"
        "{% if loop.first and said %}{{ said + '\n\n' }}{% endif %}{{ m.content + '[/INST]' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
    ),
    "openchat": _each(
        "{{ 'GPT4 Correct ' + m.role.title() + ': ' + m.content + '<|end_of_turn|>' }}",
        "{{ 'GPT4 Correct Assistant:' }}",
    ),
    "phi-3": _each(
        "{{ '<|' + m.role + '|>' + '\n' + m.content + '<|end|>\n' }}",
        "{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}",
    ),
    "solar-instruct": _by_role(
        "'### System:\n' + m['content'] + '\n\n'",
        "'### User:\n' + m['content'] + '\n\n'",
        "'### Assistant:\n' + m['content'] + eos_token + '\n\n'",
        "{{ '### Assistant:\n' }}",
    ),
    "starcoder2-instruct": _by_role(
        "m['content'] + '\n\n'",
        "'### Instruction\n' + m['content'] + '\n\n'",
        "'### Response\n' + m['content'] + '<|endoftext|>\n\n'",
        "{{ '### Response\n' }}",
    ),
    "vicuna": _by_role(
        "m['content'] + '\n\n'",
        "'USER: ' + m['content'] + '\n'",
        "'ASSISTANT: ' + m['content'] + eos_token + '\n'",
        "ASSISTANT:",
    ),
    "zephyr": (
        "{% for m in messages %}\n"
        "{% if m['role'] == 'user' %}\n{{ '<|user|>\n' + m['content'] + eos_token }}\n"
        "{% elif m['role'] == 'system' %}\n{{ '<|system|>\n' + m['content'] + eos_token }}\n"
        "{% elif m['role'] == 'assistant' %}\n{{ '<|assistant|>\n' + m['content'] + eos_token }}\n"
        "{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
        "{% endfor %}"
    ),
}
"""By the name of the built-in template."""
