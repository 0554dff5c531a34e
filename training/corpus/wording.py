"""Ways of saying the same: openings, synonyms, and the haste in which people type."""

import re
import string
from random import Random

_AIMS = (
    "How do I {}?", "How do I {}?", "How can I {}?", "How to {}?", "How would I {}?",
    "How does one {}?", "How do you {}?", "How can one {}?", "Can I {}?", "Is it possible to {}?",
    "What is the way to {}?", "What do I do to {}?", "What must I do to {}?",
    "What is the command to {}?", "Which command do I use to {}?", "What request do I send to {}?",
    "Is there a way to {}?", "Tell me how to {}.", "Show me how to {}.", "Explain how to {}.",
    "Can you tell me how to {}?", "Can you explain how to {}?", "Could you help me {}?",
    "Please help me {}.", "Please tell me how to {}.", "I want to {}.", "I would like to {}.",
    "I'd like to {}, how?", "I need to {}.", "I want to {}, what do I do?", "I am trying to {}.",
    "Do you know how to {}?", "What's the best way to {}?", "Help me {}.", "{}", "{}?",
    "What do I have to do to {}?", "I don't know how to {}.", "Where can I learn how to {}?",
)  # fmt: skip
_ENDS = ("", "", "", "", " with paddock", " in paddock", " through the API", " please", " here")
_OPENINGS = (
    "", "", "", "", "", "", "Hi, ", "Hello! ", "Hey, ", "Please tell me: ", "Quick question: ",
    "A question: ", "Sorry, ", "Hi guide, ", "Can you tell me: ", "Please, ", "So, ", "Well, ",
)  # fmt: skip
_SYNONYMS = {
    "model": ("LLM", "language model"),
    "models": ("LLMs", "language models"),
    "server": ("daemon", "service", "server"),
    "directory": ("folder", "path"),
    "machine": ("computer", "PC", "box"),
    "computer": ("machine", "PC"),
    "memory": ("RAM",),
    "answer": ("reply", "response", "output"),
    "answers": ("replies", "responses", "outputs"),
    "request": ("call", "query"),
    "requests": ("calls", "queries"),
    "text": ("string",),
    "texts": ("strings",),
    "see": ("view", "look at", "get", "show"),
    "show": ("display", "print", "see"),
    "list": ("show", "list", "print"),
    "delete": ("remove", "erase", "drop"),
    "remove": ("delete", "erase"),
    "download": ("fetch", "pull", "load down"),
    "change": ("set", "modify", "alter", "adjust"),
    "set": ("change", "choose", "define", "configure"),
    "use": ("utilize", "work with", "run"),
    "make": ("create", "produce", "get"),
    "create": ("make", "build", "set up"),
    "send": ("pass", "give", "post"),
    "run": ("start", "execute", "launch"),
    "start": ("run", "launch", "begin"),
    "stop": ("end", "halt", "kill"),
    "find": ("locate", "discover", "find"),
    "error": ("message", "problem", "failure"),
    "supported": ("available", "possible", "allowed"),
    "mean": ("stand for", "say"),
    "does": ("will",),
    "many": ("several",),
    "several": ("many", "multiple"),
    "default": ("standard",),
    "larger": ("bigger", "longer"),
    "large": ("big",),
    "installed": ("available", "present"),
    "explain": ("describe", "clarify"),
    "what is": ("what's", "tell me what is", "please explain", "define"),
    "what are": ("tell me what are", "please explain", "describe"),
    "why": ("why", "how come", "for what reason"),
    "paddock": ("the server", "this server", "this program"),
    "faster": ("quicker",),
    "users": ("people", "clients"),
    "people": ("users",),
    "picture": ("photo", "image"),
    "forget": ("lose", "drop"),
    "programs": ("apps", "tools"),
    "clients": ("programs", "apps"),
    "support": ("have", "offer"),
    "need": ("require",),
    "identical": ("the same",),
    "again": ("anew",),
    "field": ("parameter", "key", "setting"),
    "option": ("parameter", "setting"),
    "options": ("parameters",),
}
# What is typed to the letter stays: paths, commands of ollama, targets of make.
_SYNONYM = re.compile(
    r"(?<![/\w.-])(?<!ollama )(?<!make )("
    + "|".join(sorted(_SYNONYMS, key=len, reverse=True))
    + r")(?![\w/-])(?! (?:run|test|bench|install)\b)"
)
_FORMS = (
    (
        re.compile(r"what (is|are) ((?:the|a|an|your|my|[A-Z:/]).*|\w+)"),
        (
            "tell me what {1} {0}", "explain {1}", "what {0} {1} for", "please explain {1} to me",
            "what do you know about {1}", "describe {1}", "can you explain {1}",
            "tell me about {1}",
            "I do not know what {1} {0}", "what {0} the meaning of {1}",
        ),
    ),
    (
        re.compile(r"what does (.+) do"),
        (
            "what is {0} for", "tell me what {0} does", "what is the use of {0}", "explain {0}",
            "what effect does {0} have", "what is {0} good for", "what is the meaning of {0}",
        ),
    ),
    (
        re.compile(r"what does (.+) mean"),
        (
            "what is the meaning of {0}", "explain {0}", "what is {0}", "tell me what {0} means",
            "I see {0}, what is that", "why do I see {0}",
        ),
    ),
    (
        re.compile(r"why do I get (.+)"),
        (
            "what causes {0}", "what is the reason for {0}", "I get {0}", "what do I do about {0}",
            "the server answers with {0}", "my request is answered with {0}",
        ),
    ),
    (
        re.compile(r"can I (.+)"),
        ("am I able to {0}", "is it possible to {0}", "may I {0}", "how can I {0}", "could I {0}"),
    ),
    (
        re.compile(r"(?:is|are) (.+) supported"),
        (
            "does paddock support {0}", "do you support {0}", "is there support for {0}",
            "can I use {0}", "does it have {0}", "does it work with {0}", "what about {0}",
        ),
    ),
    (
        re.compile(r"which (command|endpoint) (.+)"),
        (
            "what {0} {1}", "tell me which {0} {1}", "is there a {0} that {1}",
            "I need the {0} that {1}", "what is the {0} that {1}",
        ),
    ),
)  # fmt: skip
"""Shapes of questions, and others that ask the same."""
_SMALL = frozenset("a an the of to is do does i my me in on for it that with please".split())
_LETTERS = string.ascii_lowercase
_QUESTION = re.compile(
    r"(what|which|who|whose|where|when|why|how|is|are|am|was|were|do|does|did|can|could|may|must|"
    r"will|would|shall|should|has|have|in which|in what|at which|at what|on which|for what|"
    r"to which|after how|after what|by how|by what|with which|from where)\b|.*, (what|how|why|"
    r"where|which|can|is|do|does|will)\b",
    re.IGNORECASE,
)


