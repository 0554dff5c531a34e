"""Every setting of the server: one table of environment variables, read in one place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model_store.registry.config import (
    DEFAULT_REGISTRY,
    HUB,
    Endpoint,
    Mirror,
    Proxies,
    RegistryConfig,
)
from runners.host.model_request import SchedulerConfig
from runners.protocol.messages import CacheType, FlashAttention
from server.config import values as read
from server.config.values import DEFAULT_HOST, DEFAULT_PORT, Address
from server.text.quoting import quoted

_IN_HOME = {"models": ".ollama/models", "keys": ".ollama", "docker_config": ".docker"}
_DURATION = "a duration such as 5m, or whole seconds"
_FLAG = "1 or 0"
_COUNT = "a whole number of at least 0"
_SIZE = "a number of bytes, such as 1048576 or 64M"


class SettingError(Exception):
    """A variable has a value that cannot be used; the text names both and what is wanted."""


class Variable(NamedTuple):
    """A row of the table: the variable, the setting it gives, how it is read, what it does."""

    name: str
    field: str
    read: Callable[[str], object]
    wanted: str
    help: str


def _flash_attention(text: str) -> FlashAttention:
    return FlashAttention.ON if read.flag(text) else FlashAttention.OFF


VARIABLES = (
    Variable(
        "OLLAMA_HOST",
        "address",
        read.address,
        "[http://]host[:port], such as 0.0.0.0:11434; for https put a proxy in front",
        "Address to listen on (127.0.0.1:11434).",
    ),
    Variable(
        "OLLAMA_MODELS",
        "models",
        read.path,
        "a directory",
        "Where models are kept (~/.ollama/models).",
    ),
    Variable(
        "OLLAMA_ORIGINS",
        "origins",
        read.origins,
        "origins such as https://chat.example.com with commas between, each with at most one *",
        "Web pages of these origins may use the API, besides those of this machine.",
    ),
    Variable(
        "PADDOCK_ALLOWED_HOSTS",
        "allowed_hosts",
        read.words,
        "host names with commas between",
        "Names by which clients may reach the server, besides those of this machine; *: any.",
    ),
    Variable(
        "OLLAMA_KEEP_ALIVE",
        "keep_alive",
        read.seconds,
        _DURATION,
        "How long a model stays in memory after its last use (5m); negative: for ever.",
    ),
    Variable(
        "OLLAMA_LOAD_TIMEOUT",
        "load_timeout",
        read.patience,
        _DURATION,
        "How long a load may go without progress (5m); 0: for ever.",
    ),
    Variable(
        "OLLAMA_MAX_LOADED_MODELS",
        "max_loaded",
        read.count,
        _COUNT,
        "Models in memory at once; 0: three per GPU, at least three (0).",
    ),
    Variable(
        "OLLAMA_MAX_QUEUE",
        "max_queue",
        read.count,
        _COUNT,
        "Requests that may wait for models to be loaded (512).",
    ),
    Variable(
        "OLLAMA_NUM_PARALLEL",
        "num_parallel",
        read.count,
        _COUNT,
        "Requests that one model serves at once; 0: as many as memory allows (0).",
    ),
    Variable(
        "OLLAMA_CONTEXT_LENGTH",
        "context_length",
        read.count,
        _COUNT,
        "Context of a request that does not say; 0: by GPU memory, 4096 on a CPU (0).",
    ),
    Variable(
        "OLLAMA_FLASH_ATTENTION",
        "flash_attention",
        _flash_attention,
        _FLAG,
        "Fused attention on or off; unset: where it helps.",
    ),
    Variable(
        "OLLAMA_KV_CACHE_TYPE",
        "cache_type",
        read.one_of(CacheType),
        "one of " + " ".join(CacheType),
        "Element type of the KV cache (f16).",
    ),
    Variable(
        "OLLAMA_SCHED_SPREAD",
        "sched_spread",
        read.flag,
        _FLAG,
        "Spread a model over all GPUs even if one is enough (0).",
    ),
    Variable(
        "OLLAMA_GPU_OVERHEAD",
        "gpu_overhead",
        read.size,
        _SIZE,
        "Memory to leave free on each GPU (0).",
    ),
    Variable(
        "OLLAMA_GO_TEMPLATE",
        "go_template",
        read.flag,
        _FLAG,
        "Prefer a model's Go template (1) or its own Jinja template (0); unset: by model.",
    ),
    Variable("OLLAMA_NOPRUNE", "no_prune", read.flag, _FLAG, "Keep blobs that no model needs (0)."),
    Variable(
        "OLLAMA_NO_BUILTIN",
        "no_builtin",
        read.flag,
        _FLAG,
        "Leave the models that come along out of a new store (0).",
    ),
    Variable(
        "OLLAMA_REGISTRY",
        "registry",
        Endpoint.parse,
        "[http[s]://]host[:port]",
        "Registry of models whose names have no host (registry.ollama.ai).",
    ),
    Variable(
        "PADDOCK_REGISTRY_MIRRORS",
        "mirrors",
        read.mirrors,
        "pairs such as registry.ollama.ai=http://mirror:5000 with commas between",
        "Where to ask before a registry itself, for pulls.",
    ),
    Variable(
        "PADDOCK_KEYS",
        "keys",
        read.path,
        "a directory",
        "Where the key pair id_ed25519 is kept that registries know us by (~/.ollama).",
    ),
    Variable(
        "DOCKER_CONFIG",
        "docker_config",
        read.path,
        "a directory",
        "Where docker login left its config.json, for registries that want a password (~/.docker).",
    ),
    Variable(
        "HF_TOKEN",
        "hub_token",
        str,
        "a token",
        "Token for private models of Hugging Face; unset: the one that hf auth login saved.",
    ),
    Variable(
        "HF_ENDPOINT",
        "hub",
        Endpoint.parse,
        "[http[s]://]host[:port]",
        "Where hf.co models come from (https://huggingface.co).",
    ),
    Variable(
        "SSL_CERT_FILE",
        "ca_file",
        read.path,
        "a file of certificates",
        "Certificates to trust besides those of the system, when talking to registries.",
    ),
    Variable(
        "HTTPS_PROXY",
        "https_proxy",
        read.proxy,
        "[http://]host[:port]",
        "Proxy to registries; the name may be in lower case, as of the next two.",
    ),
    Variable(
        "HTTP_PROXY",
        "http_proxy",
        read.proxy,
        "[http://]host[:port]",
        "Proxy to registries that are asked without encryption.",
    ),
    Variable(
        "NO_PROXY",
        "no_proxy",
        read.words,
        "host names, addresses and networks with commas between",
        "Hosts to reach without a proxy; *: all.",
    ),
    Variable("OLLAMA_DEBUG", "debug", read.debug_flag, _FLAG, "Log more (0)."),
    Variable(
        "PADDOCK_MAX_BODY",
        "max_body",
        read.size,
        _SIZE,
        "Largest JSON body of a request (64M); 0: no limit. Uploads of blobs have none.",
    ),
    Variable(
        "PADDOCK_REMOTE_IMAGES",
        "remote_images",
        read.flag,
        _FLAG,
        "Fetch images that requests name by public addresses (0).",
    ),
    Variable(
        "PADDOCK_RESPONSES",
        "responses",
        read.path,
        "a file",
        "Where responses of /v1/responses are kept (paddock-responses.db beside the models).",
    ),
    Variable(
        "PADDOCK_KEEP_RESPONSES",
        "keep_responses",
        read.seconds,
        _DURATION,
        "How long responses are kept (720h); 0: not at all, negative: for ever.",
    ),
    Variable(
        "PADDOCK_GRACE_PERIOD",
        "grace_period",
        read.seconds,
        _DURATION,
        "How long running requests may go on when the server closes (10s).",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server; durations in seconds, sizes in bytes."""

    address: Address = Address(DEFAULT_HOST, DEFAULT_PORT)
    models: Path
    origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    keep_alive: float = 300.0
    load_timeout: float = 300.0
    max_loaded: int = 0
    max_queue: int = 512
    num_parallel: int = 0
    context_length: int = 0
    flash_attention: FlashAttention = FlashAttention.AUTO
    cache_type: CacheType = CacheType.F16
    sched_spread: bool = False
    gpu_overhead: int = 0
    go_template: bool | None = None
    no_prune: bool = False
    no_builtin: bool = False
    registry: Endpoint = DEFAULT_REGISTRY
    mirrors: tuple[Mirror, ...] = ()
    keys: Path | None = None
    docker_config: Path | None = None
    hub_token: str = ""
    hub: Endpoint = HUB
    ca_file: Path | None = None
    https_proxy: str = ""
    http_proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    debug: bool = False
    max_body: int = 64 << 20
    remote_images: bool = False
    responses: Path | None = None
    keep_responses: float = 30 * 24 * 3600.0
    grace_period: float = 10.0

    @property
    def responses_file(self) -> Path:
        """Where responses are kept: beside the models, unless said otherwise."""
        return self.responses or self.models.parent / "paddock-responses.db"

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; an empty variable counts as absent.

        Raises:
            SettingError: a variable has a value that cannot be used.
        """
        values: dict[str, Any] = {}
        for variable in VARIABLES:
            # Unit files and shells leave blanks and quotes around values.
            text = _text(environment, variable.name).strip().strip("\"'")
            if text:
                values[variable.field] = _value(variable, text)
        home = _home(environment)
        if home is None and "models" not in values:
            raise SettingError(
                "HOME names no directory to keep models in; set OLLAMA_MODELS to a directory"
            )
        if home is not None:
            values = {field: home / folder for field, folder in _IN_HOME.items()} | values
        return cls(**values)

    def registries(self, user_agent: str) -> RegistryConfig:
        """Return the part that pulling and pushing need."""
        return RegistryConfig(
            user_agent=user_agent,
            default=self.registry,
            mirrors=self.mirrors,
            proxies=Proxies(self.http_proxy, self.https_proxy, self.no_proxy),
            ca_file=self.ca_file,
            keys=self.keys or self.models.parent,
            docker_config=self.docker_config,
            hub=self.hub,
            hub_token=self.hub_token,
        )

    def scheduler(self) -> SchedulerConfig:
        """Return the part that the scheduler needs."""
        return SchedulerConfig(
            keep_alive=self.keep_alive,
            load_timeout=self.load_timeout,
            max_loaded=self.max_loaded,
            max_queue=self.max_queue,
            num_parallel=self.num_parallel,
            context_length=self.context_length,
            flash_attention=self.flash_attention,
            cache_type=self.cache_type,
            sched_spread=self.sched_spread,
            gpu_overhead=self.gpu_overhead,
            grace_period=self.grace_period,
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or (environment.get(name.lower(), "") if "PROXY" in name else "")


def _home(environment: Mapping[str, str]) -> Path | None:
    try:
        return Path(environment.get("HOME") or "~").expanduser()
    except RuntimeError:
        return None


def _value(variable: Variable, text: str) -> object:
    try:
        return variable.read(text)
    except (ValueError, RuntimeError):
        raise SettingError(
            f"{variable.name} is {quoted(text)}, but must be {variable.wanted}"
        ) from None
