"""The default mind without a server: numerals, what can be heard, and what it makes of it."""

import datetime as dt
import json
import random
from typing import Any

import pytest
from realtime_voice.audio import Wire
from realtime_voice.events import ContentPart, Item
from realtime_voice.filler import Filler, saying
from realtime_voice.server import Call, Context, Say, grammar, numerals
from realtime_voice.server.assistant import Assistant, expression_of, spoken_expression, spoken_result, told_to_say

CALCULATOR = {
    "type": "function", "name": "calculator", "description": "Calculates.",
    "parameters": {
        "type": "object",
        "properties": {
            "expression": {"type": "string"}, "mode": {"type": "string", "default": None}, "order": {"type": "integer"},
        },
        "required": ["expression"],
    },
}  # fmt: skip
STOP = {"type": "function", "name": "stop_conversation", "description": "Ends it."}
LAMP = {
    "type": "function", "name": "set_lamp", "description": "Sets a lamp.",
    "parameters": {
        "type": "object",
        "properties": {"room": {"enum": ["kitchen", "living_room"]}, "level": {"type": "integer"}},
        "required": ["room"],
    },
}  # fmt: skip


def user(text: str) -> Item:
    return Item(type="message", role="user", content=[ContentPart(type="input_audio", transcript=text)])


WEATHER = {
    "type": "function", "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "examples": ["New York", "Rome"]}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}  # fmt: skip
NOTE = {
    "type": "function", "name": "add_note",
    "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}  # fmt: skip
ORDER = {
    "type": "function", "name": "order",
    "parameters": {"properties": {"what": {"type": "array", "items": {"enum": ["milk", "bread", "ice_cream"]}}}},
}  # fmt: skip
FAN = {"type": "function", "name": "turn_on_fan"}


async def steps(items: list[Item], tools: Any = (), choice: Any = "auto", instructions: str = "") -> list[Any]:
    clock = dt.datetime(2026, 11, 23, 15, 5, tzinfo=dt.UTC)
    context = Context(items, tools, choice, instructions, "audio")
    return [step async for step in Assistant(lambda: clock).respond(context)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"), (84, "eighty four"), (100, "one hundred"), (144, "one hundred forty four"),
        (1024, "one thousand twenty four"), (-3, "minus three"), ("2.50", "two point five"),
        ("-0.25", "minus zero point two five"),
        ("33.3333333333", "thirty three point three three three three"), (1_000_001, "one million one"),
        (10**12, "one zero zero zero zero zero zero zero zero zero zero zero zero"),
    ],
)  # fmt: skip
def test_spell(number: Any, words: str) -> None:
    assert numerals.spell(number) == words


def test_every_number_is_read_as_it_is_spelled() -> None:
    generator = random.Random(7)
    for number in [*range(2200), *(generator.randrange(10**11) for _ in range(2000))]:
        words = numerals.spell(number).split()
        assert numerals.parse(words) == (number, len(words))


@pytest.mark.parametrize("text", ["", "x", "1e", "nan"])
def test_spell_refuses_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        numerals.spell(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("twelve times seven is eighty-four", [12, 7, 84]),
        ("one, two, three", [1, 2, 3]),
        ("nineteen twenty twenty one", [19, 20, 21]),
        ("one hundred and five and a thousand and one", [105, 1001]),
        ("four minus nine is minus five", [4, 9, -5]),
        ("nothing here", []),
    ],
)
def test_numbers_in(text: str, numbers: list[int]) -> None:
    assert numerals.numbers_in(text) == numbers


