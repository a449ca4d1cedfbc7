"""The default mind: a small assistant that reads the session's tools and knows the phrases of the grammar.

A spoken or typed sum calls a calculator-like tool, "stop conversation" a stop-like one, a tool's own phrase that tool;
anything else gets a short spoken reply. Deterministic, no network, no model.
"""

import datetime as dt
import itertools
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from realtime_voice.events import Item
from realtime_voice.server import grammar, numerals
from realtime_voice.server.grammar import Phrases, Slot
from realtime_voice.server.interfaces import Call, Context, Json, Say, Step

COUNT_LIMIT = 1000
COUNTED_AT_ONCE = 5
MAX_SENTENCE = 400
"""Characters of one sentence: it is spoken as a whole, and others wait for the voice meanwhile."""
MAX_RESULT = 2000
"""Characters looked at of what a user typed or a function gave back as text."""
MAX_JSON = 65_536
"""Characters of a function's output up to which it is read as JSON."""
AND_SO_ON = ", and so on."
STORY = (
    "Once upon a time there was a small lamp in a tall tower by the sea.",
    "Every night it lit the way for the ships that came home.",
    "One night a storm was so loud that nobody could see or hear the tower.",
    "The lamp was afraid, but it burned as bright as it could.",
    "A single ship saw its light through the rain and followed it.",
    "On that ship was a girl who could repair anything that was broken.",
    "She climbed the tower and gave the lamp a new glass.",
    "From that day on it could be seen twice as far.",
    "And all the ships came home. That is the end of the story.",
)
NOT_UNDERSTOOD = "Sorry, I did not understand that."

_STOP_TOOL = re.compile(r"\b(stop|end|exit|quit|hang up|terminate|finish)\b")
_CALCULATOR = re.compile(r"\b(calculat\w*|calculator|arithmetic|math\w*|sum|compute)\b")
_EXPRESSION_NAMES = ("expression", "formula", "equation", "query", "input", "problem")
_SIGNS = {
    "+": "plus", "-": "minus", "*": "times", "\u00d7": "times", "/": "divided by", "\u00f7": "divided by",
    "^": "to the power of", "%": "percent of",
}  # fmt: skip
_SAY = re.compile(
    r"(?:^|[.!?:\n])\s*(?:please )?(?:say|greet|speak|begin|start|open|respond|reply)\b[^\"\u201c.!?]*?"
    r"(?:\"([^\"]+)\"|\u201c([^\u201d]+)\u201d)",
    re.IGNORECASE,
)
_ROLE = re.compile(r"\b[Yy]ou are ((?:an? |the |[A-Z])[^.!?\n]{1,80})")
_OPERATOR_WORDS = sorted(grammar.OPERATORS, key=len, reverse=True)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SIGN = re.compile(r"(?<=[\d)\s])([-+*/\u00d7\u00f7x%])(?=\s*-?[\d(])")
_PERCENT = "/ 100 *"
_BLANK: Mapping[str, Any] = {"integer": 0, "number": 0, "boolean": True, "array": [], "object": {}}


