"""The configuration file: what it sets, and mistakes told with file, line and what is expected."""

from pathlib import Path

import pytest

from model_store.names import ModelName
from server.config.location import find_config
from server.config.settings import VARIABLES
from server.config_file.configuration import ConfigFile
from server.config_file.document import ConfigError
from server.config_file.settings import KEYS

WHOLE = """
# A team's server.
[settings]
host = "127.0.0.1:9999"
models = "/srv/models"
keep_alive = "10m"          # a comment
context_length = 8192
debug = true
origins = [
  "https://a.example.com",
  "https://b.example.com",
]

[aliases]
"gpt-4o" = "qwen3:30b"
small = "llama3.2"

[models."qwen3:30b"]
pin = true
keep_alive = 60
options = { temperature = 0.5, num_ctx = 16384 }
max_context = 32768
parallel = 4

[models."llama3.2".options]
stop = ["END"]

[[groups]]
name = "large"
models = ["llama3.2", "llama3.3:70b"]
"""


def read(directory: Path, text: str) -> ConfigFile:
    path = directory / "paddock.toml"
    path.write_text(text)
    return ConfigFile.read(path)


def test_the_file_sets_what_the_environment_does_not(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE).settings({"OLLAMA_KEEP_ALIVE": "1h", "OLLAMA_DEBUG": ""})

    assert str(settings.address) == "127.0.0.1:9999"
    assert settings.models == Path("/srv/models")
    assert settings.keep_alive == 3600
    assert settings.context_length == 8192
    assert settings.debug is True
    assert settings.origins == ("https://a.example.com", "https://b.example.com")


def test_models_are_served_as_the_file_says(tmp_path: Path) -> None:
    serving = read(tmp_path, WHOLE).serving
    large = serving.models[ModelName.parse("qwen3:30b")]
    small = serving.models[ModelName.parse("llama3.2")]

    assert serving.target(ModelName.parse("GPT-4o")).short == "qwen3:30b"
    assert serving.target(ModelName.parse("small")).short == "llama3.2:latest"
    assert (large.keep_alive, large.parallel, large.max_context) == (60.0, 4, 32768)
    assert large.options == {"temperature": 0.5, "num_ctx": 16384}
    assert large.is_pinned
    assert [name.short for name in serving.preloaded()] == ["qwen3:30b"]
    assert small.options == {"stop": ["END"]}
    assert small.groups == serving.models[ModelName.parse("llama3.3:70b")].groups != frozenset()


def test_every_variable_has_a_key_of_its_own() -> None:
    assert len(KEYS) == len(VARIABLES) - 1, "all but the one that names the file"


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "[settings]\n", "[models]\n[aliases]\n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)

    assert config.texts == {}
    assert not config.serving.models


