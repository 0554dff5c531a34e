"""Settings from environment variables: values, defaults, older names, and refused values."""

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from model_store.registry.config import Endpoint, Mirror
from runners.host.model_request import PrefixSettings, SchedulerConfig
from runners.protocol.load_spec import CacheType, FlashAttention
from server.config.derived import registry_config, scheduler_config
from server.config.settings import VARIABLES, Settings
from server.config.values import Address
from server.config.variables import SettingError, Variable

HOME = {"HOME": "/home/ada"}
EXPECTED = {variable.name: variable.expected for variable in VARIABLES}


def settings(**variables: str) -> Settings:
    return Settings.from_env(HOME | variables)


def test_without_variables_the_defaults_of_the_reference_hold() -> None:
    assert settings() == Settings(
        models=Path("/home/ada/.ollama/models"),
        keys=Path("/home/ada/.ollama"),
        docker_config=Path("/home/ada/.docker"),
    )
    assert settings().address == Address("127.0.0.1", 11434)
    assert (settings().keep_alive, settings().load_timeout, settings().max_queue) == (300, 300, 512)
    assert settings().max_body == 64 << 20


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("OLLAMA_HOST", "0.0.0.0:8080", "address", Address("0.0.0.0", 8080)),
        ("OLLAMA_MODELS", "/srv/models", "models", Path("/srv/models")),
        ("PADDOCK_RESPONSES", "/srv/kept.db", "responses", Path("/srv/kept.db")),
        ("PADDOCK_API_KEYS", "/srv/keys.json", "api_keys", Path("/srv/keys.json")),
        ("PADDOCK_INSECURE", "1", "insecure", True),
        ("PADDOCK_KEEP_PREFIXES", "0", "keep_prefixes", 0),
        ("PADDOCK_KEEP_RESPONSES", "1h", "keep_responses", 3600.0),
        ("PADDOCK_KEEP_RESPONSES", "0", "keep_responses", 0.0),
        ("OLLAMA_ORIGINS", "http://a.com, *.b", "origins", ("http://a.com", "*.b")),
        ("PADDOCK_ALLOWED_HOSTS", "a.com,b.org", "allowed_hosts", ("a.com", "b.org")),
        ("OLLAMA_KEEP_ALIVE", "10m", "keep_alive", 600),
        ("OLLAMA_KEEP_ALIVE", "1d", "keep_alive", 86_400),
        ("OLLAMA_KEEP_ALIVE", "1.5", "keep_alive", 1.5),
        ("OLLAMA_KEEP_ALIVE", "forever", "keep_alive", math.inf),
        ("OLLAMA_LOAD_TIMEOUT", "5 minutes", "load_timeout", 300),
        ("OLLAMA_CONTEXT_LENGTH", "8k", "context_length", 8192),
        ("OLLAMA_CONTEXT_LENGTH", "131,072", "context_length", 131_072),
        ("OLLAMA_GPU_OVERHEAD", "1.5 GB", "gpu_overhead", 3 << 29),
        ("OLLAMA_KEEP_ALIVE", "-1", "keep_alive", math.inf),
        ("OLLAMA_KEEP_ALIVE", "0", "keep_alive", 0),
        ("OLLAMA_LOAD_TIMEOUT", "0", "load_timeout", math.inf),
        ("OLLAMA_MAX_LOADED_MODELS", "4", "max_loaded", 4),
        ("OLLAMA_MAX_QUEUE", "9", "max_queue", 9),
        ("OLLAMA_NUM_PARALLEL", "2", "num_parallel", 2),
        ("OLLAMA_CONTEXT_LENGTH", "8192", "context_length", 8192),
        ("OLLAMA_FLASH_ATTENTION", "1", "flash_attention", FlashAttention.ON),
        ("OLLAMA_FLASH_ATTENTION", "false", "flash_attention", FlashAttention.OFF),
        ("OLLAMA_KV_CACHE_TYPE", "Q8_0", "cache_type", CacheType.Q8_0),
        ("OLLAMA_SCHED_SPREAD", "true", "sched_spread", True),
        ("OLLAMA_GPU_OVERHEAD", "1G", "gpu_overhead", 1 << 30),
        ("OLLAMA_GO_TEMPLATE", "0", "go_template", False),
        ("OLLAMA_NOPRUNE", "1", "no_prune", True),
        ("PADDOCK_NO_BUILTIN", "1", "no_builtin", True),
        ("OLLAMA_NO_BUILTIN", "1", "no_builtin", True),
        ("OLLAMA_REGISTRY", "inner", "registry", Endpoint("https", "inner")),
        ("PADDOCK_REGISTRY", "http://inner:5000", "registry", Endpoint("http", "inner:5000")),
        (
            "PADDOCK_REGISTRY_MIRRORS",
            "hf.co=https://a, registry.ollama.ai=http://b:5000/",
            "mirrors",
            (
                Mirror("hf.co", Endpoint("https", "a")),
                Mirror("registry.ollama.ai", Endpoint("http", "b:5000")),
            ),
        ),
        ("PADDOCK_KEYS", "/keys", "keys", Path("/keys")),
        ("DOCKER_CONFIG", "/docker", "docker_config", Path("/docker")),
        ("HF_TOKEN", "hf_x", "hub_token", "hf_x"),
        ("HF_ENDPOINT", "https://hub.example.com", "hub", Endpoint("https", "hub.example.com")),
        ("SSL_CERT_FILE", "/ca.pem", "ca_file", Path("/ca.pem")),
        ("HTTPS_PROXY", "proxy:3128", "https_proxy", "http://proxy:3128"),
        ("https_proxy", "http://proxy:3128", "https_proxy", "http://proxy:3128"),
        ("HTTP_PROXY", "http://proxy:3128", "http_proxy", "http://proxy:3128"),
        ("NO_PROXY", "localhost,.example.com", "no_proxy", ("localhost", ".example.com")),
        ("OLLAMA_DEBUG", "2", "debug", True),
        ("PADDOCK_MAX_BODY", "0", "max_body", 0),
        ("PADDOCK_REMOTE_IMAGES", "1", "remote_images", True),
        ("PADDOCK_GRACE_PERIOD", "1m", "grace_period", 60),
    ],
)
def test_a_variable_sets_what_it_is_for(name: str, text: str, field: str, value: object) -> None:
    assert getattr(settings(**{name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OLLAMA_HOST", "ftp://example.com"),
        ("PADDOCK_ROOT_PATH", "llm"),
        ("PADDOCK_TRUSTED_PROXIES", "10.0.0.300"),
        ("OLLAMA_HOST", "localhost:eighty"),
        ("OLLAMA_HOST", "a..b"),
        ("OLLAMA_MODELS", "~nobody-of-that-name/models"),
        ("OLLAMA_ORIGINS", "example.com"),
        ("OLLAMA_KEEP_ALIVE", "soon"),
        ("OLLAMA_LOAD_TIMEOUT", "five minutes"),
        ("OLLAMA_MAX_LOADED_MODELS", "-1"),
        ("OLLAMA_MAX_QUEUE", "many"),
        ("OLLAMA_NUM_PARALLEL", "1.5"),
        ("OLLAMA_CONTEXT_LENGTH", "long"),
        ("OLLAMA_CONTEXT_LENGTH", "9" * 30),
        ("OLLAMA_FLASH_ATTENTION", "maybe"),
        ("OLLAMA_KV_CACHE_TYPE", "q9"),
        ("OLLAMA_SCHED_SPREAD", "2"),
        ("OLLAMA_GPU_OVERHEAD", "half"),
        ("OLLAMA_GO_TEMPLATE", "x"),
        ("OLLAMA_NOPRUNE", "x"),
        ("PADDOCK_REGISTRY", "a/b"),
        ("PADDOCK_REGISTRY_MIRRORS", "http://mirror"),
        ("OLLAMA_DEBUG", "loud"),
        ("PADDOCK_MAX_BODY", "-5"),
        ("PADDOCK_GRACE_PERIOD", "10x"),
    ],
)
def test_a_bad_value_is_refused_with_the_expected_form(name: str, text: str) -> None:
    """Those of the reference server are ignored with a warning, as it does."""
    sentence = f'{name} is "{text}", but must be {EXPECTED[name]}'
    assert Settings.problems(HOME | {name: text}) == [sentence]
    if name.startswith("PADDOCK_") or name in ("OLLAMA_HOST", "OLLAMA_MODELS"):
        with pytest.raises(SettingError) as caught:
            settings(**{name: text})
        assert str(caught.value) == sentence
    else:
        ignoring = settings(**{name: text})
        (warning,) = ignoring.warnings
        assert warning.startswith(f"{sentence}; the default")
        assert replace(ignoring, warnings=()) == settings()


@pytest.mark.parametrize("text", ["", "  ", '""', " '' "])
def test_an_empty_variable_counts_as_absent(text: str) -> None:
    assert settings(OLLAMA_HOST=text, OLLAMA_KEEP_ALIVE=text) == settings()


@pytest.mark.parametrize("text", [" 10m ", '"10m"', "'10m'", ' "10m"\n'])
def test_blanks_and_quotes_around_a_value_are_no_part_of_it(text: str) -> None:
    assert settings(OLLAMA_KEEP_ALIVE=text).keep_alive == 600


def test_blanks_inside_quotes_belong_to_the_value() -> None:
    assert settings(OLLAMA_MODELS='"/my models"').models == Path("/my models")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("text", ["socks5://proxy", "socks5h://ada:secret@proxy:1080", "://"])
def test_a_proxy_for_other_programs_does_not_stop_the_start(name: str, text: str) -> None:
    """Desktops set these variables for all programs."""
    problems = registry_config(settings(**{name: text}), "agent").unusable

    assert list(problems) == [name.upper()]
    assert "must be [http://]host[:port]" in problems[name.upper()]
    assert "secret" not in problems[name.upper()]


@pytest.mark.parametrize(
    ("name", "text"), [("HF_ENDPOINT", "ftp://a"), ("DOCKER_CONFIG", "~nobody-of-that-name")]
)
def test_a_value_meant_for_other_programs_does_not_stop_the_start(name: str, text: str) -> None:
    assert list(settings(**{name: text}).unusable) == [name]


def test_a_new_name_of_a_variable_wins_over_its_older_one() -> None:
    both = settings(PADDOCK_REGISTRY="new.example.com", OLLAMA_REGISTRY="old.example.com")

    assert both.registry == Endpoint("https", "new.example.com")
    assert settings(PADDOCK_REGISTRY=" ", OLLAMA_REGISTRY="old").registry.host == "old"


def test_every_setting_has_a_variable() -> None:
    names = [variable.field for variable in VARIABLES]

    assert sorted([*names, "unusable", "warnings"]) == sorted(
        field.name for field in fields(Settings)
    )


def test_the_scheduler_has_the_same_defaults() -> None:
    assert replace(scheduler_config(settings()), prefixes=None) == SchedulerConfig()


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_default_that_is_shown_is_a_value_that_can_be_set(variable: Variable) -> None:
    if variable.shown_default:
        explicit = settings(**{variable.name: variable.shown_default.replace("~", "/home/ada")})
        assert explicit == settings()


def test_every_setting_of_the_scheduler_reaches_it() -> None:
    given = settings(
        OLLAMA_KEEP_ALIVE="1",
        OLLAMA_LOAD_TIMEOUT="2",
        OLLAMA_MAX_LOADED_MODELS="3",
        OLLAMA_MAX_QUEUE="4",
        OLLAMA_NUM_PARALLEL="5",
        OLLAMA_CONTEXT_LENGTH="6",
        OLLAMA_FLASH_ATTENTION="0",
        OLLAMA_KV_CACHE_TYPE="q4_0",
        OLLAMA_SCHED_SPREAD="1",
        OLLAMA_GPU_OVERHEAD="7",
        PADDOCK_GRACE_PERIOD="8",
        PADDOCK_KEEP_PREFIXES="9",
        PADDOCK_PREFIXES="/srv/prefixes",
        OLLAMA_MODELS="/srv/models",
    )

    assert scheduler_config(given) == SchedulerConfig(
        keep_alive=1,
        load_timeout=2,
        max_loaded=3,
        max_queue=4,
        num_parallel=5,
        context_length=6,
        flash_attention=FlashAttention.OFF,
        cache_type=CacheType.Q4_0,
        sched_spread=True,
        gpu_overhead=7,
        grace_period=8,
        prefixes=PrefixSettings(
            directory=Path("/srv/prefixes"), max_bytes=9, weights=Path("/srv/models/blobs")
        ),
    )


def test_a_user_without_a_home_is_told_to_name_a_directory() -> None:
    homeless = {"HOME": "~nobody-of-that-name"}

    with pytest.raises(SettingError, match="set OLLAMA_MODELS to a directory"):
        Settings.from_env(homeless)
    alone = Settings.from_env(homeless | {"OLLAMA_MODELS": "/srv/models"})
    assert registry_config(alone, "agent").keys == Path("/srv")
    assert Settings.from_env(homeless | {"OLLAMA_MODELS": "/m"}).models == Path("/m")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"OLLAMA_HOST": "https://a:1"},
            "OLLAMA_HOST is https, but there is no certificate; set PADDOCK_TLS_CERTIFICATE",
        ),
        ({"PADDOCK_TLS_KEY": "/k"}, "PADDOCK_TLS_KEY is set, but PADDOCK_TLS_CERTIFICATE is not"),
    ],
)
def test_encryption_that_is_asked_for_is_not_left_out(
    variables: dict[str, str], sentence: str
) -> None:
    assert Settings.problems(HOME | variables) == [sentence]
    with pytest.raises(SettingError, match=sentence):
        settings(**variables)


def test_a_server_is_on_loopback_if_all_its_addresses_are() -> None:
    assert settings(OLLAMA_HOST="127.0.0.1,unix:/x").is_loopback
    assert not settings(OLLAMA_HOST="127.0.0.1,0.0.0.0:1").is_loopback
