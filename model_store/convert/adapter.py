"""Convert a LoRA adapter to GGUF, or merge a DoRA adapter into a copy of its base model."""

from collections.abc import Mapping
from pathlib import Path

from gguf import GGUFWriter

from model_store.convert.dora import merge_dora
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.lora import Change, alpha_of, is_dora, read_changes
from model_store.convert.report import Report
from model_store.convert.write import write_gguf
from model_store.errors import CreateError
from model_store.gguf import read_header


def convert_adapter(folder: Folder, base: Path, target: Path, report: Report) -> None:
    """Write the adapter in `folder`, made for the model at `base`, to `target`.

    llama.cpp cannot apply a DoRA adapter, so `target` becomes a whole model then.

    Raises:
        CreateError: it cannot be converted, or was made for another model.
        GGUFError: the model at `base` is damaged.
        NoSpace: the disk has no room for it.
        OSError: a file cannot be read or written.
    """
    config = folder.fields("adapter_config.json")
    if not config.items():
        raise CreateError("the adapter has no adapter_config.json, which has its alpha and rank")
    if config.inner("alpha_pattern").names:
        raise CreateError("adapters with alpha_pattern or rank_pattern are not supported")
    header = read_header(base)
    changes = read_changes(folder.tensors(), header, with_magnitudes=is_dora(config))
    if is_dora(config):
        report.note("merging the DoRA adapter into a new file of the model")
        merge_dora(config, changes, base, target, report)
    else:
        _write_adapter(config, changes, header.architecture, target, report)


def _write_adapter(
    config: Fields,
    changes: Mapping[str, Change],
    architecture: str,
    target: Path,
    report: Report,
) -> None:
    outputs = [
        output
        for name, change in sorted(changes.items())
        for output in (
            change.a.output(f"{name}.lora_a", None),
            change.b.output(f"{name}.lora_b", change.order),
        )
    ]
    ranks = {change.rank for change in changes.values()}
    if config.flag("use_rslora") and len(ranks) > 1:
        raise CreateError("rsLoRA adapters must have the same rank everywhere")
    writer = GGUFWriter(None, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha_of(config, max(ranks)))
    write_gguf(writer, target, outputs, report)