@pytest.mark.parametrize(
    ("text", "expression", "spoken"),
    [
        ("what is twelve times seven", "12 * 7", "twelve times seven"),
        ("What is 12 * 7?", "12 * 7", "twelve times seven"),
        ("12x7", "12 * 7", "twelve times seven"),
        ("9-4", "9 - 4", "nine minus four"),
        ("please calculate 1,000 / 8", "1000 / 8", "one thousand divided by eight"),
        ("how much is minus two plus two point five", "-2 + 2.5", "minus two plus two point five"),
        ("what is two to the power of ten", "2 ** 10", "two to the power of ten"),
        ("the square root of sixteen", "sqrt(16)", "the square root of sixteen"),
        ("ten percent of fifty", "10 / 100 * 50", "ten percent of fifty"),
        ("seven squared", "7 ** 2", "seven to the power of two"),
        ("one plus two plus three", "1 + 2 + 3", "one plus two plus three"),
    ],
)
def test_expressions(text: str, expression: str, spoken: str) -> None:
    assert expression_of(text) == expression
    assert spoken_expression(expression) == spoken


@pytest.mark.parametrize("text", ["hello", "i have two dogs", "count to thirty", "seven", "two dogs plus three cats"])
def test_no_expression(text: str) -> None:
    assert expression_of(text) is None


@pytest.mark.parametrize(
    ("text", "tools", "expected"),
    [
        ("what is twelve times seven", [STOP, CALCULATOR], [Call("calculator", {"expression": "12 * 7"})]),
        ("stop conversation", [CALCULATOR, STOP], [Call("stop_conversation", {})]),
        ("Stop the conversation.", [STOP], [Call("stop_conversation", {})]),
        ("stop conversation", [], [Say("Goodbye.")]),
        ("set the lamp in the kitchen to forty", [LAMP], [Call("set_lamp", {"room": "kitchen", "level": 40})]),
        ("please set lamp living room", [LAMP], [Call("set_lamp", {"room": "living_room"})]),
        ("set the lamp", [LAMP], [Say("I heard: set the lamp.")]),
        ("", [], [Say("Sorry, I did not understand that.")]),
        ("what time is it", [], [Say("It is three oh five P M.")]),
        ("what day is it", [], [Say("Today is Monday, November twenty three.")]),
        ("purple elephants", [], [Say("I heard: purple elephants.")]),
        ("count to seven", [], [Say("one, two, three, four, five,"), Say("six, seven.")]),
        ("count from nine to eleven", [], [Say("nine, ten, eleven.")]),
        ("say forty two", [], [Say("forty two.")]),
        ("spell lamp", [], [Say("L, A, M, P.")]),
        ("How do you spell tower?", [], [Say("T, O, W, E, R.")]),
        ("what is the weather in new york", [WEATHER], [Call("get_weather", {"city": "New York"})]),
        ("what's the weather in oslo for three please", [WEATHER], [Call("get_weather", {"city": "oslo", "days": 3})]),
        ("get the weather", [WEATHER], [Say("I heard: get the weather.")]),
        ("add a note that the milk is sour", [NOTE], [Call("add_note", {"text": "the milk is sour"})]),
        ("order milk and ice cream", [ORDER], [Call("order", {"what": ["milk", "ice_cream"]})]),
        ("turn on the fan", [FAN], [Call("turn_on_fan", {})]),
    ],
)
async def test_answers(text: str, tools: Any, expected: Any) -> None:
    assert await steps([user(text)], tools) == expected


async def test_sum_without_a_calculator_says_so() -> None:
    (said,) = await steps([user("nine plus four")], [STOP])
    assert said == Say("I heard: nine plus four, but I have no tool that can calculate.")
    assert await steps([user("nine plus four")], [CALCULATOR], "none") == [said]


async def test_calculator_with_two_numbers_and_an_operation() -> None:
    tool = {
        "type": "function", "name": "compute",
        "parameters": {
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}, "op": {"enum": ["add", "multiply"]}},
            "required": ["a", "b", "op"],
        },
    }  # fmt: skip
    assert await steps([user("three times four")], [tool]) == [Call("compute", {"a": 3, "b": 4, "op": "multiply"})]


