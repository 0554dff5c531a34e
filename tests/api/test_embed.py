"""POST /api/embed and its older form, POST /api/embeddings: texts become vectors."""

from typing import Any

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

UNIT = [0.5, 0.5, 0.5, 0.5]
"""What the scripted runner's vector, four ones, is at unit length."""


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("hello", 1),
        (["hello"], 1),
        (["hello", "world"], 2),
        ([""], 1),
        (" ", 1),
        ("", 0),
        ([], 0),
        (None, 0),
    ],
    ids=repr,
)
async def test_every_text_has_its_vector_of_unit_length(
    shared: Server, given: object, count: int
) -> None:
    answer = await shared.post("/api/embed", model="embedder", input=given)

    assert answer.status_code == 200
    assert answer.json()["embeddings"] == [UNIT] * count


async def test_the_counters_stand_beside_the_vectors(shared: Server) -> None:
    answer = await shared.post("/api/embed", model=" Embedder", input=["ab", "cde"])

    told = answer.json()
    assert set(told) == {
        "model",
        "embeddings",
        "total_duration",
        "load_duration",
        "prompt_eval_count",
    }
    assert told["model"] == " Embedder"
    assert told["prompt_eval_count"] == 5
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_nothing_to_embed_is_answered_without_counters(shared: Server) -> None:
    answer = await shared.post("/api/embed", model="embedder")

    assert answer.json() == {"model": "embedder", "embeddings": []}


@pytest.mark.parametrize(
    ("dimensions", "vector"),
    [
        (1, [1.0]),
        (2, [0.70710677, 0.70710677]),
        (4, UNIT),
        (5, UNIT),
        (0, UNIT),
        (-1, UNIT),
        (None, UNIT),
    ],
)
async def test_fewer_dimensions_are_the_first_ones_at_unit_length_again(
    shared: Server, dimensions: int | None, vector: list[float]
) -> None:
    answer = await shared.post("/api/embed", model="embedder", input="hello", dimensions=dimensions)

    assert answer.json()["embeddings"] == [vector]


async def test_a_model_that_writes_text_embeds_too(shared: Server) -> None:
    """The reference refuses; older servers did not, and clients rely on it."""
    answer = await shared.post("/api/embed", model="base", input="hello")

    assert (answer.status_code, answer.json()["embeddings"]) == (200, [UNIT])


async def test_the_older_form_has_one_text_and_one_vector(shared: Server) -> None:
    answer = await shared.post("/api/embeddings", model="Embedder", prompt="hello")

    assert answer.status_code == 200
    assert set(answer.json()) == {"embedding"}
    assert len(answer.json()["embedding"]) == 4


@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": None}, {"input": "hello"}])
async def test_the_older_form_answers_an_empty_text_with_an_empty_vector(
    shared: Server, body: dict[str, Any]
) -> None:
    answer = await shared.post("/api/embeddings", model="embedder", **body)

    assert (answer.status_code, answer.json()) == (200, {"embedding": []})


@pytest.mark.parametrize("given", [5, True, {}, [5], ["a", None], [["a"]], [[1, 2]]], ids=repr)
@pytest.mark.parametrize("model", ["embedder", "no-such-model"])
async def test_what_is_no_text_is_refused_before_the_model_is_looked_up(
    shared: Server, given: object, model: str
) -> None:
    answer = await shared.post("/api/embed", model=model, input=given)

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid input type"})


@pytest.mark.parametrize(
    ("path", "field"), [("/api/embed", "input"), ("/api/embeddings", "prompt")]
)
async def test_a_model_that_cannot_embed_is_the_clients_mistake(
    shared: Server, path: str, field: str
) -> None:
    answer = await shared.post(path, model="base", **{field: "refuse"})

    assert answer.status_code == 400
    assert answer.json() == {"error": "this model cannot make embeddings"}