MISTAKES = [
    ("[settings]\nkeep_alive = 5 m\n", 2, "this is not valid TOML: expected newline or end"),
    ("[settings]\ndebug = 1\n\ndebug = 0\n", 4, "this is not valid TOML: cannot overwrite a value"),
    ("[setings]\n", 1, '"setings" is no table of the configuration; did you mean "settings"?'),
    ("settings = 3\n", 1, "settings must be a table, not a whole number"),
    ("[settings]\n\nkeep_alife = 1\n", 3, '"keep_alife" is no setting; did you mean "keep_alive"?'),
    ("[settings]\nzzz = 1\n", 2, '"zzz" is no setting; there are: allowed_hosts, '),
    ('[settings]\nkeep_alive = "soon"\n', 2, "keep_alive must be a duration such as 5m"),
    ("[settings]\nmax_queue = -1\n", 2, "max_queue must be a whole number of at least 0"),
    ("[settings]\nhost = 2026-11-29\n", 2, "host must be "),
    ("[settings]\norigins = [1]\n", 2, "origins must be origins such as https://"),
    ("[settings]\norigins = [\n  'https://a',\n  3,\n]\n", 2, "origins must be origins such as"),
    ("[aliases]\na = 3\n", 2, "aliases.a must be a text, not a whole number"),
    ("[aliases]\nx = 'a b'\n", 2, '"a b" is no name of a model, such as qwen3:30b'),
    ("[aliases]\n'a b' = 'x'\n", 2, '"a b" is no name of a model, such as qwen3:30b'),
    ("[aliases]\na = 'x'\nb = 'a'\n", 3, 'the alias "b" must be for an installed model, not'),
    ("[aliases]\na = 'A:latest'\n", 2, 'the alias "a" must be for an installed model, not'),
    ("[aliases]\na = 'x'\n'a:latest' = 'y'\n", 3, '"a:latest" is the same alias as "a"'),
    ("[models]\nq = 1\n", 2, "models.q must be a table, not a whole number"),
    ("[models.'a b']\n", 1, '"a b" is no name of a model, such as qwen3:30b'),
    ("[models.a]\n[models.'A:latest']\n", 2, '"A:latest" is the same model as "a"'),
    ("[aliases]\na = 'x'\n[models.a]\n", 3, '"a" is an alias; write the name of its model here'),
    (
        "[models.a]\nprelod = true\n",
        2,
        '"prelod" is no setting of a model; did you mean "preload"?',
    ),
    ("[models.a]\npin = 'yes'\n", 2, "models.a.pin must be true or false, not a text"),
    ("[models.a]\nparallel = 0\n", 2, "models.a.parallel must be from 1 to 256, not 0"),
    (
        "[models.a]\nmax_context = 1.5\n",
        2,
        "models.a.max_context must be a whole number, not a num",
    ),
    ("[models.a]\nkeep_alive = 'x'\n", 2, "models.a.keep_alive must be a duration such as 5m, or"),
    ("[models.a]\noptions = 3\n", 2, "models.a.options must be a table, not a whole number"),
    (
        "[models.a]\npin = true\n[models.a.options]\nnum_keep = 1\ntemprature = 1\n",
        5,
        '"temprature" is no option; did you mean "temperature"?',
    ),
    ("[models.a]\noptions = { top_p = -1 }\n", 2, 'option "top_p" must be at least 0, not -1'),
    ("[models.a.options]\ntop_k = 'x'\n", 2, 'option "top_k" must be of type integer'),
    (
        "[models.a]\nmax_context = 10\n\n[models.a.options]\nnum_ctx = 20\n",
        4,
        "num_ctx must be at most max_context, which is 10",
    ),
    ("[groups]\nmodels = []\n", 1, "groups must be a list, not a table"),
    ("[[groups]]\n", 1, "groups[1].models must be a list of at least two models"),
    (
        "[[groups]]\nmodels = ['a', 'b']\n\n[[groups]]\nmodels = ['a']\n",
        5,
        "groups[2].models must be a list of at least two models",
    ),
    ("[[groups]]\nmodels = ['a', 'A:latest']\n", 2, '"a:latest" is in the group twice'),
    ("[[groups]]\nmodel = ['a', 'b']\n", 2, '"model" is no setting of a group; did you mean "mo'),
    (
        "[models.a]\npin = true\n[models.b]\npin = true\n[[groups]]\nmodels = ['a', 'b']\n",
        5,
        '"a:latest" and "b:latest" are pinned, so they cannot be in one group',
    ),
]


@pytest.mark.parametrize(("text", "line", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_and_line(
    tmp_path: Path, text: str, line: int, sentence: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)

    message = str(error.value)
    assert message.startswith(f"{tmp_path}/paddock.toml:{line}: {sentence}")
    assert "\n" not in message
    assert error.value.place == message.removeprefix(f"{tmp_path}/")


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        ConfigFile.read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="this is a directory, not a file"):
        ConfigFile.read(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"[settings]\n# \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: the file must be text in UTF-8"):
        ConfigFile.read(tmp_path / "latin.toml")


def test_the_file_is_the_one_named_else_the_users_else_the_systems(tmp_path: Path) -> None:
    users, system = tmp_path / "paddock" / "paddock.toml", tmp_path / "system.toml"
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find_config(environment, system) is None

    system.write_text("")
    assert find_config(environment, system) == system

    users.parent.mkdir()
    users.write_text("")
    assert find_config(environment, system) == users
    assert find_config({**environment, "PADDOCK_CONFIG": "/x.toml"}, system) == Path("/x.toml")
