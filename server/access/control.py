"""Access control of one server: its API keys, and the records of what was done with them."""

import asyncio
from dataclasses import dataclass

from server.access.audit import AuditLog
from server.access.keys import Keys, KnownKey
from server.access.scopes import access_of
from server.access.usage import UsageLog
from server.request_record import Charge, RequestRecord

_DENIED = (401, 403, 429)


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The keys, their usage, and the audit log.

    There is no audit log where it is off. Without `always_audits` it has the requests from when
    keys are required.
    """

    keys: Keys
    usage: UsageLog
    audit: AuditLog | None
    always_audits: bool

    def __post_init__(self) -> None:
        self.keys.on_change = self._add_change

    def _add_change(self, change: str, name: str) -> None:
        """Add a change of the keys, however it was made."""
        if self.audit is not None:
            self.audit.add({"action": f"key {change} {name}", "outcome": "ok"})

    def charge(self, known: KnownKey) -> Charge:
        """Return what takes the tokens of each answer to the holder of a key."""
        name, meter, ticks = known.key.name, known.meter, self.keys.ticks

        def charge(model: str, n_prompt: int, n_generated: int) -> None:
            if meter is not None:
                meter.charge(n_prompt + n_generated, ticks())
            self.usage.add(name, model, prompt_tokens=n_prompt, generated_tokens=n_generated)

        return charge

    def add(self, record: RequestRecord) -> None:
        """Add a request that has ended; those that need no key are left out."""
        if not (self.keys.are_required or self.always_audits):
            return
        if access_of(record.method, record.path).is_open:
            return
        status = record.status
        has_failed = status >= 400 or record.end == "error"
        if key := record.caller.name:
            self.usage.add(key, record.served_model, requests=1, errors=int(has_failed))
        if self.audit is not None:
            outcome = "failed" if has_failed else record.end if not status else "ok"
            self.audit.add(
                {
                    "request_id": record.id,
                    "key": key,
                    "address": record.client,
                    "action": f"{record.method} {record.path}"[:1000],
                    "model": (record.served_model or record.model)[:1000],
                    "status": status,
                    "outcome": "denied" if status in _DENIED else outcome,
                }
            )

    async def close(self) -> None:
        """Write what was not written yet."""
        await asyncio.to_thread(self.usage.flush)
        if self.audit is not None:
            await asyncio.to_thread(self.audit.close)