class Assistant:
    """A Brain (see interfaces.Brain). `clock` tells the local time for "what time is it"."""

    def __init__(self, clock: Callable[[], dt.datetime] | None = None) -> None:
        self._clock = clock or (lambda: dt.datetime.now().astimezone())

    async def respond(self, context: Context) -> AsyncGenerator[Step]:
        """Yield the steps of a response to the conversation so far."""
        for step in self._steps(context):
            yield Say(shortened(step.text)) if isinstance(step, Say) else step

    def _steps(self, context: Context) -> Iterator[Step]:
        outputs = _trailing_outputs(context.items)
        if outputs:
            calls = {item.call_id: item for item in context.items if item.type == "function_call"}
            yield Say(" ".join(spoken_result(output, calls.get(output.call_id)) for output in outputs))
            return
        said = next((item for item in reversed(context.items) if item.role == "user"), None)
        last = next((item for item in reversed(context.items) if item.role in {"user", "assistant"}), None)
        told = told_to_say(context.instructions) if said is None or said is not last else None
        if told is not None or said is None:  # asked to speak without being spoken to
            yield Say(told or "Hello, how can I help you?")
            return
        text = _text(said)[:MAX_RESULT]
        tools = [] if context.tool_choice == "none" else _allowed(context.tools, context.tool_choice)
        yield from self._answer(text, tools, context)

    def _answer(self, text: str, tools: Sequence[Json], context: Context) -> Iterator[Step]:
        words = normalized(text)
        if not words:
            yield Say(NOT_UNDERSTOOD)
        elif words in grammar.STOP:
            yield from _stop(tools)
        elif (expression := expression_of(text)) is not None:
            yield from _calculate(expression, tools)
        elif (call := _asked_for(words, tools)) is not None:
            yield call
        elif (count := _count_bounds(words)) is not None:
            yield from _count(*count)
        elif (spelled := _to_spell(words)) is not None:
            yield Say(f"{spelled}.")
        elif (number := _to_say(words)) is not None:
            yield Say(f"{numerals.spell(number)}.")
        elif words in grammar.STORY:
            yield from map(Say, STORY)
        elif words in grammar.REPEAT:
            yield Say(_last_said(context.items) or "I have not said anything yet.")
        else:
            yield Say(self._small_talk(words, context.instructions))

    def _small_talk(self, words: str, instructions: str) -> str:
        now = self._clock()
        if words in grammar.TIME:
            return f"It is {_spoken_time(now)}."
        if words in grammar.DATE:
            return f"Today is {now:%A}, {now:%B} {numerals.spell(now.day)}."
        if words in grammar.GREETINGS:
            return "Hello! How can I help you?"
        if words in grammar.THANKS:
            return "You are welcome."
        if words in grammar.ABOUT:
            return f"I am {role(instructions) or 'the local assistant'}. Ask me a sum, the time, or a story."
        return f"I heard: {words}."


def told_to_say(instructions: str) -> str | None:
    """Return what instructions want said word for word: 'Greet the user with "Good morning!"'."""
    match = _SAY.search(instructions[:MAX_RESULT])
    return next(filter(None, match.groups())).strip() if match else None


def role(instructions: str) -> str | None:
    """Return who the instructions make of the assistant: "You are Ada, a tutor. Be brief." -> "Ada, a tutor"."""
    match = _ROLE.search(instructions[:MAX_RESULT])
    return match[1] if match else None


def shortened(text: str) -> str:
    """Return `text`, ended with "and so on" at a word where it is too long to be one sentence."""
    if len(text) <= MAX_SENTENCE:
        return text
    kept = text[: MAX_SENTENCE - len(AND_SO_ON)]
    return kept.rsplit(maxsplit=1)[0].rstrip(".,;: ") + AND_SO_ON


def normalized(text: str) -> str:
    """Return the lower-case words of `text`, numbers spelled out, punctuation gone."""
    return " ".join(re.findall(r"[a-z']+", numerals.spell_numerals(text).lower().replace("-", " ")))


def expression_of(text: str) -> str | None:
    """Return the arithmetic expression in `text` ("what is twelve times seven" -> "12 * 7"), None without one."""
    words = _signs_as_words(text).split()
    start = next((index for index, word in enumerate(words) if _starts_operand(words, index)), None)
    if start is None:
        return None
    opening = " ".join(words[:start])
    if opening.endswith("square root of"):
        value, end = _operand(words, start)
        return f"sqrt({value})" if end == len(words) else None
    parts, at = _terms(words, start)
    if words[at:] == ["squared"] and len(parts) == 1:
        return f"{parts[0]} ** 2"
    return " ".join(parts) if len(parts) > 1 and at == len(words) and _may_open(opening) else None


def spoken_expression(expression: str) -> str:
    """Return an expression as one says it: "12 * 7" -> "twelve times seven"."""
    text = expression.replace(_PERCENT, "percent of").replace("**", " to the power of ")
    text = re.sub(r"sqrt\((.*?)\)", r"the square root of \1", text)
    text = re.sub(r"(?<=[\d)])\s*([-+*/\u00d7\u00f7^%])\s*(?=[-\d(])", lambda match: f" {_SIGNS[match[1]]} ", text)
    return " ".join(numerals.spell_numerals(text.replace("(", " ").replace(")", " ")).split())


