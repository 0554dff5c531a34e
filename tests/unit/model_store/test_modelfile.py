"""Modelfiles mean what they mean to the reference, and print so that they can be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import ModelfileError
from model_store.modelfile import Command, parse_modelfile, print_modelfile
from model_store.translation import modelfile_parts

COMMANDS = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", '
    '"renderer", "parser", "parameter", "message", or "requires"'
)
NO_VALUE = "must be followed by a value"
OPEN_QUOTES = "the value begins with quotes, and no line ends with them"


def parsed(text: str) -> list[tuple[str, str]]:
    return [(command.name, command.value) for command in parse_modelfile(text)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("  # c\n\tFROM foo", [("model", "foo")]),
        ("from foo", [("model", "foo")]),
        ("FROM foo # c\n", [("model", "foo # c")]),
        ('FROM foo\nSYSTEM """a """"\n', [("model", "foo"), ("system", 'a "')]),
        ("FROM foo\nMESSAGE user a: b\n", [("model", "foo"), ("message", "user: a: b")]),
        ("\ufeffFROM \u200bfoo\n", [("model", "foo")]),
        ("FROM foo\nSYSTEM 你好\u3000世界\n", [("model", "foo"), ("system", "你好\u3000世界")]),
        ("FROM foo\nSYSTEM \n", [("model", "foo"), ("system", "")]),
        ('FROM foo\nSYSTEM a "q" b\n', [("model", "foo"), ("system", 'a "q" b')]),
        ('FROM foo\nSYSTEM "a\n\nb"  \n', [("model", "foo"), ("system", "a\n\nb")]),
        ('FROM foo\nTEMPLATE """\nx\n"""\n', [("model", "foo"), ("template", "\nx\n")]),
        ('FROM foo\r\nSYSTEM """a\r\nb"""\r\n', [("model", "foo"), ("system", "a\r\nb")]),
        ("FROM foo\nSYSTEM 'a\\n'\n", [("model", "foo"), ("system", "'a\\n'")]),
        ("FROM foo\nPARAMETER Stop a b\n", [("model", "foo"), ("Stop", "a b")]),
        ("FROM foo\nPARAMETER  stop x\n", [("model", "foo"), ("", "stop x")]),
        ("FROM a\nFROM b\nREQUIRES 0.14\n", [("model", "a"), ("model", "b"), ("requires", "0.14")]),
    ],
)
def test_a_modelfile_is_read_as_the_reference_reads_it(
    text: str, commands: list[tuple[str, str]]
) -> None:
    assert parsed(text) == commands


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM foo\nBAD x\n", f"(line 2): {COMMANDS}"),
        ("FROM foo\r\nBAD x\r\n", f"(line 3): {COMMANDS}"),
        ("FROM foo\nFROM\n", f"(line 3): FROM {NO_VALUE}"),
        ("FR0M foo\n", f"(line 1): {COMMANDS}"),
        ("FROM foo\nPARAMETER stop\n", f"unexpected EOF: stop {NO_VALUE}"),
        ("FROM foo\nPARAMETER temp-x 1\n", f"unexpected EOF: temp {NO_VALUE}"),
        ("FROM foo\nMESSAGE user\n", f"unexpected EOF: user {NO_VALUE}"),
        (
            "FROM foo\nMESSAGE User hi\n",
            '(line 2): message role must be one of "system", "user", or "assistant"',
        ),
        ("FROM", f"unexpected EOF: FROM {NO_VALUE}"),
        ("FROM foo\nPARAMETER sto", f"unexpected EOF: sto {NO_VALUE}"),
        ('FROM foo\nSYSTEM "abc" def\nTEMPLATE x\n', f"unexpected EOF: {OPEN_QUOTES}"),
        ('FROM foo\nSYSTEM """a""\n', f"unexpected EOF: {OPEN_QUOTES}"),
        ('FROM foo\nSYSTEM "', f"unexpected EOF: {OPEN_QUOTES}"),
        ("SYSTEM x\n", "no FROM line"),
        ("", "no FROM line"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_reference_and_what_to_do(
    text: str, message: str
) -> None:
    with pytest.raises(ModelfileError) as caught:
        parse_modelfile(text)

    assert str(caught.value) == message


def test_a_large_text_is_read_in_linear_time() -> None:
    """An open quote over a million lines must not keep the server busy."""
    with pytest.raises(ModelfileError):
        parse_modelfile('FROM x\nSYSTEM "' + "a\n" * 1_000_000)


PIECES = st.one_of(
    st.sampled_from([
        '"', '""', '"""', '""""', " ", "\t", "\n", "\r", "\r\n", "#", "# c", "x", "FROM y", ": ",
        "\\", "'", "\u2060", "\u200c", "\u200d", "\u00ad", "\u00a0", "\u3000", "\ufeff", "\x01",
    ]),
    st.text(max_size=8),
)  # fmt: skip
VALUES = st.lists(PIECES, max_size=8).map("".join)
TEXTS = ("system", "template", "license", "stop")


@given(st.lists(st.tuples(st.sampled_from(TEXTS), VALUES)))
def test_what_is_printed_reads_back_as_the_same_commands(texts: list[tuple[str, str]]) -> None:
    commands = [Command("model", "foo"), *(Command(*text) for text in texts)]

    assert parse_modelfile(print_modelfile(commands)) == tuple(commands)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), VALUES)))
def test_messages_are_printed_so_that_they_read_back_as_they_are(
    messages: list[tuple[str, str]],
) -> None:
    commands = [Command("model", "foo"), *(Command("message", ": ".join(m)) for m in messages)]

    parts = modelfile_parts(print_modelfile(commands))

    assert [(m["role"], m["content"]) for m in parts.messages] == messages


