"""hf.co/user/repository:tag: which files that means."""

import pytest

from model_store.registry.errors import ModelUnsupported
from model_store.registry.hub.files import HubFiles, choose

PLAIN = ["README.md", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-F16.gguf", "config.json"]
SPLIT = [
    "Q8_0/m-Q8_0-00002-of-00002.gguf",
    "Q8_0/m-Q8_0-00001-of-00002.gguf",
    "m-IQ2_XS.gguf",
]
VISION = ["v-Q4_K_M.gguf", "mmproj-v-F32.gguf", "mmproj-v-f16.gguf"]


@pytest.mark.parametrize(
    ("paths", "tag", "weights"),
    [
        (PLAIN, "latest", ("m-Q4_K_M.gguf",)),
        (PLAIN, "q8_0", ("m-Q8_0.gguf",)),
        (PLAIN, "Q8_0", ("m-Q8_0.gguf",)),
        (PLAIN, "m-F16.gguf", ("m-F16.gguf",)),
        (PLAIN, "m-f16", ("m-F16.gguf",)),
        (
            SPLIT,
            "Q8_0",
            ("Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"),
        ),
        (SPLIT, "IQ2_XS", ("m-IQ2_XS.gguf",)),
        (["m.gguf"], "latest", ("m.gguf",)),
        (["a-UD-Q4_K_M.gguf", "a-Q4_K_M.gguf"], "Q4_K_M", ("a-Q4_K_M.gguf",)),
        (["a-UD-Q4_K_M.gguf", "a-Q4_K_M.gguf"], "UD-Q4_K_M", ("a-UD-Q4_K_M.gguf",)),
    ],
)
def test_a_tag_is_a_type_or_a_file_in_any_case(
    paths: list[str], tag: str, weights: tuple[str, ...]
) -> None:
    assert choose(paths, tag).weights == weights


def test_the_projector_beside_the_weights_comes_along() -> None:
    assert choose(VISION, "latest") == HubFiles(("v-Q4_K_M.gguf",), "mmproj-v-f16.gguf")


def test_a_tag_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(ModelUnsupported, match='no "Q2_K"; it has F16, Q4_K_M, Q8_0'):
        choose(PLAIN, "Q2_K")


def test_a_repository_without_gguf_files_is_told_as_such() -> None:
    with pytest.raises(ModelUnsupported, match="no GGUF files"):
        choose(["model.safetensors"], "latest")
