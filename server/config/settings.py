"""Server settings, each read from an environment variable that its field declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_store.registry.config import (
    DEFAULT_REGISTRY,
    HUB,
    Endpoint,
)
from runners.protocol.load_spec import CacheType, FlashAttention
from server.config import values as read
from server.config.access_settings import AccessSettings
from server.config.long_prompts import LongPrompts
from server.config.network_settings import NetworkSettings, tls_problem
from server.config.variables import SettingError, read_variables, setting, variables_of
from server.logs import LogFormat

_DURATION = "a duration such as 5m, or whole seconds"
_FLAG = "1 or 0"
_COUNT = "a whole number of at least 0"
_SIZE = "a number of bytes, such as 1048576 or 64M"
_DIRECTORY = "a directory"
_FILE = "a file"
_REGISTRY = "[http[s]://]host[:port]"
_PROXY = "[http://]host[:port]"
_NO_HOME = "there is no home directory for the models; set OLLAMA_MODELS to a directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(AccessSettings, NetworkSettings):
    """The settings of one server; durations in seconds, sizes in bytes.

    `unusable` maps names of variables that other programs define too, and whose value this server
    cannot use, to a sentence about each. `warnings` are sentences about variables that were
    ignored.
    """

    config_file: Path | None = setting(
        "PADDOCK_CONFIG",
        read.path,
        _FILE,
        "Configuration file; unset: paddock/paddock.toml below ~/.config or /etc.",
    )
    models: Path = setting(
        "OLLAMA_MODELS",
        read.path,
        _DIRECTORY,
        "Directory of the models.",
        home=".ollama/models",
        is_required=True,
    )
    origins: tuple[str, ...] = setting(
        "OLLAMA_ORIGINS",
        read.origins,
        "origins such as https://chat.example.com with commas between, each with at most one *",
        "Web pages of these origins may use the API, besides those of this machine.",
        unset=(),
    )
    allowed_hosts: tuple[str, ...] = setting(
        "PADDOCK_ALLOWED_HOSTS",
        read.words,
        "host names with commas between",
        "Names by which clients may reach the server, besides those of this machine; *: any.",
        unset=(),
    )
    keep_alive: float = setting(
        "OLLAMA_KEEP_ALIVE",
        read.seconds,
        _DURATION,
        "How long a model stays in memory after its last use; negative: for ever.",
        default="5m",
    )
    load_timeout: float = setting(
        "OLLAMA_LOAD_TIMEOUT",
        read.timeout,
        _DURATION,
        "How long a load may go without progress; 0: for ever.",
        default="5m",
    )
    max_loaded: int = setting(
        "OLLAMA_MAX_LOADED_MODELS",
        read.count,
        _COUNT,
        "Models in memory at once; 0: three per GPU, at least three.",
        default="0",
    )
    max_queue: int = setting(
        "OLLAMA_MAX_QUEUE",
        read.count,
        _COUNT,
        "Requests that may wait for models to be loaded.",
        default="512",
    )
    num_parallel: int = setting(
        "OLLAMA_NUM_PARALLEL",
        read.count,
        _COUNT,
        "Requests that one model serves at once; 0: as many as memory allows.",
        default="0",
    )
    context_length: int = setting(
        "OLLAMA_CONTEXT_LENGTH",
        read.count,
        _COUNT,
        "Context of requests without num_ctx; 0: by GPU memory, 4096 on a CPU, and more where a "
        "prompt needs it.",
        default="0",
    )
    flash_attention: FlashAttention = setting(
        "OLLAMA_FLASH_ATTENTION",
        read.flash_attention,
        _FLAG,
        "Fused attention on or off; unset: where it helps.",
        unset=FlashAttention.AUTO,
    )
    cache_type: CacheType = setting(
        "OLLAMA_KV_CACHE_TYPE",
        read.cache_type,
        "one of " + " ".join(CacheType),
        "Element type of the KV cache.",
        default=CacheType.F16.value,
    )
    sched_spread: bool = setting(
        "OLLAMA_SCHED_SPREAD",
        read.flag,
        _FLAG,
        "Spread a model over all GPUs even if one is enough.",
        default="0",
    )
    gpu_overhead: int = setting(
        "OLLAMA_GPU_OVERHEAD",
        read.size,
        _SIZE,
        "Memory to leave free on each GPU.",
        default="0",
    )
    go_template: bool | None = setting(
        "OLLAMA_GO_TEMPLATE",
        read.flag,
        _FLAG,
        "Prefer a model's Go template (1) or its own Jinja template (0); unset: by model.",
    )
    no_prune: bool = setting(
        "OLLAMA_NOPRUNE",
        read.flag,
        _FLAG,
        "Do not delete blobs that no model uses.",
        default="0",
    )
    no_builtin: bool = setting(
        "PADDOCK_NO_BUILTIN",
        read.flag,
        _FLAG,
        "Do not install the bundled models in a new store.",
        default="0",
        aliases=("OLLAMA_NO_BUILTIN",),
    )
    registry: Endpoint = setting(
        "PADDOCK_REGISTRY",
        Endpoint.parse,
        _REGISTRY,
        "Registry of models whose names have no host.",
        default=DEFAULT_REGISTRY.host,
        aliases=("OLLAMA_REGISTRY",),
    )
    keys: Path | None = setting(
        "PADDOCK_KEYS",
        read.path,
        _DIRECTORY,
        "Directory of the key pair id_ed25519 that signs requests to registries.",
        home=".ollama",
    )
    docker_config: Path | None = setting(
        "DOCKER_CONFIG",
        read.path,
        _DIRECTORY,
        "Directory of docker login's config.json, for registries that want a password.",
        home=".docker",
        is_foreign=True,
    )
    hub_token: str = setting(
        "HF_TOKEN",
        str,
        "a token",
        "Token for private models of Hugging Face; unset: the one that hf auth login saved.",
        unset="",
        is_foreign=True,
    )
    hub: Endpoint = setting(
        "HF_ENDPOINT",
        Endpoint.parse,
        _REGISTRY,
        "Where hf.co models come from.",
        default=HUB.url,
        is_foreign=True,
    )
    ca_file: Path | None = setting(
        "SSL_CERT_FILE",
        read.path,
        "a file of certificates",
        "Certificates to trust besides those of the system, for connections to registries.",
        is_foreign=True,
    )
    https_proxy: str = setting(
        "HTTPS_PROXY",
        read.proxy,
        _PROXY,
        "Proxy for connections to registries; the name may be in lower case.",
        unset="",
        aliases=("https_proxy",),
        is_foreign=True,
    )
    http_proxy: str = setting(
        "HTTP_PROXY",
        read.proxy,
        _PROXY,
        "Proxy for unencrypted connections to registries; the name may be in lower case.",
        unset="",
        aliases=("http_proxy",),
        is_foreign=True,
    )
    no_proxy: tuple[str, ...] = setting(
        "NO_PROXY",
        read.words,
        "host names, addresses and networks with commas between",
        "Hosts to reach without a proxy; *: all. The name may be in lower case.",
        unset=(),
        aliases=("no_proxy",),
        is_foreign=True,
    )
    debug: bool = setting(
        "OLLAMA_DEBUG",
        read.debug_flag,
        _FLAG,
        "Log every request and every step of a load.",
        default="0",
    )
    log_format: LogFormat = setting(
        "PADDOCK_LOG",
        read.one_of(LogFormat),
        "one of " + " ".join(LogFormat),
        "Format of the log; json has an object per line, and one for every request.",
        default=LogFormat.TEXT.value,
    )
    logs_bodies: bool = setting(
        "PADDOCK_LOG_BODIES",
        read.flag,
        _FLAG,
        "Log every request with the beginning of its body and of its reply: prompts, answers.",
        default="0",
    )
    max_body: int = setting(
        "PADDOCK_MAX_BODY",
        read.size,
        _SIZE,
        "Largest JSON body of a request; 0: no limit. Uploads of blobs have none.",
        default="64M",
    )
    max_connections: int = setting(
        "PADDOCK_MAX_CONNECTIONS",
        read.count,
        _COUNT,
        "Connections at once; 0: half the limit of open files, at most 4096.",
        default="0",
    )
    header_timeout: float = setting(
        "PADDOCK_HEADER_TIMEOUT",
        read.timeout,
        _DURATION,
        "How long a client may take to send the headers of a request; 0: for ever.",
        default="20s",
    )
    body_timeout: float = setting(
        "PADDOCK_BODY_TIMEOUT",
        read.timeout,
        _DURATION,
        "How long a client may pause while it sends a body; 0: for ever.",
        default="60s",
    )
    remote_images: bool = setting(
        "PADDOCK_REMOTE_IMAGES",
        read.flag,
        _FLAG,
        "Download images that requests give as URLs of public addresses.",
        default="0",
    )
    stop_repetition: bool = setting(
        "PADDOCK_STOP_REPETITION",
        read.flag,
        _FLAG,
        "End answers that repeat the same tokens without end.",
        default="1",
    )
    deterministic: bool = setting(
        "PADDOCK_DETERMINISTIC",
        read.flag,
        _FLAG,
        "Compute each answer alone, so that equal requests have equal answers; much slower.",
        default="0",
    )
    long_prompts: LongPrompts = setting(
        "PADDOCK_REFUSE_LONG_PROMPTS",
        read.one_of(LongPrompts),
        "one of " + " ".join(LongPrompts),
        "Whose chats are refused instead of cut to less than half: agents (/v1/messages and "
        "/v1/responses), all or none.",
        default=LongPrompts.AGENTS.value,
    )
    stream_keepalive: float = setting(
        "PADDOCK_STREAM_KEEPALIVE",
        read.timeout,
        _DURATION,
        "How long a stream may be silent before it sends a keep-alive; 0: for ever.",
        default="5s",
    )
    grace_period: float = setting(
        "PADDOCK_GRACE_PERIOD",
        read.seconds,
        _DURATION,
        "How long running requests may go on when the server closes.",
        default="7s",
    )
    unusable: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; an empty variable counts as unset.

        Raises:
            SettingError: a variable has a value that cannot be used, and is too important for its
                default to take its place.
        """
        values, problems = read_variables(VARIABLES, environment)
        unusable = {v.name: str(e) for v, e in problems.items() if v.is_foreign}
        ignored = {v: e for v, e in problems.items() if not v.is_foreign}
        for variable, error in ignored.items():
            if not variable.may_be_ignored:
                raise error
        if "models" not in values:
            raise SettingError(_NO_HOME)
        if problem := tls_problem(values):
            raise SettingError(problem)
        warnings = tuple(
            f"{error}; {variable.fallback} is used" for variable, error in ignored.items()
        )
        return cls(**values, unusable=unusable, warnings=warnings)

    @staticmethod
    def problems(environment: Mapping[str, str]) -> list[str]:
        """Return a sentence about every variable whose value cannot be used, ignored or not."""
        values, problems = read_variables(VARIABLES, environment)
        is_homeless = "models" not in values and all(v.field != "models" for v in problems)
        others = (_NO_HOME if is_homeless else "", tls_problem(values))
        return [*map(str, problems.values()), *filter(None, others)]


_OF_NETWORK = variables_of(NetworkSettings)
VARIABLES = (*_OF_NETWORK, *(v for v in variables_of(Settings) if v not in _OF_NETWORK))
"""The environment variables, in the order of the documents."""
