"""Whatever a model prefers to write, constrained output is valid JSON of the shape asked for."""

import ctypes
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import llama_cpp as lib
import numpy as np
import pytest
from pydantic import BaseModel, Field

from runners.engine.constraints.matcher import ConstraintFactory, Matcher
from runners.protocol.constraints import JSONSchema
from tests.support.tiny_models import write_llama

Word = Annotated[str, Field(max_length=12)]
Small = Annotated[int, Field(ge=-999, le=999)]


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Small


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Word | None


class Person(BaseModel):
    name: Word
    age: Small
    colour: Colour = Colour.RED
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(max_length=3)
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")]


class Tree(BaseModel):
    value: bool
    children: list["Tree"] = Field(max_length=1)


class TinyModel:
    """A model with one sequence, used through the C interface alone."""

    def __init__(self, path: Path) -> None:
        params = lib.llama_model_default_params()
        self.model = lib.llama_model_load_from_file(str(path).encode(), params)
        context = lib.llama_context_default_params()
        context.n_ctx, context.n_threads, context.n_threads_batch = 512, 1, 1
        self.context = lib.llama_init_from_model(self.model, context)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocab)

    def close(self) -> None:
        lib.llama_free(self.context)
        lib.llama_model_free(self.model)

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        size: int = lib.llama_token_to_piece(self.vocab, token, buffer, 64, 0, False)
        return buffer.raw[:size]

    full_piece = piece

    def ends_generation(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self.vocab, token))

    def generate(self, matcher: Matcher, rng: np.random.Generator, n_predict: int = 450) -> bytes:
        """Write until the matcher is finished, drawing at temperature 1."""
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        written, token = b"", lib.llama_vocab_bos(self.vocab)
        for _ in range(n_predict):
            one = (lib.llama_token * 1)(token)
            assert lib.llama_decode(self.context, lib.llama_batch_get_one(one, 1)) == 0
            logits = lib.llama_get_logits_ith(self.context, -1)
            values = np.ctypeslib.as_array(logits, (self.size,)).copy()
            matcher.mask(values)
            token = int((values + rng.gumbel(size=self.size)).argmax())
            matcher.accept(token)
            written += self.piece(token)
            if matcher.finished:
                return written
        pytest.fail(f"not finished after {n_predict} tokens: {written!r}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyModel]:
    model = TinyModel(write_llama(tmp_path_factory.mktemp("models") / "tiny.gguf", n_ctx=512))
    yield model
    model.close()


@pytest.mark.parametrize("shape", [Person, Tree], ids=lambda shape: shape.__name__)
def test_random_output_satisfies_the_schema(model: TinyModel, shape: type[BaseModel]) -> None:
    """Fifty generations of random weights parse, validate and hold nothing that was not asked."""
    factory = ConstraintFactory(model)
    schema = json.dumps(shape.model_json_schema())
    for seed in range(50):
        written = model.generate(factory.compile(JSONSchema(schema)), np.random.default_rng(seed))
        value = shape.model_validate_json(written, extra="forbid")
        assert json.loads(written) == value.model_dump(mode="json", exclude_unset=True)
