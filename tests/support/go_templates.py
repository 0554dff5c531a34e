"""Go templates in one call."""

import pytest

from server.errors import TemplateError
from server.prompt.gotemplate.evaluate import execute
from server.prompt.gotemplate.parser import parse


def printed(source: str, /, **data: object) -> str:
    """Return what a template prints for `data`."""
    return execute(parse(source), data)


def failure(source: str, /, **data: object) -> str:
    """Return the error with which a template ends, while it is parsed or executed."""
    with pytest.raises(TemplateError) as caught:
        printed(source, **data)
    return str(caught.value)
