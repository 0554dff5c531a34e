"""Chat templates in Jinja, each reduced to the parts that tell what the model writes."""

HERMES = (
    "{% for t in tools %}{{ t | tojson }}{% endfor %}{% for c in message.tool_calls %}"
    '<tool_call>\n{"name": "{{ c.name }}", "arguments": {{ c.arguments }}}\n</tool_call>'
    "{% endfor %}"
)
TEMPLATES = {
    "hermes": HERMES,
    "qwen3": HERMES + "{{ content.split('</think>')[-1] }}<think>\n\n</think>\n\n",
    "qwen3-coder": "{% if tools %}<tool_call>\n<function=f>\n<parameter=p>\n1\n</parameter>"
    "\n</function>\n</tool_call>{% endif %}",
    "glm": "{{ tools }}<think></think>\n<tool_call>{{ f }}\n<arg_key>{{ k }}</arg_key>\n"
    "<arg_value>{{ v }}</arg_value>\n</tool_call>",
    "deepseek-r1": "{{ tools }}<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>"
    "{{ f }}\\n```json\\n{{ a }}\\n```<｜tool▁call▁end｜>{{ content.split('</think>')[-1] }}",
    "deepseek-v3.1": "{{ tool_calls }}<｜tool▁call▁begin｜>{{ f }}<｜tool▁sep｜>{{ a }}"
    "<｜tool▁call▁end｜><think></think>",
    "lfm2": "{{ tools }}<|tool_call_start|>[{{ calls }}]<|tool_call_end|>",
    "olmo3": "{{ tools }}<function_calls>{{ f }}</function_calls>",
    "nemotron-nano-2": "{{ tools }}<TOOLCALL>[{{ calls }}]</TOOLCALL><think></think>",
    "phi-4-mini": "{{ tools }}<|tool_call|>{{ call }}<|/tool_call|>",
    "seed-oss": "{{ tools }}<seed:think></seed:think><seed:tool_call>\n<function=f>\n"
    "</function>\n</seed:tool_call>",
    "minimax-m2": '{{ tools }}<minimax:tool_call>\n<invoke name="f">\n<parameter name="p">1'
    "</parameter>\n</invoke>\n</minimax:tool_call>",
    "granite-3": "{{ tools }}<|tool_call|>{{ calls }}",
    "granite-3.2": "{{ tools }}<|tool_call|>{{ calls }}Here is my thought process: {{ t }} "
    "Here is my response:",
    "llama-3": '{{ tools }}<|start_header_id|>{{ \'{"name": "\' }}{{ \'"parameters": \' }}',
    "mistral": "{{ tools }}[TOOL_CALLS] [{{ calls }}]",
    "magistral": "{{ tools }}[THINK]{{ t }}[/THINK][TOOL_CALLS]{{ f }}[ARGS]{{ a }}",
    "command-r": "{{ tools }}Action: ```json\n{{ calls }}```",
    "command-a": "{{ tools }}<|START_THINKING|><|END_THINKING|><|START_ACTION|>[]<|END_ACTION|>",
    "gpt-oss": "{{ tools }}<|start|>assistant<|channel|>final<|message|>",
    "gemma-4": "{{ tools }}<|tool_call>call:f{}<tool_call|><|channel>thought\n<channel|>",
    "functiongemma": "{{ tools }}<start_function_call>call:f{}<end_function_call>",
    "glimmer": "{{ tools }}<atem:function_calls>",
    "kimi-k2": "{{ tools }}<|tool_calls_section_begin|><|tool_call_begin|>{{ call.id }}"
    "<|tool_call_argument_begin|>{{ call.arguments }}<|tool_call_end|><|tool_calls_section_end|>",
    "deepseek-v3.2": "{{ tools }}{% set mark = '｜DSML｜' %}{{ '<' + mark + 'function_calls>' }}"
    "<think></think>",
    "deepseek-v4": "{{ tools }}{% set mark = '｜DSML｜' %}{{ '<' + mark + 'tool_calls>' }}",
    "lfm2-list": "{{ 'List of tools: <|tool_list_start|>[' + tools }}",
    "lfm2.5": "<|im_start|>{{ 'List of tools: [' + tools }}",
    "phi-4-mini-instruct": "{{ '<|tool|>' + message['tools'] + '<|/tool|>' }}",
    "minicpm-5": '{{ tools }}<function name="f"><param name="p">1</param></function>',
    "functionary-3.1": "<|start_header_id|>{{ tools }}<function={{ f }}>{{ a }}</function>",
    "apriel": "{{ tools }}<tool_calls>[{{ calls }}]</tool_calls>",
    "apertus": "{{ tools }}<|inner_prefix|><|inner_suffix|><|tools_prefix|>[]<|tools_suffix|>",
    "gigachat-3.1": "{{ tools }}<|function_call|>{{ call }}",
    "command-r-plus": "{{ tools }}{{- '\\nAction:\\n```json\\n[' }}",
    "gigachat-3": "{{ tools }}function call<|role_sep|>\n{{ call }}<|message_sep|>\n\n",
    "kimi-k3": "{{ tools }}<|open|>call tool=<|sep|><|close|>call<|sep|><|end_of_msg|>",
    "minimax-m1": "{{ tools }}<beginning_of_sentence>{{ '<tool_calls>\\n' }}</tool_calls>",
    "minimax-m3": "{{ tools }}{% set mark = ']<]minimax[>[' %}{{ mark ~ '<invoke name=\"' }}"
    "<mm:think></mm:think>",
    "hunyuan-3": "{{ tools }}{% set HYTK = ':open' %}{{ '<tool_sep{}>'.format(HYTK) }}",
    "solar-open": "{{ tools }}<|tool_call:begin|>{{ id }}<|tool_call:args|>{{ arguments }}",
    "functionary-3.2": "<|start_header_id|>{{ tools }}{{ '>>>all\\n' + content }}",
    "firefunction": "functools[{{ functions }}]",
    "unknown": "{% if tools %}{{ tools | tojson }}{% endif %}{{ message.content }}",
}
"""Those that know tools."""

PLAIN = {
    "chatml": "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>",
    "gemma-3": "<start_of_turn>model\n{{ message.content }}<end_of_turn>",
}
