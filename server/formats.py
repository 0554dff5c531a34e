"""Choose the chat format of a model: which renderer writes prompts, which parser reads answers.

A renderer is named by the model's config, or it is the model's Go template, or the Jinja template
in its GGUF file. The parser is named by the config, or follows from the template.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from model_store.model import Model
from server.errors import TemplateError
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.format_detection import detect_format
from server.parsing.generic_format import generic_format
from server.parsing.output_format import OutputFormat
from server.prompt.fill_in import fill_in_template
from server.prompt.renderer import Renderer
from server.prompt.renderers.table import RENDERERS, gemma4_size
from server.prompt.template import GoTemplate, parse_go_template
from server.prompt.template_features import of_go, of_jinja, prefers_jinja

DEFAULT_TEMPLATE: Final = "{{ .Prompt }}"
"""The Go template of a model that has no template at all."""
_THINK_END: Final = "</think>"
"""Whether a template with these usual tags has thoughts, `of_jinja` tells as the reference does."""
GPT_OSS: Final = ("gptoss", "gpt-oss")
"""Names of one model family in configs."""


class Source(StrEnum):
    """What a renderer is made from."""

    CONFIG = "config"
    GO = "go template"
    JINJA = "jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The chat format of a model.

    `renderer` is the name that clients are shown; `renderer_of` makes the renderer itself. `reason`
    says for the log how the choice was made. `features` are those of "tools", "insert" and
    "thinking" for which the template in use has words.
    """

    source: Source
    renderer: str
    output: OutputFormat
    reason: str
    features: frozenset[str] = frozenset()


PLAIN: Final = Format(
    source=Source.GO, renderer="none", output=PASSTHROUGH, reason="the prompt as the client sent it"
)
"""No chat format: the text of the client is the prompt, the text of the model the answer."""


def choose(model: Model, setting: bool | None) -> Format:
    """Return the format of `model`; `setting` is OLLAMA_GO_TEMPLATE, None when it is not set.

    Reads only the config and the header of the model. A template that cannot be parsed has no
    features, and its answers are read as plain text; `renderer_of` raises for it. Parsing a Go
    template may take seconds the first time: call this in a worker thread.

    Raises:
        ModelNotFound: the weights are gone.
        WeightsDamaged: their header cannot be read.
    """
    source = _source(model, setting)
    if source is Source.JINJA:
        jinja = model.header().chat_template
        output, features = detect_format(jinja), of_jinja(jinja)
        if output.thinking and _THINK_END not in jinja:
            features |= {"thinking"}  # between marks of another kind
        reason = f"jinja {output.name}"
    else:
        go = _parsed(model.template or DEFAULT_TEMPLATE)
        output = PASSTHROUGH if go is None or source is Source.CONFIG else _go_output(go)
        features = frozenset() if go is None or model.template is None else of_go(go)
        reason = "no template" if source is Source.GO and not model.template else source.value
    if suffix_template_of(model, source) is not None:
        features |= {"insert"}
    if model.config.parser in OUTPUT_FORMATS:
        output = OUTPUT_FORMATS[model.config.parser]
        reason += "" if source is Source.CONFIG else ", parser from config"
    elif _is_harmony(model):
        output = OUTPUT_FORMATS["harmony"]
        reason += ", gpt-oss"
    return Format(
        source=source,
        renderer=_config_renderer(model) if source is Source.CONFIG else source.value,
        output=output,
        reason=reason,
        features=features,
    )


def of_go_template(source: str) -> Format:
    """Return the format of a Go template that a request brings; raises TemplateError."""
    template = parse_go_template(source)
    return Format(
        source=Source.GO,
        renderer=Source.GO.value,
        output=_go_output(template),
        reason="go template of the request",
        features=of_go(template),
    )


def renderer_of(model: Model, format: Format) -> Renderer:
    """Return the renderer of `model`; Go templates are parsed once and kept.

    Raises:
        TemplateError: the Go template cannot be parsed, or the config names an unknown renderer.
    """
    match format.source:
        case Source.JINJA:
            return model.chat_template()
        case Source.GO:
            return go_template_of(model)
        case Source.CONFIG:
            if format.renderer not in RENDERERS:
                raise TemplateError(f'unknown renderer "{format.renderer}"')
            return RENDERERS[format.renderer]


def go_template_of(model: Model) -> GoTemplate:
    """Return the model's Go template, or the one that prints the prompt; raises TemplateError."""
    return parse_go_template(model.template or DEFAULT_TEMPLATE)


def suffix_template_of(model: Model, source: Source) -> str | None:
    """Return the Go template by which a model without one fills in the middle.

    None when it has a Go template, which then says all, or no tokens for it, or only embeds.
    """
    header = model.header()
    is_embedder = header.has(f"{header.architecture}.pooling_type")
    if model.template is not None or source is Source.CONFIG or is_embedder:
        return None
    tokens = model.fill_in_tokens()
    if tokens is None:
        return None
    return fill_in_template(tokens, otherwise="" if source is Source.JINJA else DEFAULT_TEMPLATE)


def _source(model: Model, setting: bool | None) -> Source:
    if model.config.renderer:
        return Source.CONFIG
    jinja = model.header().chat_template
    if model.template is None:
        return Source.JINJA if jinja else Source.GO
    if model.config.parser or _is_harmony(model) or setting or not jinja:
        return Source.GO
    if setting is False or _prefers_jinja(model.template, jinja):
        return Source.JINJA
    return Source.GO


def _is_harmony(model: Model) -> bool:
    """Tell whether a model speaks the format of gpt-oss, which its Go template renders."""
    source = model.template or ""
    return model.config.model_family in GPT_OSS and "<|start|>" in source and "<|end|>" in source


@lru_cache(maxsize=256)
def _prefers_jinja(source: str, jinja: str) -> bool:
    go = _parsed(source)
    return go is not None and prefers_jinja(go, source, jinja)


def _parsed(source: str) -> GoTemplate | None:
    try:
        return parse_go_template(source)
    except TemplateError:
        return None


def _config_renderer(model: Model) -> str:
    name = model.config.renderer
    if name == "gemma4":
        return gemma4_size(model.name.short, model.header().parameter_count)
    return name


def _go_output(template: GoTemplate) -> OutputFormat:
    return generic_format(template.thinking_tags, template.tool_tag)