def spoken_result(output: Item, call: Item | None) -> str:
    """Return the sentence that tells a function's output, with the sum it answers where there was one."""
    text = result_text(output.output or "")
    arguments = _json(call.arguments if call is not None else None)
    expression = next(
        (arguments[name][:MAX_SENTENCE] for name in _EXPRESSION_NAMES if isinstance(arguments.get(name), str)), None
    ) if isinstance(arguments, dict) else None  # fmt: skip
    number = re.fullmatch(r"(?:\D*[\s:=])?(-?\d+(?:\.\d+)?)\.?", text)
    if expression is not None and number is not None:
        return f"{spoken_expression(expression)} is {numerals.spell(number[1])}."
    if expression is not None and re.search(r"\b(nan|zoo|inf|error)\b|nan", text.lower()):
        return f"I could not work out {spoken_expression(expression)}."
    return numerals.spell_numerals(text) if text else "Done."


def result_text(output: str) -> str:
    """Return the words in a function's output: plain text, or JSON such as [{"text": ...}] or {"result": ...}."""
    return _result_text(output)[:MAX_RESULT]


def _result_text(output: str) -> str:
    if len(output) > MAX_JSON:
        return output[:MAX_RESULT].strip()
    value = _json(output)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    return " ".join(_texts(value)) if isinstance(value, list | dict) else output.strip()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        nested = value.get("content", value.get("json", value.get("result", value.get("text"))))
        if nested is not None:
            yield from _texts(nested)
        else:
            yield from (f"{grammar.spoken(str(key))} {text}" for key, item in value.items() for text in _texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value).strip()


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None


# --- tools ------------------------------------------------------------------------------------------------------------


def _allowed(tools: Sequence[Json], choice: str | Json) -> list[Json]:
    functions = [tool for tool in tools if tool.get("type", "function") == "function"]
    if isinstance(choice, Mapping):
        return [tool for tool in functions if tool.get("name") == choice.get("name")]
    return functions


def _find(tools: Sequence[Json], pattern: re.Pattern[str]) -> Json | None:
    """Return the tool whose name, else whose first words of description match."""
    named = (tool for tool in tools if pattern.search(grammar.spoken(str(tool.get("name")))))
    described = (tool for tool in tools if pattern.search(_first_sentence(tool).lower()))
    return next(itertools.chain(named, described), None)


def _first_sentence(tool: Json) -> str:
    return re.split(r"[.\n]", str(tool.get("description") or ""), maxsplit=1)[0]


def _stop(tools: Sequence[Json]) -> Iterator[Step]:
    tool = _find(tools, _STOP_TOOL)
    yield Call(str(tool["name"]), _required_texts(tool, "the user asked to stop")) if tool else Say("Goodbye.")


def _required_texts(tool: Json, text: str) -> dict[str, Any]:
    """Return a value for each argument the tool insists on: its default, first choice or `text`."""
    schema = tool.get("parameters") or {}
    properties = schema.get("properties") or {}
    values = {}
    for name in schema.get("required") or ():
        of = properties.get(name) or {}
        blank = _BLANK.get(str(of.get("type")), text)
        values[name] = of.get("default", (of.get("enum") or [blank])[0])
    return values


def _calculate(expression: str, tools: Sequence[Json]) -> Iterator[Step]:
    tool = _find(tools, _CALCULATOR)
    arguments = arguments_for(tool, expression) if tool is not None else None
    if tool is None or arguments is None:
        yield Say(f"I heard: {spoken_expression(expression)}, but I have no tool that can calculate.")
    else:
        yield Call(str(tool["name"]), arguments)


def arguments_for(tool: Json, expression: str) -> dict[str, Any] | None:
    """Return a calculator-like tool's arguments by its schema: one expression, or two numbers and an operation."""
    schema = tool.get("parameters") or {}
    properties: Mapping[str, Json] = schema.get("properties") or {}
    required = list(schema.get("required") or ())
    texts = [name for name, of in properties.items() if of.get("type", "string") == "string" and "enum" not in of]
    chosen = next((name for name in _EXPRESSION_NAMES if name in texts), None)
    if chosen is None and len(needed := [name for name in required if name in texts]) == 1:
        chosen = needed[0]
    if chosen is not None:
        return {**_required_texts({"parameters": schema}, expression), chosen: expression}
    numbers = [name for name, of in properties.items() if of.get("type") in {"number", "integer"}]
    match = re.fullmatch(rf"({_NUMBER.pattern}) (\*\*|[-+*/]) ({_NUMBER.pattern})", expression)
    if match is None or len(numbers) < 2:
        return None
    operation = next((name for name, of in properties.items() if "enum" in of), None)
    arguments: dict[str, Any] = {numbers[0]: _plain(match[1]), numbers[1]: _plain(match[3])}
    if operation is not None:
        arguments[operation] = _choose_operation(properties[operation]["enum"], match[2])
    return arguments


