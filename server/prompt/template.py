"""Go template of a model, parsed, and what it tells of the model: variables, tags, tool calls.

`server.rendering` executes it.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Final

from server.prompt.gotemplate import inspection
from server.prompt.gotemplate.parser import parse

_RESPONSE: Final = parse("{{ .Response }}").root


class GoTemplate:
    """A parsed template; raises TemplateError for one that cannot be parsed.

    `variables` are the names that occur in it, in lower case; `thinking_tags` the texts that it
    puts around the thinking of earlier messages, `tool_tag` the one before their calls. `tree` is
    the whole template, `up_to_response` its part up to where the model continues. `markup` is the
    source, "" when it adds nothing to what it is given.
    """

    bos = ""

    def __init__(self, source: str) -> None:
        tree = parse(source)
        names = inspection.variables(tree)
        if not {"messages", "response"} & names:
            tree = replace(tree, root=tree.root + _RESPONSE)
            names |= {"response"}
        self.source = source
        self.variables = names
        self.markup = source if inspection.has_text(tree) else ""
        self.thinking_tags = inspection.thinking_tags(tree)
        self.tool_tag = inspection.tool_call_tag(tree)
        self.tree = tree
        self.up_to_response = inspection.up_to_response(tree)


@lru_cache(maxsize=64)
def parse_go_template(source: str) -> GoTemplate:
    """Return the parsed template, kept for the next use; raises TemplateError."""
    return GoTemplate(source)
