"""Compare an answer with the recorded one: status, media type, fields, and the text of streams.

Times, durations, ids and digests are reduced to placeholders first. Fields that the reference does
not have may be added, streams may be cut at other places, and where a recorded error text comes
from another language's standard library any explanation will do.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from tests.conformance.answers import Answer, Body, BodyKind, Event, parse_body


class Strictness(Enum):
    """How much of an answer has to agree."""

    EXACT = "exact"
    SHAPE = "shape"
    """Structure and the reasons why an answer ended, not values: those depend on weights."""
    OTHER_WEIGHTS = "other weights"
    """The shape of an answer by another model: it may end elsewhere and tell less of its file."""
    STATUS = "status"


_TIMES = frozenset({"created_at", "modified_at", "expires_at"})
_NUMBERS = frozenset(
    "total_duration load_duration prompt_eval_duration eval_duration created created_at "
    "completed_at size_vram size".split()
)
_IDS = frozenset("id call_id request_id item_id response_id tool_call_id".split())
_REASONS = frozenset("done_reason role object type finish_reason stop_reason".split())
_LIMITS = frozenset("stop length end_turn max_tokens".split())
# Fields that would change what a client does, so they must not be added.
_MEANINGFUL = (
    _TIMES
    | _NUMBERS
    | frozenset("error context done_reason thinking tool_calls response message".split())
)
# The steps of a create: how it is done is up to the server.
_STEPS = (
    "parsing ", "verifying ", "converting ", "quantizing ", "gathering ", "copying ",
    "creating new layer", "using existing layer", "using autodetected",
)  # fmt: skip
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FOREIGN_TEXT = re.compile(
    r"Go struct field|^json: |invalid character|unexpected (EOF|end of JSON)|no such file or "
    r"directory|template: |strconv|looking for beginning|dial tcp|no such host|connection refused"
)
_TOLERANCE = 0.02
EXPLANATION, TIME, NUMBER = "<explanation>", "<time>", "<number>"


def differences(recorded: Answer, answer: Answer, strictness: Strictness) -> list[str]:
    """Return one line for each difference that a client could notice."""
    status = recorded.status
    if recorded.status == 500 and 400 <= answer.status < 500:
        status = answer.status  # a caller's mistake is better answered as 4xx
    if status != answer.status:
        return [f"status {recorded.status} became {answer.status}: {answer.body[:200]}"]
    lines = []
    if recorded.media_type != answer.media_type:
        lines.append(f"media type {recorded.media_type!r} became {answer.media_type!r}")
    if strictness is Strictness.STATUS:
        return lines
    return lines + list(_compare_bodies(parse_body(recorded), parse_body(answer), strictness))


def _compare_bodies(old: Body, new: Body, strictness: Strictness) -> Iterator[str]:
    kinds = {old.kind, new.kind}
    if len(kinds) > 1 and kinds != {BodyKind.JSON, BodyKind.NDJSON}:
        yield f"{old.kind.value} became {new.kind.value}"
    elif kinds == {BodyKind.TEXT}:
        if old != new and strictness is Strictness.EXACT:
            yield f"text {_short(old.events[0].value)} became {_short(new.events[0].value)}"
    elif kinds == {BodyKind.JSON}:
        yield from _compare(
            _reduced(old.events[0].value), _reduced(new.events[0].value), strictness
        )
    else:
        yield from _compare_streams(old.events, new.events, strictness)


def _compare_streams(old: list[Event], new: list[Event], strictness: Strictness) -> Iterator[str]:
    if strictness is Strictness.EXACT and _texts(old) != _texts(new):
        yield f"text {_short(_texts(old))} became {_short(_texts(new))}"
    if _outline(old) != _outline(new):
        yield f"events {_short(_outline(old))} became {_short(_outline(new))}"
    if old and new:
        first, last = _reduced(old[0].value), _reduced(old[-1].value)
        yield from _compare(first, _reduced(new[0].value), Strictness.SHAPE, "first")
        yield from _compare(last, _reduced(new[-1].value), strictness, "last")


def _texts(events: list[Event]) -> dict[str, str]:
    """Return the joined text of a stream, by the part of the answer that it belongs to."""
    texts = {"content": "", "thinking": ""}
    for event in events:
        value = event.value
        if not isinstance(value, dict):
            continue
        message, delta = value.get("message"), value.get("delta")
        parts = [value, message if isinstance(message, dict) else {}]
        parts += [choice.get("delta") or choice for choice in value.get("choices") or []]
        if isinstance(delta, str) and event.name.endswith("text.delta"):
            texts["content"] += delta
        elif isinstance(delta, dict):
            parts.append(delta)
        for part in parts:
            texts["thinking"] += _string(part, "thinking")
            texts["content"] += (
                _string(part, "response") + _string(part, "content") + _string(part, "text")
            )
    return texts


def _string(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _outline(events: list[Event]) -> list[tuple[str, object]]:
    """Return the order of the events that differ in name or status from the one before."""
    outline: list[tuple[str, object]] = []
    for event in events:
        status = event.value.get("status") if isinstance(event.value, dict) else event.value
        if isinstance(status, str) and status.startswith(_STEPS):
            continue
        entry = (event.name, status if isinstance(status, str) else None)
        if outline[-1:] != [entry]:
            outline.append(entry)
    return outline


def _compare(old: Any, new: Any, strictness: Strictness, path: str = "$") -> Iterator[str]:
    if old == EXPLANATION and isinstance(new, str) and new:
        return
    if _type_of(old) != _type_of(new):
        yield f"{path}: {_short(old)} became {_short(new)}"
    elif isinstance(old, dict):
        yield from _compare_objects(old, new, strictness, path)
    elif isinstance(old, list):
        yield from _compare_lists(old, new, strictness, path)
    elif not _agree(old, new, strictness, path):
        yield f"{path}: {_short(old)} became {_short(new)}"


def _agree(old: Any, new: Any, strictness: Strictness, path: str) -> bool:
    """Return whether two values that are neither objects nor lists are as good as equal."""
    if strictness is Strictness.OTHER_WEIGHTS and {old, new} <= _LIMITS:
        return True
    if strictness is not Strictness.EXACT and not (
        isinstance(old, bool) or old in (TIME, NUMBER) or path.rpartition(".")[2] in _REASONS
    ):
        return True
    if isinstance(old, float) or isinstance(new, float):
        return bool(abs(old - new) <= _TOLERANCE * max(1, abs(old)))
    return bool(old == new)


def _compare_lists(
    old: list[Any], new: list[Any], strictness: Strictness, path: str
) -> Iterator[str]:
    exact = strictness is Strictness.EXACT
    if bool(old) != bool(new) or (len(old) != len(new) and exact):
        yield f"{path}: {len(old)} elements became {len(new)}"
        return
    for i, (one, other) in enumerate(zip(old[: None if exact else 1], new, strict=False)):
        yield from _compare(one, other, strictness, f"{path}[{i}]")


def _compare_objects(
    old: dict[str, Any], new: dict[str, Any], strictness: Strictness, path: str
) -> Iterator[str]:
    from_file = strictness is Strictness.OTHER_WEIGHTS and path.endswith("model_info")
    for key, value in old.items():
        if key not in new and from_file:
            continue
        if key not in new:
            yield f"{path}.{key}: {_short(value)} is missing"
        else:
            yield from _compare(value, new[key], strictness, f"{path}.{key}")
    for key in (new.keys() - old.keys()) & _MEANINGFUL:
        yield f"{path}.{key}: {_short(new[key])} was added"


def _type_of(value: object) -> type:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float if is_number else type(value)


def _reduced(value: Any, key: str = "") -> Any:
    """Return `value` with placeholders for what differs between two runs."""
    if isinstance(value, dict):
        return {name: _reduced(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return sorted((_reduced(part, key) for part in value), key=_sort_key(key))
    if key in _NUMBERS and _type_of(value) is float:
        return NUMBER
    return _reduced_text(value, key) if isinstance(value, str) else value


def _sort_key(key: str) -> Any:
    """Order what has no order of its own; other lists stay as they are."""
    if key in ("models", "data", "tensors"):
        return lambda part: (
            str(part.get("name") or part.get("id") or "") if isinstance(part, dict) else ""
        )
    return lambda _: ""


def _reduced_text(text: str, key: str) -> str:
    if key in _TIMES and _RFC3339.fullmatch(text):
        return TIME
    if key in _IDS and ":" not in text:
        return re.sub(r"[0-9a-zA-Z]+$", "<id>", text)
    if key in ("error", "message") and _FOREIGN_TEXT.search(text):
        return EXPLANATION
    text = re.sub(r"sha256([:-])[0-9a-f]{64}", r"sha256\1<hex>", text)
    if key == "digest":
        text = re.sub(r"^[0-9a-f]{64}$", "<hex>", text)
    if key in ("modelfile", "parameters"):
        text = "\n".join(sorted(text.split("\n")))  # parameters have no order
    return re.sub(r"/\S*/(blobs|manifests)/", r"<store>/\1/", text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."
