"""Storage of computed prefixes: what tells the files of models apart, and which are deleted."""

import hashlib
import logging
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import msgspec

from runners.host.model_request import ModelRequest, PrefixSettings, SchedulerConfig
from runners.protocol.prefixes import PARTIAL_SUFFIX, SUFFIX, PrefixStorage

logger = logging.getLogger(__name__)

_KEY_DIGITS = 16


def prefix_storage(request: ModelRequest, config: SchedulerConfig) -> PrefixStorage | None:
    """Return where a runner of this model reads and saves prefixes, if it does.

    Files in the store are named by their digests, so that their names identify them.
    """
    if config.prefixes is None or config.prefixes.max_bytes <= 0:
        return None
    parts = (
        request.weights.name,
        request.projector.name if request.projector is not None else None,
        config.cache_type,
        config.flash_attention,
        version("llama-cpp-python"),
    )
    key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:_KEY_DIGITS]
    return PrefixStorage(
        directory=str(config.prefixes.directory),
        model=f"{request.weights.name}.{key}",
        max_bytes=config.prefixes.max_bytes,
    )


def tidy(settings: PrefixSettings) -> None:
    """Create the directory for its owner alone, and delete what no runner would read any more.

    Those are unfinished files, files of deleted models, and all files when nothing may be saved.
    """
    directory = settings.directory
    try:
        if settings.max_bytes > 0:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
        for path in directory.glob(f"*{SUFFIX}"):
            if settings.max_bytes <= 0 or not _has_weights(path, settings.weights):
                path.unlink(missing_ok=True)
        for path in directory.glob(f"*{SUFFIX}.*{PARTIAL_SUFFIX}"):
            if not _is_running(path):
                path.unlink(missing_ok=True)
    except OSError as e:
        logger.warning("prefixes are not saved: %s", e.strerror)


def _has_weights(path: Path, weights: Path) -> bool:
    """Whether the weights exist whose name begins that of a file."""
    return (weights / path.name.rsplit(".", 3)[0]).exists()


def _is_running(path: Path) -> bool:
    """Whether the process still runs that writes a file, whose id is in its name."""
    with suppress(ValueError, OSError):
        os.kill(int(path.name.split(".")[-2]), 0)
        return True
    return False