@pytest.mark.parametrize(
    "text",
    [
        "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",
        "👨\u200d👩\u200d👧",
        "co\u00adoperate",
        "10\u00a0km",
    ],
)
def test_words_and_emoji_keep_what_joins_and_parts_them(text: str) -> None:
    commands = parsed(
        f"FROM x\nSYSTEM {text}\nTEMPLATE {text}\nMESSAGE user {text}\nLICENSE {text}"
    )

    assert [value for _, value in commands] == ["x", text, text, f"user: {text}", text]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "SYSTEM plain"), (" x", 'SYSTEM " x"'), ("x\t", 'SYSTEM "x\t"'),
        ("a\nb", 'SYSTEM "a\nb"'), ("", 'SYSTEM ""'), ('"', 'SYSTEM """""""'),
        ('"a" b', 'SYSTEM """"a" b"""'), ('a "b"', 'SYSTEM a "b"'),
        ('a\n"b"', 'SYSTEM """a\n"b""""'),
    ],
)  # fmt: skip
def test_a_text_is_written_as_the_reference_reads_it(value: str, written: str) -> None:
    assert print_modelfile([Command("system", value)]) == written + "\n"


def test_every_kind_of_command_is_printed() -> None:
    text = (
        "FROM foo\nADAPTER a.gguf\nTEMPLATE {{ .Prompt }}\nPARAMETER stop <|\n"
        'PARAMETER stop " x"\nMESSAGE user Hi: there\nLICENSE """a "quoted"\ntext"""\n'
    )

    assert print_modelfile(parse_modelfile(text)) == text


def test_a_modelfile_from_the_network_becomes_the_parts_of_a_model() -> None:
    digest = "sha256:" + "0" * 64
    parts = modelfile_parts(
        f"FROM base:7b\nADAPTER @{digest}\nSYSTEM a\nSYSTEM b\nLICENSE x\nLICENSE y\n"
        "PARAMETER temperature 0.5\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER num_ctx 1e+06\n"
        "PARAMETER mirostat 1\nMESSAGE user hi: you\nREQUIRES v0.14.0\nRENDERER r\n"
    )

    assert parts.parent == "base:7b"
    assert list(parts.adapters.values()) == [digest]
    assert parts.texts == {"system": "b", "requires": "0.14.0", "renderer": "r"}
    assert parts.licenses == ("x", "y")
    assert parts.parameters == {"temperature": 0.5, "stop": ["a", "b"], "num_ctx": 1_000_000}
    assert parts.messages == ({"role": "user", "content": "hi: you"},)


def test_an_uploaded_file_is_named_by_its_digest() -> None:
    digest = "sha256:" + "0" * 64

    assert list(modelfile_parts(f"FROM @{digest}").files.values()) == [digest]


def test_the_path_of_a_blob_as_show_prints_it_is_the_blob() -> None:
    model, adapter, projector = (digit * 64 for digit in "abc")
    parts = modelfile_parts(
        f"FROM /some/models/blobs/sha256-{model}\nADAPTER /some/models/blobs/sha256-{adapter}\n"
        f"FROM D:\\models\\blobs\\sha256-{projector}\n"
    )

    assert sorted(parts.files.values()) == [f"sha256:{model}", f"sha256:{projector}"]
    assert list(parts.adapters.values()) == [f"sha256:{adapter}"]
    assert parts.parent == ""


@pytest.mark.parametrize(
    "text",
    [
        "FROM /blobs/sha256-0",
        "FROM /etc/passwd",
        "FROM ./m.gguf",
        "FROM ~/m",
        "FROM ../x",
        "FROM a\nADAPTER /dev/random",
    ],
)
def test_a_path_on_the_server_is_refused(text: str) -> None:
    with pytest.raises(ModelfileError, match=r"uploaded blob \(@sha256:…\)"):
        modelfile_parts(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PARAMETER nosuch 1", "unknown parameter 'nosuch'"),
        ("PARAMETER Temperature 1", "unknown parameter 'Temperature'"),
        ("PARAMETER temperature hot", "invalid float value [hot]"),
        ("PARAMETER temperature nan", "invalid float value [nan]"),
        ("PARAMETER temperature 1e99", "invalid float value [1e99]"),
        ("PARAMETER temperature 1_0", "invalid float value [1_0]"),
        ("PARAMETER num_ctx 1.5", "invalid int value [1.5]"),
        ("PARAMETER num_ctx 1_0", "invalid int value [1_0]"),
        ("PARAMETER num_ctx 99999999999999999999", "invalid int value [99999999999999999999]"),
        ("PARAMETER num_ctx 1e9999", "invalid int value [1e9999]"),
        ("PARAMETER use_mmap yes", "invalid bool value [yes]"),
        ("REQUIRES soon", "requires must be a valid semver (e.g. 0.14.0)"),
    ],
)
def test_a_bad_value_is_told_in_the_words_of_the_reference(line: str, message: str) -> None:
    with pytest.raises(ModelfileError) as caught:
        modelfile_parts(f"FROM a\n{line}\n")

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * (18 << 20), "the Modelfile of 18874368 characters is too long"),
        ("FROM " + "a" * 70_000, "a name or number of 70000 characters is too long"),
        ("FROM a\nPARAMETER temperature " + "1" * 70_000, "a name or number of 70000 characters"),
        ("a" * 70_000 + " b", "(line 1): command must be one of"),
        ("FROM a\nPARAMETER " + "a" * 70_000 + " b", "unexpected EOF: aaa"),
    ],
    ids=lambda value: value[:20],
)
def test_what_no_modelfile_needs_is_refused_before_it_is_read_as_a_whole(
    text: str, message: str
) -> None:
    """Others wait while one character after the other of a long text is looked at."""
    with pytest.raises(ModelfileError) as caught:
        modelfile_parts(text)

    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