def _choose_operation(choices: Sequence[str], sign: str) -> str:
    stems = {
        "+": ("add", "plus", "sum"),
        "-": ("sub", "minus"),
        "*": ("mul", "times"),
        "/": ("div",),
        "**": ("pow", "exp"),
    }
    wanted = (sign, *stems[sign])
    return next((choice for choice in choices if str(choice).lower().startswith(wanted)), choices[0])


def _plain(number: str) -> int | float:
    return int(number) if re.fullmatch(r"-?\d+", number) else float(number)


def _asked_for(words: str, tools: Sequence[Json]) -> Call | None:
    """Return the call that `words` ask for with a tool's own phrases (see grammar.phrases)."""
    for phrase in grammar.phrases(tools):
        for opening in sorted(phrase.openings, key=len, reverse=True):
            match = re.fullmatch(rf"(?:please |can you |could you )?{re.escape(opening)}(?: (.*?))?(?: please)?", words)
            if match is not None and (arguments := _fill(phrase, match[1] or "")) is not None:
                return Call(phrase.tool, arguments)
    return None


def _fill(phrase: Phrases, rest: str) -> dict[str, Any] | None:
    """Read the arguments off the words after an opening, in the order of the schema; None when they do not fit."""
    arguments: dict[str, Any] = {}
    words = rest.split()
    for index, slot in enumerate(phrase.slots):
        value, words = _take(slot, words, phrase.slots[index + 1 :])
        if value is not None:
            arguments[slot.name] = value
    return arguments if not words and phrase.required <= arguments.keys() else None


def _take(slot: Slot, words: list[str], later: Sequence[Slot]) -> tuple[Any, list[str]]:
    rest = words[1:] if words and words[0] in grammar.CONNECTORS else words
    rest = rest[1:] if rest[:1] == ["the"] and slot.type != "string" else rest
    if slot.type == "array":
        return _take_several(slot, rest, words)
    if slot.type == "string":
        end = _free_text_end(rest, later)
        text = " ".join(rest[:end])
        return (dict(slot.choices).get(text, text), rest[end:]) if end else (None, words)
    if slot.choices:
        for spoken, value in sorted(slot.choices, key=lambda choice: -len(choice[0])):
            if rest[: len(spoken.split())] == spoken.split():
                return value, rest[len(spoken.split()) :]
        return None, words
    number, end = numerals.parse(rest)
    return (None, words) if number is None else (number, rest[end:])


def _take_several(slot: Slot, rest: list[str], words: list[str]) -> tuple[Any, list[str]]:
    """Read "milk eggs and bread" as choices of an array."""
    values: list[Any] = []
    one = Slot(slot.name, "enum", slot.choices)
    while rest:
        value, after = _take(one, rest[1:] if values and rest[0] == "and" else rest, ())
        if value is None:
            break
        values.append(value)
        rest = after
    return (values, rest) if values else (None, words)


def _free_text_end(words: Sequence[str], later: Sequence[Slot]) -> int:
    """Return where free text ends: before a connector after which a later argument can be read, or at the end."""
    for at in range(1, len(words)):
        if words[at] in grammar.CONNECTORS and any(_take(slot, list(words[at:]), ())[0] is not None for slot in later):
            return at
    return len(words)


# --- phrases ----------------------------------------------------------------------------------------------------------


def _trailing_outputs(items: Sequence[Item]) -> list[Item]:
    last = itertools.takewhile(lambda item: item.type == "function_call_output", reversed(items))
    return list(last)[::-1]


def _text(item: Item) -> str:
    parts = item.content or []
    return " ".join(part.text or (part.transcript if isinstance(part.transcript, str) else "") or "" for part in parts)


