"""POST /api/show: the description of one model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from model_store.gguf import GGUFHeader, read_header
from model_store.model import Model
from model_store.parameters import shown_parameters
from model_store.show import modelfile_of
from server.capabilities import capabilities
from server.formats import DEFAULT_TEMPLATE, Format, Source, choose, suffix_template_of
from server.library.details import Details, details_of, metadata_of
from server.prompt.fill_in import with_fill_in
from server.text.timestamps import local_time


class TensorInfo(msgspec.Struct):
    """A tensor of the weights; the fastest dimension comes first."""

    name: str
    type: str
    shape: tuple[int, ...]


class ShownMessage(msgspec.Struct):
    """A message that is part of the model."""

    role: str
    content: str


class Description(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The reply of /api/show; clients fail without `model_info`, so it is always there.

    `renderer` and `parser` name the chat format in use, whether the config names one or not.
    """

    license: str = ""
    modelfile: str
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: Details
    messages: tuple[ShownMessage, ...] = ()
    model_info: dict[str, object]
    projector_info: dict[str, object] | None = None
    tensors: tuple[TensorInfo, ...] = ()
    capabilities: tuple[str, ...] = ()
    modified_at: str
    requires: str = ""
    renderer: str
    parser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What to show instead of the model's own: a system text, and parameters of the Modelfile.

    `verbose` adds the arrays of the metadata, such as the vocabulary.
    """

    system: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    verbose: bool = False


def describe(model: Model, shown: Variation, *, go_template: bool | None) -> Description:
    """Return the description of `model`; raises ModelNotFound or GGUFError."""
    header = model.header()
    format = choose(model, go_template)
    return Description(
        license="\n".join(model.licenses()),
        modelfile=modelfile_of(model, system=shown.system, options=shown.options or None),
        parameters=shown_parameters(model.parameters),
        template=_template(model, header, format),
        system=shown.system or model.system,
        details=details_of(model),
        messages=tuple(ShownMessage(m.role, m.content) for m in model.messages),
        model_info=_model_info(model, header, verbose=shown.verbose),
        projector_info=_projector_info(model, verbose=shown.verbose),
        tensors=tuple(TensorInfo(t.name, t.type, t.shape) for t in header.tensors),
        capabilities=capabilities(model, format),
        modified_at=local_time(model.modified_at),
        requires=model.config.requires,
        renderer=format.renderer,
        parser=format.output.name,
    )


def _template(model: Model, header: GGUFHeader, format: Format) -> str:
    suffix_template = suffix_template_of(model, format.source)
    if format.source is Source.JINJA:
        jinja = header.chat_template
        return jinja if suffix_template is None else with_fill_in(jinja, suffix_template)
    return model.template or suffix_template or DEFAULT_TEMPLATE


def _model_info(model: Model, header: GGUFHeader, *, verbose: bool) -> dict[str, object]:
    if verbose and model.weights is not None:
        # Arrays may hold a vocabulary of a hundred thousand texts, so they are not cached.
        header = read_header(model.weights, with_arrays=True)
    return metadata_of(header, with_arrays=verbose)


def _projector_info(model: Model, *, verbose: bool) -> dict[str, object] | None:
    if not model.projectors:
        return None
    header = read_header(model.projectors[-1], with_arrays=verbose)
    return metadata_of(header, with_arrays=verbose)
