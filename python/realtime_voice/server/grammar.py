"""What the local ears can hear: a JSGF grammar of arithmetic, small talk and the session's tools.

A closed grammar hears far better than an open language model with the small English model that comes with
pocketsphinx. The phrases a tool adds are made from its name and its schema; `phrases` is also what the assistant
reads them back with, so that what can be heard is what can be answered.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from realtime_voice.server import numerals

_WORD = re.compile(r"[a-z']+")

OPERATORS: Mapping[str, str] = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "multiplied by": "*",
    "divided by": "/",
    "over": "/",
    "to the power of": "**",
}
"""Spoken operators and their sign in an expression."""

QUESTIONS = ("what is", "what's", "how much is", "calculate", "compute")
STOP = (
    "stop conversation", "stop the conversation", "stop talking", "please stop", "stop", "end the conversation",
    "good bye", "goodbye", "bye bye",
)  # fmt: skip
GREETINGS = ("hello", "hi", "hi there", "hello there", "hey", "good morning", "good evening")
THANKS = ("thank you", "thanks", "thank you very much")
TIME = ("what time is it", "what's the time", "what is the time", "tell me the time")
DATE = ("what day is it", "what's the date", "what is the date", "what is today's date")
STORY = ("tell me a story", "tell me a long story", "tell a story")
REPEAT = ("say that again", "repeat that", "please repeat that", "what did you say")
ABOUT = ("who are you", "what can you do", "how are you", "can you hear me", "help")
ASSENT = ("yes", "no", "okay", "yes please", "no thank you", "wait", "go on")

SPELL = ("spell", "how do you spell")
SPELLED = (
    "hello", "lamp", "tower", "ship", "story", "music", "kitchen", "weather", "water", "coffee", "question", "answer",
)  # fmt: skip
"""Words to be spelled that are heard in any session; the words of its tools come on top."""

CONNECTORS = ("to", "of", "for", "in", "on", "at", "with", "from", "about", "by", "called", "that")
"""Words that may come before an argument; "the" may follow."""

TALK = (*STOP, *GREETINGS, *THANKS, *TIME, *DATE, *STORY, *REPEAT, *ABOUT, *ASSENT)


_FETCHES = frozenset({"get", "fetch", "check", "find", "show", "look", "lookup", "read", "query", "search"})
_MAKES = frozenset({"add", "book", "create", "make", "order", "play", "schedule", "send", "start", "take", "write"})
_ASKS = ("what is the", "what's the", "how is the", "tell me the", "show me the")
_PARTICLES = frozenset({"on", "off", "up", "down", "in", "out"})


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument to be heard: its name, what kind it is, and the words for each value.

    Kinds: "enum", "boolean", "array" (several of the choices), "integer", "number", and "string", which takes any
    words; of those, only the examples in its schema can be heard, as choices.
    """

    name: str
    type: str
    choices: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Phrases:
    """How a tool may be asked for: any of `openings`, then its slots in order, the required ones at least."""

    tool: str
    openings: tuple[str, ...]
    slots: tuple[Slot, ...]
    required: frozenset[str]


def spoken(text: str) -> str:
    """Return `text` as the lower-case words one would say for it: "turn_on-Lamp2" -> "turn on lamp two"."""
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    split = re.sub(r"(\d+)", lambda match: f" {numerals.spell(match[1])} ", split)
    return " ".join(_WORD.findall(split.lower()))


def phrases(tools: Iterable[Mapping[str, Any]]) -> list[Phrases]:
    """Return what each function tool is asked for with, by its name, and what its arguments may be, by its schema."""
    result = []
    for tool in tools:
        if tool.get("type", "function") != "function" or not (name := spoken(str(tool.get("name", "")))):
            continue
        schema = tool.get("parameters") or {}
        properties = schema.get("properties") or {}
        slots = [slot for key, value in properties.items() if (slot := _slot(key, value)) is not None]
        required = frozenset(schema.get("required") or ())
        result.append(Phrases(str(tool["name"]), _openings(name.split()), tuple(slots), required))
    return result


def _openings(name: Sequence[str]) -> tuple[str, ...]:
    """Return how a function is asked for: "get weather", "get the weather", "what is the weather", ..."""
    verb, *rest = name
    if not rest:
        return (verb,)
    at = 2 if len(name) > 2 and name[1] in _PARTICLES else 1
    head, thing = " ".join(name[:at]), " ".join(name[at:])
    asked = [f"{question} {thing}" for question in _ASKS] if verb in _FETCHES else []
    new = [f"{head} a {thing}"] if verb in _MAKES else []
    return (f"{head} {thing}", f"{head} the {thing}", *asked, *new)


