"""The config blob of a model: format, family, sizes and capabilities, as listings show them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from model_store.canonical import canonical_json
from model_store.errors import ManifestInvalid
from model_store.json_text import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Fields in the order of the file.

    `model_type` is shown as the parameter size and `file_type` as the quantisation.
    """

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""

    def encode(self) -> bytes:
        """Return the blob's bytes."""
        always = {"model_format", "model_family", "model_families", "model_type", "file_type"}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        written = {k: v for k, v in values.items() if k in always or v}
        return canonical_json({**written, "architecture": "amd64", "os": "linux"})


def parse_config(name: str, data: bytes | str) -> ModelConfig:
    """Read a config blob; unknown keys and values of another type are passed over.

    Raises:
        ManifestInvalid: it is no JSON object.
    """
    try:
        content = parse_json(data)
    except ValueError as e:
        raise ManifestInvalid(name, "its config is not JSON in UTF-8") from e
    if not isinstance(content, Mapping):
        raise ManifestInvalid(name, "its config is not a JSON object")
    values: dict[str, object] = {}
    for field in fields(ModelConfig):
        value = content.get(field.name)
        if isinstance(value, list):
            value = tuple(item for item in value if isinstance(item, str))
        default = field.default if field.default is not None else ()
        if isinstance(value, type(default)) and not isinstance(value, bool):
            values[field.name] = value
    return ModelConfig(**values)  # type: ignore[arg-type]  # each value has its default's type
