"""What a model is to be made of, and the checks that need no file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from model_store.digests import Digest
from model_store.errors import CreateError
from model_store.names import ModelName

_QUANTIZATIONS = {
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "Q8_0": "Q8_0",
    "Q4_K_S": "Q4_K_S",
    "Q4_K_M": "Q4_K_M",
    "Q4_K": "Q4_K_M",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSpec:
    """What a model is made of; an empty text, mapping or list means not given.

    `parent` is an installed model and wins over `files`. `files` and `adapters` map file names to
    digests of uploaded blobs. `parameters` replace those of the parent one by one, `messages` and
    texts as a whole, licences are added. `info` presets what listings show. `check_template`
    raises an error of the caller's choice for a template that cannot be parsed.
    """

    name: ModelName
    parent: ModelName | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    system: str = ""
    licenses: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: Sequence[Mapping[str, object]] = ()
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    info: Mapping[str, object] = field(default_factory=dict)
    check_template: Callable[[str], None]

    @property
    def quantization(self) -> str:
        """The type to quantize to, spelled as file types are; empty when none is asked for."""
        return _QUANTIZATIONS.get(self.quantize.upper(), "")

    def check(self) -> None:
        """Find what is wrong with the request itself.

        Raises:
            CreateError: a file's name, the number of adapters or the quantization is not allowed.
            InvalidDigest: a file has no valid digest.
        """
        if not all(map(_is_clean_path, self.files)):
            raise CreateError("file path must be relative")
        for text in (*self.files.values(), *self.adapters.values()):
            Digest.parse(text)
        if len(self.adapters) > 1:
            raise CreateError("only one adapter is currently supported")
        if self.parent is None and not self.files:
            raise CreateError("neither 'from' or 'files' was specified")
        if self.quantize and not self.quantization:
            raise CreateError(
                f"unsupported quantization type {self.quantize.upper()} - "
                "supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0"
            )
        if self.template:
            self.check_template(self.template)


@dataclass(frozen=True, slots=True)
class CreateProgress:
    """A step of the work, in the words that clients show."""

    status: str


def _is_clean_path(name: str) -> bool:
    return all(part not in ("", ".", "..") for part in name.split("/")) and "\0" not in name