@pytest.mark.parametrize(
    ("output", "spoken"),
    [
        ('[{"text": "Result: 84"}]', "twelve times seven is eighty four."),
        ('{"status": "success", "content": [{"text": "Result: 84"}]}', "twelve times seven is eighty four."),
        ("84", "twelve times seven is eighty four."),
        ('{"result": 84}', "twelve times seven is eighty four."),
        ('"Result: 2.5"', "twelve times seven is two point five."),
        ("Result: nan-nanj", "I could not work out twelve times seven."),
        ("No such thing", "No such thing"),
    ],
)
def test_results_are_spoken(output: str, spoken: str) -> None:
    call = Item(type="function_call", name="calculator", call_id="c", arguments=json.dumps({"expression": "12 * 7"}))
    assert spoken_result(Item(type="function_call_output", call_id="c", output=output), call) == spoken


async def test_all_outstanding_results_are_answered_at_once() -> None:
    calls = [Item(type="function_call", name="t", call_id=f"c{n}", arguments="{}") for n in (1, 2)]
    outputs = [Item(type="function_call_output", call_id=f"c{n}", output=f"Number {n}.") for n in (1, 2)]
    assert await steps([user("x"), *calls, *outputs]) == [Say("Number one. Number two.")]


async def test_repeats_what_it_said() -> None:
    said = Item(type="message", role="assistant", content=[ContentPart(type="output_audio", transcript="It is late.")])
    assert await steps([said, user("say that again")]) == [Say("It is late.")]
    assert await steps([]) == [Say("Hello, how can I help you?")]


async def test_instructions_are_read() -> None:
    greeting = 'You are Ada, a patient tutor. Greet the user with "Good morning, class!" Be brief.'
    assert await steps([], instructions=greeting) == [Say("Good morning, class!")]
    (said,) = await steps([user("who are you")], instructions=greeting)
    assert said.text.startswith("I am Ada, a patient tutor.")
    spoken = Item(type="message", role="assistant", content=[ContentPart(type="output_audio", transcript="Hm.")])
    assert await steps([user("hello"), spoken], instructions='Say exactly: "Goodbye."') == [Say("Goodbye.")]
    assert await steps([user("hello")], instructions='Say exactly: "Goodbye."') == [Say("Hello! How can I help you?")]
    assert await steps([], instructions='When done, say "bye".') == [Say("Hello, how can I help you?")]


def test_grammar_has_the_examples_of_a_schema_and_words_to_spell() -> None:
    known = grammar.jsgf([WEATHER, NOTE, ORDER], lambda word: True)
    assert "(new york | rome)" in known
    assert "what is the weather" in known
    assert "add note | add the note | add a note" in known
    assert "stop a conversation" not in grammar.jsgf([STOP], lambda word: True), "the ears would take it for the other"
    assert "(milk | bread | ice cream) ([and] (milk | bread | ice cream))*" in known
    spell = next(line for line in known.splitlines() if line.startswith("<spell>"))
    assert {"weather", "york", "cream", "tower"} <= set(spell.replace("(", " ").replace(")", " ").split())


def test_grammar_leaves_out_what_the_ears_do_not_know() -> None:
    known = grammar.jsgf([LAMP], lambda word: word != "kitchen")
    assert "living room" in known
    assert "kitchen" not in known
    assert "set lamp" not in grammar.jsgf([LAMP], lambda word: word != "lamp")
    assert "good bye" in known


@pytest.mark.parametrize(
    ("name", "spoken"), [("turn_on-Lamp2", "turn on lamp two"), ("getWeather", "get weather"), ("", "")]
)
def test_names_as_words(name: str, spoken: str) -> None:
    assert grammar.spoken(name) == spoken


@pytest.mark.parametrize("text", ["Your account is open.", "Welcome to the bank!", 'It says "closed", sorry.'])
def test_what_a_session_wants_said_is_said_word_for_word(text: str) -> None:
    assert told_to_say(saying(text)["instructions"]) == text
    assert told_to_say(Filler(text, Wire()).params["instructions"]) == text
