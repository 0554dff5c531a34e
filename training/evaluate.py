"""Examine the models on what they were not trained on: `python -m training.evaluate`.

They run as users run them: as GGUF files in a server, asked over HTTP at temperature 0. Tools are
offered by chat requests, so that calls are held to their definitions as all calls are; everything
else is the model's own text, without a constraint.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.server import serving
from training import questions
from training.chat import END, Call, Turn
from training.corpus.pairs import comparable
from training.corpus.sample import Sample

_BUNDLED = Path("model_store/bundled")
_AT_ONCE = 8
_OPTIONS = {"temperature": 0, "num_predict": 300, "num_ctx": 1024}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote, and whether it stopped by itself."""

    text: str
    has_stopped: bool


@dataclass(frozen=True, slots=True)
class Check:
    """What is told of a set of answers; `wanted` is the least share of right ones."""

    name: str
    is_right: Callable[[Sample, str], bool]
    wanted: float


def _said(sample: Sample) -> str:
    return sample.answer.removesuffix(END)


def _is_same(sample: Sample, text: str) -> bool:
    return text == _said(sample)


def _answers_same(sample: Sample, text: str) -> bool:
    """Compare what comes after the thoughts."""
    return _after_thought(text) == _after_thought(_said(sample))


def _after_thought(text: str) -> str:
    return text.rpartition("</think>")[2].strip()


def _calls_same(sample: Sample, text: str) -> bool:
    return text == _shown(sample.turns[-1].calls)


def _shown(calls: Sequence[Call]) -> str:
    """Return calls as one text, whatever the order of their arguments."""
    return "".join(call.shown() for call in calls)


def _is_json(_: Sample, text: str) -> bool:
    try:
        return isinstance(json.loads(_after_thought(text)), dict)
    except ValueError:
        return False


def _exams() -> list[tuple[list[Sample], tuple[Check, ...]]]:
    new = questions.with_tools
    told = questions.exercises
    return [
        (questions.held_out(think=False), (Check("right fact", _is_same, 0.9),)),
        (
            questions.held_out(think=True),
            (Check("right fact after thinking", _answers_same, 0.9),),
        ),
        (new("tool call"), (Check("right tool call", _calls_same, 0.9),)),
        (
            questions.with_new_tools(),
            (Check("right call of a tool never seen", _calls_same, 0.8),),
        ),
        (new("tool result"), (Check("tool result told", _answers_same, 0.8),)),
        (new("tool not needed"), (Check("no tool needed", _answers_same, 0.8),)),
        (
            questions.in_json(),
            (Check("valid JSON", _is_json, 0.8), Check("right JSON", _answers_same, 0.7)),
        ),
        (questions.gaps(), (Check("gap filled", _is_same, 0.7),)),
        (told("sum"), (Check("right sum", _answers_same, 0.7),)),
        (told("repetition"), (Check("text repeated", _answers_same, 0.7),)),
        (told("memory"), (Check("name remembered", _answers_same, 0.7),)),
    ]


async def _examine(url: str, *, show: bool) -> bool:
    """Print every share; return whether all are as wanted."""
    results: list[bool] = []
    stops: list[bool] = []
    async with httpx.AsyncClient(base_url=url, timeout=300) as http:
        for samples, checks in _exams():
            answers = await _answers(http, samples)
            stops += (answer.has_stopped for answer in answers)
            for check in checks:
                right = [check.is_right(s, a.text) for s, a in zip(samples, answers, strict=True)]
                results.append(_report(check.name, right, check.wanted))
                if show:
                    _show_wrong(samples, answers, right)
        results.append(_report("natural stop", stops, 0.98))
        results.append(_report("nearest paraphrase", await _nearest(http), 0.9))
    return all(results)


def _report(name: str, right: Sequence[bool], wanted: float) -> bool:
    share = sum(right) / len(right)
    mark = "" if share >= wanted else "  too few"
    print(f"{name:34}{share:7.1%} of {len(right):4}  (wanted {wanted:.0%}){mark}", flush=True)
    return share >= wanted


def _show_wrong(
    samples: Sequence[Sample], answers: Sequence[Answer], right: Sequence[bool]
) -> None:
    for sample, answer, is_right in zip(samples, answers, right, strict=True):
        if not is_right:
            print(f"    asked   {sample.prompt!r}\n    wanted  {_said(sample)!r}")
            print(f"    got     {answer.text!r}\n")


async def _answers(http: httpx.AsyncClient, samples: Sequence[Sample]) -> list[Answer]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(sample: Sample) -> Answer:
        async with gate:
            is_call = bool(sample.turns) and bool(sample.turns[-1].calls)
            return await (_called if is_call else _continued)(http, sample)

    return await asyncio.gather(*map(one, samples))


async def _continued(http: httpx.AsyncClient, sample: Sample) -> Answer:
    """Return what the model writes after a prompt."""
    body = {
        "model": "guide", "prompt": sample.prompt, "raw": True, "stream": False,
        "options": _OPTIONS,
    }  # fmt: skip
    found = (await http.post("/api/generate", json=body)).raise_for_status().json()
    return Answer(found["response"], found["done_reason"] == "stop")


async def _called(http: httpx.AsyncClient, sample: Sample) -> Answer:
    """Return the calls that a chat request is answered with, as one text."""
    body = {
        "model": "guide", "messages": [_message(turn) for turn in sample.turns[:-1]],
        "tools": [{"type": "function", "function": tool} for tool in sample.tools],
        "think": sample.think, "stream": False, "options": _OPTIONS,
    }  # fmt: skip
    found = (await http.post("/api/chat", json=body)).raise_for_status().json()
    calls = [call["function"] for call in found["message"].get("tool_calls", ())]
    text = _shown([Call(call["name"], call["arguments"]) for call in calls])
    return Answer(text or found["message"]["content"], found["done_reason"] == "stop")


def _message(turn: Turn) -> dict[str, object]:
    return {"role": turn.role, "content": turn.content}


async def _nearest(http: httpx.AsyncClient) -> list[bool]:
    """Tell of each wording that was held back whether the nearest known one means the same."""
    facts = comparable()
    known = [
        (n, questions.asked(text))
        for n, fact in enumerate(facts)
        for text in (*fact.questions, *(f"how do I {aim}" for aim in fact.aims))
    ]
    held = [(n, questions.asked(text)) for n, fact in enumerate(facts) for text in fact.held]
    texts = [text for _, text in (*known, *held)]
    answer = await http.post("/api/embed", json={"model": "embedder", "input": texts})
    vectors = np.array(answer.raise_for_status().json()["embeddings"])
    nearest = np.argmax(vectors[len(known) :] @ vectors[: len(known)].T, axis=1)
    return [known[found][0] == number for found, (number, _) in zip(nearest, held, strict=True)]


async def _main(guide: Path, embedder: Path, *, show: bool) -> bool:
    async with serving(guide=guide, embedder=embedder) as server:
        return await _examine(server.url, show=show)


def main() -> int:
    """Run all exams; return 1 when a share is too small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guide", type=Path, default=_BUNDLED / "paddock.gguf")
    parser.add_argument("--embedder", type=Path, default=_BUNDLED / "paddock-embed.gguf")
    parser.add_argument("--show", action="store_true", help="print what was answered wrongly")
    options = parser.parse_args()
    return 0 if asyncio.run(_main(options.guide, options.embedder, show=options.show)) else 1


if __name__ == "__main__":
    sys.exit(main())
