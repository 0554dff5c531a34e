"""Values derived from the settings: files beside the models, registry client and scheduler."""

from dataclasses import fields
from pathlib import Path

from model_store.registry.config import Proxies, RegistryConfig
from runners.host.model_request import PrefixSettings, SchedulerConfig
from server.config.settings import Settings


def api_keys_file(settings: Settings) -> Path:
    """Return the file of API keys: beside the models, unless it is set."""
    return settings.api_keys or settings.models.parent / "paddock-api-keys.json"


def audit_log_file(settings: Settings) -> Path:
    """Return the audit log: beside the models, unless it is set."""
    return settings.audit_log or settings.models.parent / "paddock-audit.log"


def usage_file(settings: Settings) -> Path:
    """Return the database of usage: beside the models, unless it is set."""
    return settings.usage or settings.models.parent / "paddock-usage.db"


def responses_file(settings: Settings) -> Path:
    """Return the database of responses: beside the models, unless it is set."""
    return settings.responses or settings.models.parent / "paddock-responses.db"


def files_folder(settings: Settings) -> Path:
    """Return the directory of uploaded files and batches: beside the models, unless it is set."""
    return settings.files or settings.models.parent / "paddock-files"


def cluster_files(settings: Settings) -> Path:
    """Return the directory for files of a cluster: beside the models, unless it is set."""
    return settings.cluster_files or settings.models.parent / "paddock-cluster"


def registry_config(settings: Settings, user_agent: str) -> RegistryConfig:
    """Return the configuration of pull and push."""
    return RegistryConfig(
        user_agent=user_agent,
        default=settings.registry,
        mirrors=settings.mirrors,
        allowed=settings.allowed_registries,
        proxies=Proxies(settings.http_proxy, settings.https_proxy, settings.no_proxy),
        ca_file=settings.ca_file,
        keys=settings.keys or settings.models.parent,
        docker_config=settings.docker_config,
        hub=settings.hub,
        hub_token=settings.hub_token,
        unusable=settings.unusable,
    )


def scheduler_config(settings: Settings) -> SchedulerConfig:
    """Return the configuration of the scheduler, whose other fields have the settings' names."""
    folder = settings.prefixes or settings.models.parent / "paddock-prefixes"
    prefixes = PrefixSettings(folder, settings.keep_prefixes, settings.models / "blobs")
    same = {each.name for each in fields(SchedulerConfig)} - {"prefixes"}
    return SchedulerConfig(**{name: getattr(settings, name) for name in same}, prefixes=prefixes)
