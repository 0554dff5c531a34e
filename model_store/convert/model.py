"""Convert a model folder to a GGUF file, and one for its projector if it knows images."""

from collections.abc import Mapping
from pathlib import Path

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter

from model_store.convert.families import family_of
from model_store.convert.folder import Folder
from model_store.convert.projectors import projector_of
from model_store.convert.report import Report
from model_store.convert.tensors import SourceTensor
from model_store.convert.tokenizers import add_special_tokens, read_vocabulary
from model_store.convert.write import write_gguf
from model_store.errors import CreateError

_SAMPLING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Fields of generation_config.json, and the parameters that they are here."""


def convert_model(
    folder: Folder, target: Path, report: Report, projector: Path | None = None
) -> dict[str, object]:
    """Write the model in `folder` to `target`; return the parameters that it should be run with.

    What encodes images goes to `projector`, which is left as it is when there is nothing.

    Raises:
        CreateError: it cannot be converted.
        NoSpace: the disk has no room for it.
        OSError: a file cannot be read or written.
    """
    family = family_of(folder)
    tensors = folder.tensors()
    outputs = family.outputs(tensors)
    if any(family.unconverted.search(name) for name in tensors):
        # Before the text, which takes longer: it may be refused.
        _convert_projector(folder, tensors, projector, report)
    writer = GGUFWriter(None, family.architecture_name)
    writer.add_type("model")
    family.add_metadata(writer)
    embedding = next(output for output in outputs if output.name == "token_embd.weight")
    if len(embedding.shape) != 2 or embedding.shape[1] != family.n_embd:
        raise CreateError("the token embedding does not have the shape that config.json says")
    writer.add_vocab_size(embedding.shape[0])
    vocabulary = read_vocabulary(folder, embedding.shape[0])
    if vocabulary.is_guessed:
        report.note(
            "the rules by which the tokenizer cuts text are not known: using the usual ones"
        )
    vocabulary.add_to(writer)
    add_special_tokens(writer, folder, family.config, vocabulary)
    write_gguf(writer, target, outputs, report)
    return _parameters(folder)


def _convert_projector(
    folder: Folder, tensors: Mapping[str, SourceTensor], target: Path | None, report: Report
) -> None:
    projector = projector_of(folder)
    if projector is None or target is None:
        report.note("leaving out what the model knows of images: only text can be converted")
        return
    outputs = projector.outputs(tensors)
    writer = GGUFWriter(None, MODEL_ARCH_NAMES[MODEL_ARCH.MMPROJ])
    projector.add_metadata(writer)
    write_gguf(writer, target, outputs, report)


def _parameters(folder: Folder) -> dict[str, object]:
    """Return how the model's makers sample from it; nothing if they always take the likeliest."""
    config = folder.fields("generation_config.json")
    if not config.flag("do_sample"):
        return {}
    present = [(name, parameter) for name, parameter in _SAMPLING.items() if config.has(name)]
    return {
        parameter: config.integer(name, least=0) if name == "top_k" else config.number(name)
        for name, parameter in present
    }
