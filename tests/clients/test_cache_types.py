"""A quantized KV cache is left out for the model that cannot have it, instead of refusing it."""

from pathlib import Path

import httpx
import pytest

from tests.support.live_server import live_server
from tests.support.tiny_models import CHATML, write_llama


@pytest.mark.parametrize(
    "settings",
    [
        {"OLLAMA_KV_CACHE_TYPE": "q8_0"},
        {"OLLAMA_KV_CACHE_TYPE": "q4_0", "OLLAMA_FLASH_ATTENTION": "0"},
    ],
    ids=str,
)
def test_a_model_with_small_heads_answers(tmp_path: Path, settings: dict[str, str]) -> None:
    """Its heads have 8 values, a block has 32."""
    with live_server(tmp_path, **settings) as server:
        server.create("tiny", write_llama(tmp_path / "tiny.gguf", chat_template=CHATML))
        body = {"model": "tiny", "prompt": "Once", "stream": False, "options": {"num_predict": 2}}
        reply = httpx.post(f"{server.url}/api/generate", json=body, timeout=60)

        assert reply.status_code == 200, reply.text
        assert "its KV cache is f16" in server.log.read_text()
