"""Tools that are made up from a verb and a thing, so that definitions must be read."""

from random import Random

from training.corpus import values
from training.corpus.toolbox import Parameter, ToolKind

_VERBS = tuple(
    """open close start move check count update reset lock paint order rate print clean repair
    sell buy rent build measure archive export import approve cancel schedule pause resume
    assign label sort copy share""".split()
)
_THINGS = tuple(
    """door window ticket order room report task account document image video device sensor
    printer machine robot garden car truck parcel invoice contract meeting project budget lesson
    table folder message note campaign database backup job queue""".split()
)
_NEW_VERBS = tuple("water polish weigh wash deliver invite".split())
_NEW_THINGS = tuple("plant statue bag boat guest engine".split())
"""For evaluation: no training text has these."""
_PARAMETERS = (
    Parameter(("id", "number"), "integer", "Its number", values.whole),
    Parameter(("name", "title"), "string", "Its name", values.person),
    Parameter(("color",), "string", "A color", values.color),
    Parameter(("size",), "string", "Its size", lambda r: r.choice(("small", "medium", "large")),
              ("small", "medium", "large")),
    Parameter(("count", "amount"), "integer", "How many", values.small),
    Parameter(("level",), "number", "How strong", values.decimal),
    Parameter(("owner", "user"), "string", "Who has it", values.person),
    Parameter(("city", "place"), "string", "Where it is", values.city),
    Parameter(("date", "day"), "string", "The day", values.date),
    Parameter(("code",), "string", "Its code", values.code),
    Parameter(("urgent", "force"), "boolean", "Whether at once",
              lambda r: r.choice(("true", "false"))),
    Parameter(("comment", "text"), "string", "What to say", values.phrase),
)  # fmt: skip


def action(random: Random) -> ToolKind:
    """Return a kind of tool that nobody has written by hand."""
    return _action(random, random.choice(_VERBS), random.choice(_THINGS))


def new_action(random: Random) -> ToolKind:
    """Return a kind of tool that no training text has."""
    return _action(random, random.choice(_NEW_VERBS), random.choice(_NEW_THINGS))


def _action(random: Random, verb: str, thing: str) -> ToolKind:
    parameters = random.sample(_PARAMETERS, random.choice((1, 1, 2, 2, 3)))
    joined = random.choice((", ", " and "))
    asked = joined.join(f"{p.names[0]} {{{p.names[0]}}}" for p in parameters)
    article = "an" if thing[0] in "aeiou" else "a"
    return ToolKind(
        (f"{verb}_{thing}", f"{verb}_{thing}", f"{thing}_{verb}", f"{verb}{thing.capitalize()}"),
        (f"{verb.capitalize()} {article} {thing}", f"{verb.capitalize()} the {thing}"),
        tuple(parameters),
        (
            f"{verb.capitalize()} the {thing} with {asked}.",
            f"Please {verb} {article} {thing} with {asked}.",
            f"{verb.capitalize()} {article} {thing}, {asked}.",
            f"Can you {verb} the {thing} with {asked}?",
            f"I want you to {verb} the {thing} with {asked}.",
        ),
        (("status", lambda r: r.choice(("ok", "done", "failed", "waiting"))),),
        f"The {thing}: {{status}}.",
    )