def _slot(name: str, schema: Mapping[str, Any]) -> Slot | None:
    kind = schema.get("type")
    if "enum" in schema:
        return Slot(name, "enum", _choices(schema["enum"]))
    if kind == "array" and "enum" in (schema.get("items") or {}):
        return Slot(name, "array", _choices(schema["items"]["enum"]))
    if kind in {"integer", "number"}:
        return Slot(name, str(kind))
    if kind == "boolean":
        return Slot(name, "boolean", (("on", True), ("off", False), ("yes", True), ("no", False)))
    if kind == "string":
        return Slot(name, "string", _choices(schema.get("examples") or ()))
    return None


def _choices(values: Iterable[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((words, value) for value in values if (words := spoken(str(value))))


def jsgf(tools: Sequence[Mapping[str, Any]], knows: Callable[[str], bool]) -> str:
    """Return the grammar for a session with `tools`; phrases with a word that `knows` denies are left out."""
    asked = []
    words = dict.fromkeys(SPELLED)
    for phrase in phrases(tools):
        words.update(dict.fromkeys(word for text in (phrase.openings[0], *_values(phrase)) for word in text.split()))
        slots = [_slot_rule(slot, required=slot.name in phrase.required, knows=knows) for slot in phrase.slots]
        openings = _known(phrase.openings, knows)
        if openings and None not in slots:
            asked.append(f"[please | can you | could you] ({_either(openings)}) {' '.join(filter(None, slots))}")
    spelled = _either(_known(words, knows))
    return "\n".join(
        [
            "#JSGF V1.0;",
            "grammar heard;",
            *_number_rules(),
            f"<operator> = {_either(OPERATORS)};",
            "<operand> = [minus] <number> [point <digit>+];",
            "<term> = <operand> (<operator> <operand>)+ | <operand> squared;",
            "<special> = the square root of <number> | <number> percent of <number>;",
            f"<sum> = [{_either(QUESTIONS)}] (<term> | <special>);",
            "<count> = [please] count [up] to <number> | count from <number> to <number>;",
            "<say> = (say | repeat) <number>;",
            f"<talk> = {_either(_known(TALK, knows))};",
            f"<spell> = [please] ({_either(SPELL)}) ({spelled});",
            f"public <heard> = {_either(['<sum>', '<count>', '<say>', '<spell>', '<talk>', *asked])};",
        ]
    )


def numbers_jsgf() -> str:
    """Return the grammar of spoken answers with numbers in them, for reading numbers off a recording."""
    return "\n".join(
        [
            "#JSGF V1.0;",
            "grammar numbers;",
            *_number_rules(),
            f"<operator> = {_either(OPERATORS)};",
            "<result> = [minus] <number> [point <digit>+];",
            "<sum> = [what is] <number> (<operator> <number>)+ [(is | equals) <result>];",
            f"<talk> = {_either(TALK)} | i heard | [please] count [up] to <number>;",
            "public <numbers> = <sum> | [it is | the answer is | the result is] <result> | <number>+ | <talk>;",
        ]
    )


def _number_rules() -> list[str]:
    units = _either(numerals.UNITS[1:])
    return [
        f"<digit> = {_either(numerals.UNITS)};",
        f"<unit> = {units};",
        f"<small> = <unit> | {_either(numerals.TEENS)} | ({_either(numerals.TENS)}) [<unit>];",
        "<hundreds> = (a | <unit>) hundred [[and] <small>];",
        "<number> = zero | <small> | <hundreds> | (a | <small>) thousand;",
    ]


def _slot_rule(slot: Slot, *, required: bool, knows: Callable[[str], bool]) -> str | None:
    value = "<number>"
    if slot.type not in {"integer", "number"}:
        choices = _known([words for words, _ in slot.choices], knows)
        if not choices:
            return None if required and slot.type != "string" else ""
        value = f"({_either(choices)})"
        if slot.type == "array":
            value = f"{value} ([and] {value})*"
    rule = f"[{_either(CONNECTORS)}] [the] {value}"
    return rule if required else f"[{rule}]"


def _values(phrase: Phrases) -> list[str]:
    return [words for slot in phrase.slots for words, _ in slot.choices]


def _known(texts: Iterable[str], knows: Callable[[str], bool]) -> list[str]:
    return [text for text in texts if all(knows(word) for word in text.split())]


def _either(alternatives: Iterable[str]) -> str:
    return " | ".join(alternatives)
