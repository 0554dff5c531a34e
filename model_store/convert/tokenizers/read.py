"""Read the vocabulary of a model folder from whichever tokenizer file it has."""

from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.tokenizers.huggingface import parse_tokenizer, wordpiece
from model_store.convert.tokenizers.sentencepiece import parse_sentencepiece
from model_store.convert.tokenizers.vocabulary import Vocabulary, checked_id
from model_store.errors import CreateError

_MOST_DIGITS = 8


def read_vocabulary(folder: Folder, n_rows: int) -> Vocabulary:
    """Return the vocabulary of the folder, as large as the embedding's `n_rows` rows.

    Raises:
        CreateError: there is none, or none that is supported.
    """
    vocabulary = _sentencepiece(folder) or _tokenizer(folder) or _words(folder)
    if vocabulary is None:
        raise CreateError(
            "unknown tokenizer format: the folder needs a tokenizer.json or a SentencePiece "
            "tokenizer.model"
        )
    vocabulary.fit(n_rows)
    return vocabulary


def _sentencepiece(folder: Folder) -> Vocabulary | None:
    data = folder.data("tokenizer.model")
    vocabulary = parse_sentencepiece(data) if data else None
    if vocabulary is None or vocabulary.model != "llama":
        # Unigram pieces are numbered anew by the libraries that use them; tokenizer.json knows.
        return None
    _add_tokens(folder, vocabulary)
    return vocabulary


def _tokenizer(folder: Folder) -> Vocabulary | None:
    tokenizer = folder.fields("tokenizer.json")
    return parse_tokenizer(tokenizer) if tokenizer.has("model") else None


def _words(folder: Folder) -> Vocabulary | None:
    lines = folder.text("vocab.txt").splitlines()
    return wordpiece([(word, number) for number, word in enumerate(lines)]) if lines else None


def _add_tokens(folder: Folder, vocabulary: Vocabulary) -> None:
    """Add the tokens that the files beside a SentencePiece model list."""
    listed = folder.fields("added_tokens.json")
    for text, number in listed.items():
        vocabulary.add(checked_id(listed, text, number), text, special=False)
    for added in folder.fields("tokenizer.json").objects("added_tokens"):
        number = checked_id(added, "id", added.value("id"))
        vocabulary.add(number, added.text("content"), special=added.flag("special"))
    decoder = folder.fields("tokenizer_config.json").inner("added_tokens_decoder")
    for key in decoder.names:
        entry = decoder.inner(key)
        is_number = key.isdecimal() and len(key) < _MOST_DIGITS
        number = checked_id(decoder, key, int(key) if is_number else key)
        vocabulary.add(number, entry.text("content"), special=entry.flag("special"))


def config_of(folder: Folder) -> Fields:
    """Return tokenizer_config.json with what special_tokens_map.json adds to it."""
    config = folder.fields("tokenizer_config.json")
    known = {name for name, value in config.items() if value is not None}
    more = folder.fields("special_tokens_map.json").items()
    merged = [*config.items(), *(item for item in more if item[0] not in known)]
    return Fields("tokenizer_config.json", dict(merged))
