"""Special tokens (BOS, EOS, EOT, …) and the chat template of a model folder."""

from collections.abc import Mapping

from gguf import GGUFWriter

from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.tokenizers.read import config_of
from model_store.convert.tokenizers.vocabulary import Vocabulary
from model_store.errors import CreateError

_KINDS = ("bos", "eos", "unk", "sep", "pad", "mask")


def add_special_tokens(
    writer: GGUFWriter, folder: Folder, model: Fields, vocabulary: Vocabulary
) -> None:
    """Write the special tokens, what is added to every text, and the chat template.

    Raises:
        CreateError: a file of the tokenizer is malformed.
    """
    config = config_of(folder)
    ids = vocabulary.ids()
    special_ids: dict[str, int] = {}
    for kind in _KINDS:
        number = _special_id(kind, config, model, ids)
        if number in vocabulary.tokens:
            special_ids[kind] = number
    classifier = ids.get(_content(config, "cls_token"))
    if vocabulary.model == "bert" and classifier is not None:
        special_ids["bos"] = classifier
    for kind, number in special_ids.items():
        getattr(writer, f"add_{kind}_token_id")(number)
    _add_other_ends(writer, folder, model, vocabulary, special_ids.get("eos"))
    _add_flags(writer, folder, config, vocabulary, special_ids)
    template = _chat_template(folder, config)
    if template:
        writer.add_chat_template(template)


def _special_id(kind: str, config: Fields, model: Fields, ids: Mapping[str, int]) -> int:
    """Return the id of a special token, -1 when there is none."""
    if (number := ids.get(_content(config, f"{kind}_token"))) is not None:
        return number
    value = model.value(f"{kind}_token_id")
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _content(config: Fields, name: str) -> str:
    """Return the text of a special token, which may stand in an object."""
    value = config.value(name)
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _add_other_ends(
    writer: GGUFWriter, folder: Folder, model: Fields, vocabulary: Vocabulary, eos: int | None
) -> None:
    """Write the tokens that end an answer besides the one that ends a text."""
    generation = folder.fields("generation_config.json")
    ends = generation.value("eos_token_id") or model.value("eos_token_id")
    others = [
        number
        for number in (ends if isinstance(ends, list) else [ends])
        if isinstance(number, int) and number in vocabulary.tokens and number != eos
    ]
    for add, number in zip(
        (writer.add_eot_token_id, writer.add_eom_token_id), others, strict=False
    ):
        add(number)


def _add_flags(
    writer: GGUFWriter,
    folder: Folder,
    config: Fields,
    vocabulary: Vocabulary,
    special_ids: Mapping[str, int],
) -> None:
    first, last = _around(folder.fields("tokenizer.json").inner("post_processor"))
    ids = vocabulary.ids()
    adds_bos, adds_eos = vocabulary.adds_bos, vocabulary.adds_eos
    if first or last:
        adds_bos = "bos" in special_ids and ids.get(first) == special_ids["bos"]
        adds_eos = "eos" in special_ids and ids.get(last) == special_ids["eos"]
    if config.has("add_bos_token"):
        adds_bos = config.flag("add_bos_token")
    if config.has("add_eos_token"):
        adds_eos = config.flag("add_eos_token")
    if vocabulary.model == "bert":
        return
    writer.add_add_bos_token(bool(adds_bos))
    writer.add_add_eos_token(bool(adds_eos))


def _around(processor: Fields) -> tuple[str, str]:
    """Return the special tokens that a tokenizer puts before and after one text."""
    steps = [processor]
    if processor.text("type") == "Sequence":
        steps = processor.objects("processors")
    for step in steps:
        kind = step.text("type")
        if kind == "TemplateProcessing":
            parts = step.objects("single")
            names = [part.inner("SpecialToken").text("id") for part in parts]
            return (names[0], names[-1]) if names else ("", "")
        if kind in ("RobertaProcessing", "BertProcessing"):
            return _first(step.value("cls")), _first(step.value("sep"))
    return "", ""


def _first(pair: object) -> str:
    token = pair[0] if isinstance(pair, list) and pair else ""
    return token if isinstance(token, str) else ""


def _chat_template(folder: Folder, config: Fields) -> str:
    """Return the Jinja template; a file of its own counts more than the configuration."""
    written = folder.text("chat_template.jinja")
    if written:
        return written
    beside = folder.fields("chat_template.json").text("chat_template")
    value = config.value("chat_template")
    if isinstance(value, str | None):
        return value or beside
    if not isinstance(value, list):
        raise CreateError("invalid chat_template: it must be a string or a list of named templates")
    for entry in config.objects("chat_template"):
        if entry.text("name") == "default":
            return entry.text("template")
    return beside
