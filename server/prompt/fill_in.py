"""Go template that fills in the middle (FIM) for models that have no template with `.Suffix`."""

from model_store.gguf.fill_in import FillInTokens


def fill_in_template(tokens: FillInTokens, *, otherwise: str = "") -> str:
    """Return the template that marks prompt and suffix; without a suffix it prints `otherwise`."""
    prefix = f"{_text(tokens.prefix)}{{{{ .Prompt }}}}"
    suffix = f"{_text(tokens.suffix)}{{{{ .Suffix }}}}"
    both = suffix + prefix if tokens.suffix_first else prefix + suffix
    rest = f"{{{{ else }}}}{otherwise}" if otherwise else ""
    return f"{{{{ if .Suffix }}}}{both}{_text(tokens.middle)}{rest}{{{{ end }}}}"


def with_fill_in(jinja: str, template: str) -> str:
    """Return a Jinja template with a comment that shows the Go template for filling in.

    Editors decide by the text `.Suffix` in a model's template whether it can fill in.
    """
    return jinja if "#}" in template else f"{{# {template} #}}{jinja}"


def _text(token: str) -> str:
    """Return a token's text as a template prints it; braces would begin an action."""
    return token.replace("{{", '{{ "{{" }}')
