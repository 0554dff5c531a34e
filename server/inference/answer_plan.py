"""What chat and completion decide before they lease a runner, and the lease of every request."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import Final, TypeVar

from model_store.model import Model
from model_store.options import Options
from model_store.store import Store
from runners.host.model_request import ModelKey, ModelRequest
from runners.host.scheduler import Lease, Scheduler
from server.formats import Format
from server.inference.adapters import adapters_of
from server.inference.checks import require_reachable
from server.inference.conversation import GenerationParams
from server.inference.model_profile import ModelProfiles
from server.inference.model_request import model_key, model_request
from server.inference.models import find_model
from server.inference.options import merged_options
from server.prompt.messages import Think
from server.request_record import current

_MOST_BLOCKS: Final = 64
_Request = TypeVar("_Request", bound=GenerationParams)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """How a request is answered, as far as the files of the model decide it."""

    model: Model
    format: Format
    think: Think | None
    options: Options
    request: ModelRequest


@dataclass(frozen=True, slots=True)
class Planner:
    """Decides how requests are answered; it reads files of models, so it belongs in threads.

    `defaults` are the options that no model or request sets.
    """

    store: Store
    defaults: Mapping[str, object]
    profiles: ModelProfiles

    def plan(
        self,
        request: _Request,
        check: Callable[[_Request, Model, Sequence[str]], Think | None],
        *,
        required: bool = False,
    ) -> AnswerPlan:
        """Find the model and plan the answer; `check` refuses what its capabilities leave out.

        Raises:
            BadRequest: the name is invalid, or empty and `required`; or an option is.
            NotFound: no such model is installed.
        """
        model = find_model(self.store, request.model, required=required)
        profile = self.profiles.of(model)
        think = check(request, model, profile.capabilities)
        options = merged_options(
            self.defaults, profile.options, model.served_as.options, request.options
        )
        require_reachable(options, request.constraint)
        adapters = adapters_of(self.store, model, request.adapters, options.adapter_scale)
        model_to_load = model_request(
            model, options, request.keep_alive, adapters, least_context=request.least_context
        )
        return AnswerPlan(model, profile.format, think, options, model_to_load)

    def key(self, name: str, *, required: bool = False) -> ModelKey:
        """Return the key of the runner that a request for this model would use."""
        return model_key(find_model(self.store, name, required=required))


@asynccontextmanager
async def recorded_lease(
    scheduler: Scheduler, request: ModelRequest, blocks: Iterable[str] = ()
) -> AsyncGenerator[Lease, None]:
    """Lease a runner as `Scheduler.lease`, and note it in the record of the request.

    On one of several machines, that is the one which has computed most of `blocks`, with which the
    prompt begins.
    """
    if scheduler.machines.are_many:
        request = replace(request, prefix=_hashes(blocks))
    record = current()
    record.begin_wait(request.name)
    if record.is_background or record.caller.id:
        request = replace(request, is_background=record.is_background, owner=record.caller.id)
    async with scheduler.lease(request) as lease:
        record.set_lease(request.name, lease.pid, lease.queue_seconds, lease.load_seconds)
        yield lease


def _hashes(blocks: Iterable[str]) -> tuple[int, ...]:
    """Return hashes of the first blocks of a prompt, each of all before it."""
    digest, hashes = blake2b(digest_size=8), []
    for block in islice(blocks, _MOST_BLOCKS):
        digest.update(f"{len(block)} {block}".encode(errors="replace"))
        hashes.append(int.from_bytes(digest.digest()))
    return tuple(hashes)
