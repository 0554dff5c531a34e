"""Model requests whose numbers are easy to reckon with."""

from pathlib import Path

from runners.host.model_request import LoadOptions, ModelFacts, ModelRequest
from runners.protocol.adapters import Adapter

MIB = 1 << 20

# One KV cell takes 2 layers x 2 heads x (64 + 64) x 2 bytes = 1 KiB.
FACTS = ModelFacts(
    layer_bytes=(10 * MIB, 10 * MIB),
    embedding_bytes=4 * MIB,
    output_bytes=6 * MIB,
    n_embd=128,
    n_vocab=1000,
    n_ctx_train=8192,
    n_heads=4,
    kv_heads=(2, 2),
    head_dim_k=64,
    head_dim_v=64,
)


def model_request(
    name: str = "a",
    *,
    facts: ModelFacts = FACTS,
    keep_alive: float | None = None,
    adapters: tuple[Path, ...] = (),
    projector: Path | None = None,
    model: object = None,
    is_background: bool = False,
    num_ctx: int | None = None,
    num_batch: int | None = None,
    num_gpu: int | None = None,
    main_gpu: int | None = None,
    use_mmap: bool | None = None,
) -> ModelRequest:
    """Return a request for the model `name`; models differ in their name alone."""
    options = LoadOptions(
        num_ctx=num_ctx,
        num_batch=num_batch,
        num_gpu=num_gpu,
        main_gpu=main_gpu,
        use_mmap=use_mmap,
    )
    return ModelRequest(
        name=name,
        digest=f"digest of {name}",
        weights=Path(f"/models/{name}.gguf"),
        adapters=tuple(Adapter(str(path)) for path in adapters),
        projector=projector,
        facts=facts,
        options=options,
        keep_alive=keep_alive,
        model=model,
        is_background=is_background,
    )
