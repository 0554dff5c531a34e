"""Instructor: answers that are objects, whatever the model."""

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.frameworks.conftest import MODEL


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.mark.parametrize("mode", [instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS])
def test_an_answer_is_an_object(v1: str, mode: instructor.Mode) -> None:
    client = instructor.from_openai(OpenAI(base_url=v1, api_key="none"), mode=mode)
    person = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Make a JSON object with name Anna and age 34."}],
        response_model=Person,
        max_retries=0,
        max_tokens=200,
        temperature=0,
    )

    assert isinstance(person, Person)
