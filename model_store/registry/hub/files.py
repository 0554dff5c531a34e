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
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8]|TQ[12]|MXFP4|NVFP4|BF16|FP?16|FP?32)[A-Z0-9_]*)(?=\Z|[-.])"
)
_PREFERRED = (
    "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_XS", "IQ4_NL", "Q4_1", "MXFP4", "MXFP4_MOE", "Q5_K_M",
    "Q5_K_S", "Q5_0", "Q8_0", "Q6_K", "Q3_K_M", "Q3_K_L", "F16", "FP16", "BF16", "F32", "FP32",
)  # fmt: skip
_PROJECTOR = "mmproj"
_NO_MODELS = ("imatrix",)
"""Parts of the names of GGUF files that are statistics for quantizing."""
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
        part = rf"(?:^|[-._/]){re.escape(tag)}(?=\Z|[-.])"
        return folder == tag or re.search(part, stem) is not None

    @property
    def is_complete(self) -> bool:
        """Whether it has each of its parts."""
        numbers = [match.group(2, 3) for match in map(_SPLIT.match, self._stems) if match]
        totals = {int(total) for _, total in numbers}
        present = {int(number) for number, _ in numbers}
        return not numbers or (len(totals) == 1 and present == set(range(1, max(totals) + 1)))

    @property
    def _stems(self) -> tuple[str, ...]:
        return tuple(path[: -len(_GGUF)] for path in self.files)


def choose(paths: Iterable[str], tag: str) -> HubFiles:
    """Return the files that `tag` means among those of a repository.

    The tag is a quantization (`Q4_K_M`) or a file name, in any case; `latest` is the most usual
    quantization of those in the repository.

    Raises:
        ModelUnsupported: there is none; the text says which there are.
    """
    paths = list(paths)
    ggufs = sorted(path for path in paths if _is_model(path))
    projectors = [path for path in ggufs if _PROJECTOR in PurePosixPath(path).name.lower()]
    candidates = _candidates(path for path in ggufs if path not in projectors)
    if not candidates:
        raise ModelUnsupported(f"the repository has no GGUF files{_alternative(paths)}")
    chosen = _preferred(candidates) if tag == DEFAULT_TAG else _matching(candidates, tag)
    if chosen is None:
        names = sorted({c.quantization or PurePosixPath(c.files[0]).name for c in candidates})
        raise ModelUnsupported(
            f'the repository has no "{tag}"; it has {", ".join(names[:_LISTED])}'
        )
    if not chosen.is_complete:
        name = PurePosixPath(chosen.stem).name
        raise ModelUnsupported(
            f"the repository lacks parts of {name}: it has only {len(chosen.files)}"
        )
    return HubFiles(chosen.files, _projector(projectors, chosen))


def _is_model(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    return name.endswith(_GGUF) and not any(part in name for part in _NO_MODELS)


def _alternative(paths: list[str]) -> str:
    """Return what to do with a repository that has other files, as the end of a sentence."""
    names = {PurePosixPath(path).name for path in paths}
    if "adapter_config.json" in names:
        return (
            ", but a LoRA adapter: download it, and create a model with ADAPTER and the folder, "
            "FROM the model that it was made for"
        )
    if any(name.endswith(".safetensors") for name in names):
        return ": download it and create a model FROM the folder, or look for a GGUF version of it"
    return ""


def _candidates(paths: Iterable[str]) -> list[_Candidate]:
    files: dict[str, list[str]] = {}
    for path in paths:
        stem = path[: -len(_GGUF)]
        match = _SPLIT.match(stem)
        files.setdefault(match[1] if match else stem, []).append(path)
    return [_Candidate(stem, tuple(paths)) for stem, paths in sorted(files.items())]


def _matching(candidates: list[_Candidate], tag: str) -> _Candidate | None:
    matching = [candidate for candidate in candidates if candidate.matches(tag)]
    # `model-Q4_K_M` is meant rather than `model-imat-Q4_K_M` or `model-Q4_K_M-v2`, and whole ones.
    return min(
        matching,
        key=lambda candidate: (
            not candidate.is_complete,
            not candidate.stem.lower().endswith(tag.lower()),
            len(candidate.stem),
            candidate.stem,
        ),
        default=None,
    )


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
