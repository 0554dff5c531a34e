"""Choice of GGUF files in a Hugging Face repository: what a tag such as `Q4_K_M` means."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from model_store.names import DEFAULT_TAG
from model_store.registry.errors import ModelUnsupported

_GGUF = ".gguf"
_SPLIT = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\Z")
_QUANTIZATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8]|TQ[12]|MXFP4|BF16|F16|F32)[A-Z0-9_]*)\Z"
)
_PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0", "Q6_K", "F16", "BF16", "F32")
_PROJECTOR = "mmproj"
_PREFERRED_PROJECTORS = ("F16", "BF16", "F32", "Q8_0")
_LISTED = 20


@dataclass(frozen=True, slots=True)
class HubFiles:
    """Paths of the files of one model: the shards of its weights in order, and its projector."""

    weights: tuple[str, ...]
    projector: str | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Weights as one file or as several; `stem` is the path without number and ending."""

    stem: str
    files: tuple[str, ...]

    @property
    def quantization(self) -> str:
        """The quantization in the name, empty if it has none."""
        for text in (self.stem, str(PurePosixPath(self.stem).parent)):
            if match := _QUANTIZATION.search(text.upper()):
                return match[1]
        return ""

    def matches(self, tag: str) -> bool:
        """Return whether `tag` is the name of the (first) file or its quantization."""
        tag = tag.lower()
        names = {PurePosixPath(self.files[0]).name.lower(), PurePosixPath(self.stem).name.lower()}
        if tag in names or f"{tag}{_GGUF}" in names:
            return True
        stem, folder = self.stem.lower(), PurePosixPath(self.stem.lower()).parent.name
        return folder == tag or re.search(rf"(?:^|[-._/]){re.escape(tag)}\Z", stem) is not None


def choose(paths: Iterable[str], tag: str) -> HubFiles:
    """Return the files that `tag` means among those of a repository.

    The tag is a quantization (`Q4_K_M`) or a file name, in any case; `latest` is the most usual
    quantization of those in the repository.

    Raises:
        ModelUnsupported: there is none; the text says which there are.
    """
    ggufs = sorted(path for path in paths if path.lower().endswith(_GGUF))
    projectors = [path for path in ggufs if _PROJECTOR in PurePosixPath(path).name.lower()]
    candidates = _candidates(path for path in ggufs if path not in projectors)
    if not candidates:
        raise ModelUnsupported("the repository has no GGUF files")
    chosen = _preferred(candidates) if tag == DEFAULT_TAG else _matching(candidates, tag)
    if chosen is None:
        names = sorted({c.quantization or PurePosixPath(c.files[0]).name for c in candidates})
        raise ModelUnsupported(
            f'the repository has no "{tag}"; it has {", ".join(names[:_LISTED])}'
        )
    return HubFiles(chosen.files, _projector(projectors, chosen))


def _candidates(paths: Iterable[str]) -> list[_Candidate]:
    files: dict[str, list[str]] = {}
    for path in paths:
        stem = path[: -len(_GGUF)]
        match = _SPLIT.match(stem)
        files.setdefault(match[1] if match else stem, []).append(path)
    return [_Candidate(stem, tuple(paths)) for stem, paths in sorted(files.items())]


def _matching(candidates: list[_Candidate], tag: str) -> _Candidate | None:
    matching = [candidate for candidate in candidates if candidate.matches(tag)]
    # `model-Q4_K_M` is meant rather than `model-imat-Q4_K_M`.
    return min(matching, key=lambda candidate: (len(candidate.stem), candidate.stem), default=None)


def _preferred(candidates: list[_Candidate]) -> _Candidate:
    for quantization in _PREFERRED:
        if candidate := _matching(candidates, quantization):
            return candidate
    return candidates[0]


def _projector(paths: list[str], weights: _Candidate) -> str | None:
    folder = PurePosixPath(weights.stem).parent
    near = [path for path in paths if PurePosixPath(path).parent == folder] or paths
    for kind in _PREFERRED_PROJECTORS:
        for path in near:
            if re.search(rf"(?:^|[-._]){kind}\b", PurePosixPath(path).stem.upper()):
                return path
    return near[0] if near else None