def wrapped_aim(random: Random, aim: str) -> str:
    """Return a question or a wish about something that one wants to do."""
    form = random.choice(_AIMS)
    return _opened(random, form.format(varied(random, aim) + random.choice(_ENDS)))


def wrapped_question(random: Random, question: str) -> str:
    """Return a whole question as one of many people would type it."""
    text = varied(random, question)
    if random.random() < 0.8:
        text += end(text)
    return _opened(random, text)


def end(text: str) -> str:
    """Return what a question or a statement ends with."""
    return "?" if _QUESTION.match(text) else "."


def _opened(random: Random, text: str) -> str:
    opening = random.choice(_OPENINGS)
    text = opening + text
    return text[:1].upper() + text[1:]


def reworded(random: Random, question: str) -> str:
    """Return the question in another shape, where it has one of those that are known."""
    for shape, others in _FORMS:
        if found := shape.fullmatch(question):
            return random.choice(others).format(*found.groups())
    return question


def varied(random: Random, text: str, share: float = 0.2) -> str:
    """Replace some words by others that mean the same."""

    def other(match: re.Match[str]) -> str:
        word = match.group()
        return random.choice(_SYNONYMS[word]) if random.random() < share else word

    return _SYNONYM.sub(other, text)


def disturbed(random: Random, text: str) -> str:
    """Return `text` as it is, or hastily typed."""
    if random.random() < 0.4:
        text = text.lower()
    if random.random() < 0.25:
        text = text.rstrip("?.!")
    if random.random() < 0.2:
        text = _without_small_words(random, text)
    if random.random() < 0.12:
        text = _mistyped(random, text)
    return text


def _without_small_words(random: Random, text: str) -> str:
    words = text.split(" ")
    kept = [w for w in words if w.lower() not in _SMALL or random.random() < 0.6]
    return " ".join(kept) if len(kept) > 1 else text


def _mistyped(random: Random, text: str) -> str:
    places = [i for i in range(1, len(text) - 1) if text[i - 1 : i + 2].isalpha()]
    if not places:
        return text
    i = random.choice(places)
    return random.choice(
        (
            text[:i] + text[i + 1 :],
            text[:i] + text[i] + text[i:],
            text[:i] + text[i + 1] + text[i] + text[i + 2 :],
            text[:i] + random.choice(_LETTERS) + text[i + 1 :],
        )
    )
