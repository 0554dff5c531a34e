"""Create request: sources, layers and parameters, and the checks that need no file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from model_store.digests import Digest
from model_store.errors import CreateError
from model_store.gguf.types import FILE_TYPES
from model_store.names import ModelName

_LONGEST_SHOWN = 40
_NEED_IMPORTANCE = frozenset("IQ1_M IQ1_S IQ2_M IQ2_S IQ2_XS IQ2_XXS IQ3_XS IQ3_XXS Q2_K_S".split())
"""Types that need an importance matrix."""
_NOT_WRITTEN = frozenset({"NVFP4"})
_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
_ALL_TYPES = {
    name: number
    for number, name in sorted({0: "F32", **FILE_TYPES}.items())
    if name not in _NOT_WRITTEN
}
_TYPES = [name for name in _ALL_TYPES if name not in _NEED_IMPORTANCE]
_IMATRIX = "imatrix"
"""What the name of a file with an importance matrix contains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSpec:
    """What a model is made of; an empty text, mapping or list means not given.

    `parent` is an installed model and wins over `files`, except for an importance matrix (a file
    with `imatrix` in its name). `files`, `adapters` and `drafts` (a model for speculative decoding)
    map file names to digests of uploaded blobs. `parameters` replace those of the parent one by
    one, `messages`, drafts and texts as a whole, licences are added. `info` presets what listings
    show. `check_template` raises an error of the caller's choice for a template that cannot be
    parsed.
    """

    name: ModelName
    parent: ModelName | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    drafts: Mapping[str, str] = field(default_factory=dict)
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
        upper = self.quantize.upper()
        name = _ALIASES.get(upper, upper)
        return name if name in (_ALL_TYPES if self.imatrix_files else _TYPES) else ""

    @property
    def quantization_number(self) -> int:
        """The number of that type in GGUF files."""
        return _ALL_TYPES[self.quantization]

    @property
    def imatrix_files(self) -> Mapping[str, str]:
        """The files that are importance matrices."""
        return {name: text for name, text in self.files.items() if _is_imatrix(name)}

    @property
    def model_files(self) -> Mapping[str, str]:
        """The other files."""
        return {name: text for name, text in self.files.items() if not _is_imatrix(name)}

    @property
    def uploads(self) -> Sequence[str]:
        """The digests of all files."""
        return *self.files.values(), *self.adapters.values(), *self.drafts.values()

    def check(self) -> None:
        """Check the request itself.

        Raises:
            CreateError: a file's name or the quantization is not allowed, or there is an
                importance matrix and nothing to quantize.
            InvalidDigest: a file has no valid digest.
        """
        if not all(map(_is_clean_path, (*self.files, *self.drafts))):
            raise CreateError("file path must be relative")
        for text in self.uploads:
            Digest.parse(text)
        if self.parent is None and not self.model_files:
            raise CreateError("neither 'from' or 'files' was specified")
        if self.quantize and not self.quantization:
            raise _unsupported(self.quantize.upper())
        if len(self.imatrix_files) > 1:
            raise CreateError("only one importance matrix can be used")
        if self.imatrix_files and not self.quantize:
            raise CreateError("an importance matrix is for quantizing: set quantize to a type")
        if self.template:
            self.check_template(self.template)


@dataclass(frozen=True, slots=True)
class CreateProgress:
    """A step of the work, in the words that clients show; sizes in bytes, 0 when unknown."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


def _unsupported(name: str) -> CreateError:
    if name in _NEED_IMPORTANCE:
        return CreateError(
            f"quantizing to {name} takes an importance matrix: add a file with imatrix in its "
            "name, or quantize to another type"
        )
    return CreateError(
        f"unsupported quantization type {name[:_LONGEST_SHOWN]} - "
        f"supported types are {', '.join(_TYPES)}"
    )


def _is_imatrix(name: str) -> bool:
    return _IMATRIX in name.rpartition("/")[2].lower()


def _is_clean_path(name: str) -> bool:
    return all(part not in ("", ".", "..") for part in name.split("/")) and "\0" not in name
