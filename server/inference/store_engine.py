"""The engine that the store creates models with: runners that read legacy layouts too."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_store.errors import CreateError
from model_store.gguf import legacy
from model_store.gguf.validate import check_model, check_projector
from model_store.model import header_of
from runners.host.offline_jobs import OfflineJobs
from server.inference.model_files import model_files


class StoreEngine:
    """`model_store.create.tools.Engine` on top of `jobs`."""

    def __init__(self, jobs: OfflineJobs) -> None:
        self._jobs = jobs

    def quantize(
        self,
        source: Path,
        target: Path,
        file_type: int,
        tensor_types: Sequence[tuple[str, int]] = (),
        imatrix: Path | None = None,
    ) -> Iterator[tuple[int, int]]:
        """Quantize a model; raises CreateError for one in a legacy layout."""
        if model_files(source).view is not None:
            raise CreateError(
                "a model in a file layout of Ollama's former engine cannot be quantized: "
                "create it from its safetensors, or from a GGUF file that llama.cpp wrote"
            )
        return self._jobs.quantize(source, target, file_type, tensor_types, imatrix)

    def try_loading(
        self,
        weights: Path,
        adapters: tuple[Path, ...] = (),
        projector: Path | None = None,
        draft: Path | None = None,
    ) -> Iterator[tuple[int, int]]:
        """Load the files in a trial.

        Raises:
            GGUFError: they are in a legacy layout, and damaged; or what llama.cpp reads in their
                place would end the runner.
        """
        _check(weights)
        if draft is not None:
            _check(draft)
        files = model_files(weights, projector, draft)
        return self._jobs.try_loading(
            files.weights,
            adapters,
            files.projector,
            files.draft,
            view=files.view,
            projector_view=files.projector_view,
            draft_view=files.draft_view,
        )


def _check(weights: Path) -> None:
    translation = legacy.translate(weights, header_of(weights))
    if translation is not None and translation.text is not None:
        check_model(translation.text.header)
    if translation is not None and translation.projector is not None:
        check_projector(translation.projector.header)
