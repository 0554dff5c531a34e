"""The templates, by the names that clients know; each writes what its family was trained with.

None says BOS, which tokenizers add. None knows tools or thinking: a model that does is better
served by the template in its own file.
"""

from typing import Final

from model_store.create import KnownTemplate
from server.prompt.builtin.turns import alike, by_role, holding

_GEMMA: Final = {
    "user": "<start_of_turn>user\n{system}%s<end_of_turn>\n",
    "assistant": "<start_of_turn>model\n%s<end_of_turn>\n",
    "tail": "<start_of_turn>model\n",
}
_COHERE: Final = "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>"
_COHERE_TURN: Final = _COHERE + "%s<|END_OF_TURN_TOKEN|>"

BUILT_IN: Final = (
    KnownTemplate(
        "alfred",
        by_role(
            system="<start_system>%s<end_message>",
            user="<start_user>%s<end_message>",
            assistant="<start_assistant>%s<end_message>",
            tail="<start_assistant>",
        ),
        ("<start_system>", "<end_message>", "<start_user>", "<start_assistant>"),
    ),
    KnownTemplate(
        "alpaca",
        holding(
            system="%s\n\n",
            user="{system}### Instruction:\n%s\n\n",
            assistant="### Response:\n%s\n\n",
            tail="### Response:\n",
        ),
        ("### Instruction:", "### Response"),
    ),
    KnownTemplate(
        "chatml",
        alike("<|im_start|>{{ .Role }}\n%s<|im_end|>\n", "<|im_start|>assistant\n"),
        ("<|im_start|>", "<|im_end|>"),
    ),
    KnownTemplate(
        "chatqa",
        by_role(
            system="System: %s\n\n",
            user="User: %s\n\n",
            assistant="Assistant: %s\n\n",
            tail="Assistant:",
        ),
        ("System:", "User:", "Assistant:", "<|begin_of_text|>"),
    ),
    KnownTemplate(
        "codellama-70b-instruct",
        by_role(
            system="Source: system\n\n %s <step> ",
            user="Source: user\n\n %s <step> ",
            assistant="Source: assistant\n\n %s <step> ",
            tail="Source: assistant\nDestination: user\n\n ",
            begun="Source: assistant\nDestination: user\n\n ",
        ),
        ("Source:", "Destination:", "<step>"),
    ),
    KnownTemplate(
        "command-r",
        by_role(
            system=_COHERE_TURN.format("SYSTEM"),
            user=_COHERE_TURN.format("USER"),
            assistant=_COHERE_TURN.format("CHATBOT"),
            tail=_COHERE.format("CHATBOT"),
        ),
        ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    ),
    KnownTemplate(
        "falcon-instruct",
        by_role(
            system="System: %s\n",
            user="User:\n%s\n",
            assistant="Falcon:\n%s\n",
            tail="Falcon:\n",
        ),
        ("User:", "Assistant:"),
    ),
    KnownTemplate(
        "gemma-instruct",
        holding(system="%s\n", **_GEMMA),
        ("<start_of_turn>", "<end_of_turn>"),
    ),
    KnownTemplate("gemma3-instruct", holding(system="%s\n\n", **_GEMMA), ("<end_of_turn>",)),
    KnownTemplate(
        "granite-instruct",
        by_role(
            system="System:\n%s\n\n",
            user="Question:\n%s\n\n",
            assistant="Answer:\n%s\n\n",
            tail="Answer:\n",
        ),
        ("System:", "Question:", "Answer:"),
    ),
    KnownTemplate(
        "llama2-chat",
        holding(
            opening="[INST] ",
            system="<<SYS>>\n%s\n<</SYS>>\n\n",
            user="{system}%s [/INST]",
            assistant=" %s </s><s>[INST] ",
            tail="",
        ),
        ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    ),
    KnownTemplate(
        "llama3-instruct",
        alike(
            "<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n%s<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    KnownTemplate(
        "magicoder",
        holding(
            system="%s\n\n",
            user="{system}@@ Instruction\n%s\n\n",
            assistant="@@ Response\n%s\n\n",
            tail="@@ Response\n",
        ),
        ("@@ Instruction", "@@ Response"),
    ),
    KnownTemplate(
        "mistral-instruct",
        by_role(
            opening="[INST] ",
            system="%s\n\n",
            user="%s[/INST]",
            assistant=" %s</s>[INST] ",
            tail="",
        ),
        ("<|im_start|>", "<|im_end|>"),
    ),
    KnownTemplate(
        "openchat",
        by_role(
            system="GPT4 Correct System: %s<|end_of_turn|>",
            user="GPT4 Correct User: %s<|end_of_turn|>",
            assistant="GPT4 Correct Assistant: %s<|end_of_turn|>",
            tail="GPT4 Correct Assistant:",
        ),
        ("<|end_of_turn|>",),
    ),
    KnownTemplate(
        "phi-3",
        alike("<|{{ .Role }}|>\n%s<|end|>\n", "<|assistant|>\n"),
        ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
    ),
    KnownTemplate(
        "solar-instruct",
        by_role(
            system="### System:\n%s\n\n",
            user="### User:\n%s\n\n",
            assistant="### Assistant:\n%s</s>\n\n",
            tail="### Assistant:\n",
        ),
        ("### System:", "### User:", "### Assistant"),
    ),
    KnownTemplate(
        "starcoder2-instruct",
        holding(
            system="%s\n\n",
            user="{system}### Instruction\n%s\n\n",
            assistant="### Response\n%s<|endoftext|>\n\n",
            tail="### Response\n",
        ),
        ("### Instruction", "### Response", "<|endoftext|>"),
    ),
    KnownTemplate(
        "vicuna",
        holding(
            system="%s\n\n",
            user="{system}USER: %s\n",
            assistant="ASSISTANT: %s</s>\n",
            tail="ASSISTANT:",
        ),
        ("USER:", "ASSISTANT:"),
    ),
    KnownTemplate(
        "zephyr",
        alike("<|{{ .Role }}|>\n%s</s>\n", "<|assistant|>\n"),
        ("<|system|>", "</s>", "<|user|>", "<|assistant|>"),
    ),
)