def _last_said(items: Sequence[Item]) -> str:
    return next((text for item in reversed(items) if item.role == "assistant" and (text := _text(item))), "")


def _count_bounds(words: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(?:please )?count (?:from (.+) to|(?:up )?to) (.+)", words)
    if match is None:
        return None
    first, last = (_whole(text) if text else 1 for text in match.groups())
    return None if first is None or last is None else (first, last)


def _count(first: int, last: int) -> Iterator[Say]:
    """Count a few numbers to a sentence, so that speech starts at once and can be stopped anywhere."""
    last = min(last, first + COUNT_LIMIT)
    for start in range(first, last + 1, COUNTED_AT_ONCE):
        numbers = range(start, min(start + COUNTED_AT_ONCE, last + 1))
        yield Say(", ".join(map(numerals.spell, numbers)) + ("," if numbers[-1] < last else "."))


def _to_say(words: str) -> int | None:
    match = re.fullmatch(r"(?:say|repeat) (.+)", words)
    return _whole(match[1]) if match else None


def _to_spell(words: str) -> str | None:
    match = re.fullmatch(r"(?:please |can you |could you )?(?:spell|how do you spell) (?:the word )?([a-z' ]+)", words)
    return ", ".join(letter.upper() for letter in match[1] if letter.isalpha()) if match else None


def _whole(text: str) -> int | None:
    value, end = numerals.parse(text.split())
    return value if end == len(text.split()) else None


def _spoken_time(now: dt.datetime) -> str:
    hour = numerals.spell(now.hour % 12 or 12)
    half = "A M" if now.hour < 12 else "P M"
    if not now.minute:
        return f"{hour} o'clock {half}"
    return f"{hour} {'oh ' if now.minute < 10 else ''}{numerals.spell(now.minute)} {half}"


def _signs_as_words(text: str) -> str:
    """Return typed arithmetic as words and numerals: "12*7" -> "12 times 7"."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    text = re.sub(r"\*\*|\^", " to the power of ", text)
    text = _SIGN.sub(lambda match: f" {_SIGNS.get(match[1], 'times')} ", text)
    text = re.sub(r"(?<=[a-z])-", " ", text)
    return " ".join(re.findall(r"-?\d+(?:\.\d+)?|[a-z']+", text))


def _starts_operand(words: Sequence[str], at: int) -> bool:
    return _operand(words, at)[0] is not None


def _operand(words: Sequence[str], at: int) -> tuple[str | None, int]:
    """Read "minus two point five" or "2.5" from `words[at:]` as the text of a number."""
    if at < len(words) and _NUMBER.fullmatch(words[at]):
        return words[at], at + 1
    sign, start = ("-", at + 1) if list(words[at : at + 1]) == ["minus"] else ("", at)
    value, end = numerals.parse(words, start)
    if value is None:
        return None, at
    digits: list[str] = []
    if list(words[end : end + 1]) == ["point"]:
        digits = list(itertools.takewhile(numerals.UNITS.__contains__, words[end + 1 :]))
    if not digits:
        return f"{sign}{value}", end
    fraction = "".join(str(numerals.UNITS.index(digit)) for digit in digits)
    return f"{sign}{Decimal(f'{value}.{fraction}')}", end + 1 + len(digits)


def _terms(words: Sequence[str], at: int) -> tuple[list[str], int]:
    value, at = _operand(words, at)
    parts = [str(value)]
    while (operator := _operator(words, at)) is not None:
        sign, after = operator
        value, end = _operand(words, after)
        if value is None:
            break
        parts += [sign, value]
        at = end
    return parts, at


def _operator(words: Sequence[str], at: int) -> tuple[str, int] | None:
    if list(words[at : at + 2]) == ["percent", "of"]:
        return _PERCENT, at + 2
    for spoken in _OPERATOR_WORDS:
        length = len(spoken.split())
        if list(words[at : at + length]) == spoken.split():
            return grammar.OPERATORS[spoken], at + length
    return None


def _may_open(opening: str) -> bool:
    """Whether a sum may follow these words: a question, or nothing."""
    return not opening or _ends_with(opening, (*grammar.QUESTIONS, "please", "is", "calculate", "me"))


def _ends_with(text: str, endings: Iterable[str]) -> bool:
    return any(text == ending or text.endswith(f" {ending}") for ending in endings)
