"""Tools: schema from the function, arguments checked, everything that goes wrong told to the model."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import enum
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from realtime_voice import ToolError, tool
from realtime_voice import tools as module
from realtime_voice.tools import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Guest(BaseModel):
    name: str = Field(min_length=2)
    seats: int = 1


class Party(BaseModel):
    guests: list[Guest]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@tool
def book(
    day: Annotated[str, "day of the week"],
    points: list[Point],
    unit: Literal["C", "F"] = "C",
    note: str | None = None,
    *,
    extra: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Book a table.

    At any place.

    Args:
        points: where to go,
            in order
        unit (str): of temperature
        note: for the cook

    Returns:
        What was booked.
    """
    return {"day": day, "points": points, "unit": unit, "note": note, "extra": extra}


def test_schema_from_hints_and_docstring() -> None:
    assert isinstance(book, Tool)
    assert book.name == "book"
    assert book.description == "Book a table.\n\nAt any place."
    assert book.config["type"] == "function"
    schema = book.parameters
    assert schema["required"] == ["day", "points"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["day"] == {"type": "string", "description": "day of the week"}
    assert properties["points"]["description"] == "where to go, in order"
    assert properties["points"]["items"]["properties"]["x"] == {"type": "number"}
    assert properties["points"]["items"]["required"] == ["x"]
    assert properties["unit"] == {"enum": ["C", "F"], "default": "C", "description": "of temperature"}
    assert {"type": "null"} in properties["note"]["anyOf"]


@pytest.mark.parametrize(
    "docstring",
    [
        "Do it.\n\nParameters\n----------\nfirst : int\n    how many\nsecond : str\n    which\n\nReturns\n-------\nint",
        "Do it.\n\n:param first: how many\n:param str second: which\n:returns: a number",
        "Do it.\n\nArgs:\n    first (int): how many\n    second: which\n\nRaises:\n    ValueError: never",
    ],
)
def test_docstring_styles(docstring: str) -> None:
    def work(first: int, second: str) -> None:
        pass

    work.__doc__ = docstring
    made = Tool(work)
    assert made.description == "Do it."
    assert made.parameters["properties"]["first"]["description"] == "how many"
    assert made.parameters["properties"]["second"]["description"] == "which"


def test_a_tool_is_still_its_function() -> None:
    assert book("mon", [])["unit"] == "C"
    assert book.__doc__ is not None
    named = tool(name="other", description="Else.", timeout_s=2.0, on_interrupt="cancel")(book.function)
    assert (named.name, named.description, named.timeout_s, named.on_interrupt) == ("other", "Else.", 2.0, "cancel")


def test_pydantic_models_and_enums() -> None:
    def host(party: Party, colour: Colour = Colour.RED) -> list[str]:
        assert isinstance(party, Party)
        assert isinstance(colour, Colour)
        return [guest.name for guest in party.guests] + [colour.value]

    made = Tool(host)
    guest = made.parameters["properties"]["party"]["properties"]["guests"]["items"]
    assert guest["properties"]["name"]["minLength"] == 2
    assert made.parameters["properties"]["colour"]["enum"] == ["blue", "red"]
    values = made.convert({"party": {"guests": [{"name": "Ada"}]}, "colour": "blue"})
    assert host(**values) == ["Ada", "blue"]
    with pytest.raises(ToolError, match="at least 2 characters"):
        made.convert({"party": {"guests": [{"name": "A"}]}})


def test_limits_of_parameters_hold() -> None:
    @tool
    def book(
        seats: Annotated[int, Field(ge=1, le=5, description="how many")],
        name: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")] = "me",
        row: Annotated[int | None, Field(gt=0)] = None,
    ) -> None: ...

    properties = book.parameters["properties"]
    assert properties["seats"] == {"type": "integer", "minimum": 1, "maximum": 5, "description": "how many"}
    assert (properties["name"]["minLength"], properties["name"]["pattern"]) == (2, "^[a-z]+$")
    assert book.convert({"seats": 5, "name": "ab", "row": None}) == {"seats": 5, "name": "ab", "row": None}
    for wrong in ({"seats": 9}, {"seats": 1, "name": "a"}, {"seats": 1, "name": "A1"}, {"seats": 1, "row": 0}):
        with pytest.raises(ToolError, match="wrong arguments for book"):
            book.convert(wrong)


def test_recursive_types_end_somewhere() -> None:
    made = Tool(_climb)
    assert made.parameters["properties"]["tree"]["properties"]["children"]["items"]["type"] == "object"


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree]


def _climb(tree: Tree) -> str:
    return tree.name


def test_what_cannot_be_a_tool_says_why() -> None:
    def starred(*values: int) -> None: ...
    def keywords(**values: int) -> None: ...
    def strange(lock: threading.Thread) -> None: ...
    def unknown(value: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def method(self: Any, value: int) -> None: ...

    for function, reason in (
        (starred, "cannot be called by name"),
        (keywords, "cannot be called by name"),
        (strange, "Thread is not a type of JSON"),
        (unknown, "NoSuchType"),
        (method, "bound method"),
    ):
        with pytest.raises(TypeError, match=reason):
            Tool(function)
    with pytest.raises(ValueError, match="tool name"):
        tool(name="has space")(book.function)
    with pytest.raises(ValueError, match="timeout_s"):
        tool(timeout_s=0)(book.function)
    with pytest.raises(ValueError, match="two tools are named 'book'"):
        Toolbox([book, book])
    with pytest.raises(TypeError, match="not int"):
        Toolbox([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="needs a name"):
        Toolbox([{"type": "function"}])


def test_bound_methods_are_tools() -> None:
    class Counter:
        def __init__(self) -> None:
            self.total = 0

        def add(self, number: int) -> int:
            """Add."""
            self.total += number
            return self.total

    made = Tool(Counter().add)
    assert list(made.parameters["properties"]) == ["number"]
    assert made(3) == 3


async def test_results_are_text() -> None:
    async def thinks(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    def says(what: str) -> str:
        return what

    box = Toolbox([thinks, says, book])
    assert await box.call("says", {"what": "plain"}) == "plain"
    assert await box.call("thinks", {"value": None}) == "null"
    assert await box.call("thinks", {"value": {"a": [1, 2.5]}}) == '{"a":[1,2.5]}'
    text = await box.call("book", {"day": "mon", "points": [{"x": "1.5"}], "extra": {"n": 1}})
    assert text == '{"day":"mon","points":[{"x":1.5,"y":0.0}],"unit":"C","note":null,"extra":{"n":1}}'


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "missing required field `day`"),
        ({"day": "mon", "points": [], "what": 2}, "unknown field `what`"),
        ({"day": "mon", "points": [{"x": "far"}]}, r"\$\.points\[0\]\.x"),
        ({"day": "mon", "points": [], "unit": "K"}, "Invalid enum value 'K'"),
        ({"day": None, "points": []}, "Expected `str`, got `null`"),
    ],
)
async def test_wrong_arguments_name_the_field(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        await Toolbox([book]).call("book", arguments)


async def test_everything_that_goes_wrong_is_a_tool_error() -> None:
    def raises() -> None:
        raise KeyError("gone")

    async def raises_later() -> None:
        raise ToolError("ask again tomorrow")

    def stops() -> None:
        raise StopIteration

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    def odd() -> object:
        return threading.Lock()

    def endless() -> list[Any]:
        circle: list[Any] = []
        circle.append(circle)
        return circle

    def huge() -> str:
        return "x" * 2000

    def chatty() -> None:
        raise ValueError("y" * 100_000)

    box = Toolbox([raises, raises_later, stops, cancels_itself, odd, endless, huge, chatty], result_bytes=1000)
    for name, reason in (
        ("raises", "raises failed: KeyError: 'gone'"),
        ("raises_later", "^ask again tomorrow$"),
        ("stops", "StopIteration"),
        ("cancels_itself", "cancelled itself"),
        ("odd", "returned a lock that is not JSON"),
        ("endless", "returned a list that is not JSON"),
        ("huge", "2000 bytes, more than the 1000"),
        ("nobody", "no tool named 'nobody'; there are: cancels_itself, chatty"),
    ):
        with pytest.raises(ToolError, match=reason):
            await box.call(name, {})
    with pytest.raises(ToolError) as told:
        await box.call("chatty", {})
    assert len(str(told.value)) <= module.MESSAGE_CHARACTERS


async def test_time_limits_hold_for_what_never_returns() -> None:
    release = threading.Event()

    def blocks() -> None:
        release.wait(30)

    @tool(timeout_s=0.05)
    async def refuses_to_end() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    box = Toolbox([blocks, refuses_to_end], timeout_s=0.1)
    try:
        for name, limit in (("blocks", "0.1"), ("refuses_to_end", "0.05")):
            with pytest.raises(ToolError, match=f"{name} did not return within {limit} seconds"):
                await box.call(name, {})
    finally:
        release.set()
    for _ in range(200):
        if not box._abandoned:
            break
        await asyncio.sleep(0.01)
    assert not box._abandoned


async def test_synchronous_tools_do_not_block_the_loop_and_keep_their_context() -> None:
    loop, begun, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    caller = contextvars.ContextVar("caller", default="nobody")

    def waits() -> str:
        loop.call_soon_threadsafe(begun.set)
        assert release.wait(10)
        return caller.get()

    caller.set("the test")
    call = asyncio.create_task(Toolbox([waits]).call("waits", {}))
    await begun.wait()
    release.set()
    assert await call == "the test"


async def test_threads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_threads", threading.BoundedSemaphore(1))
    release = threading.Event()
    box = Toolbox([Tool(_waits(release), name="waits")])
    first = asyncio.create_task(box.call("waits", {}))
    await asyncio.sleep(0.05)
    with pytest.raises(ToolError, match="tools are still running"):
        await box.call("waits", {})
    release.set()
    assert await first == "null"
    assert await box.call("waits", {}) == "null"


def _waits(event: threading.Event) -> Any:
    def waits() -> None:
        assert event.wait(10)

    return waits


async def test_generators_tell_their_progress() -> None:
    async def searches(count: int) -> AsyncIterator[str]:
        for number in range(count):
            yield f"page {number}"

    def computes() -> Iterator[int]:
        yield 25
        yield 75

    def reports() -> Generator[str, None, dict[str, int]]:
        yield "half"
        return {"total": 7}

    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("midway")

    box = Toolbox([searches, computes, reports, breaks])
    told: list[object] = []
    assert await box.call("searches", {"count": 2}, told.append) == "page 1"
    assert await box.call("searches", {"count": 0}, told.append) == "null"
    assert await box.call("computes", {}, told.append) == "75"
    assert await box.call("computes", {}) == "75"
    assert await box.call("reports", {}, told.append) == '{"total":7}'
    with pytest.raises(ToolError, match="midway"):
        await box.call("breaks", {}, told.append)
    assert told == ["page 0", "page 1", 25, 75, "half", 1]


async def test_cancelling_a_call_cancels_the_tool() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    call = asyncio.create_task(Toolbox([slow]).call("slow", {}))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        await ended.wait()


async def test_thread_that_outlives_its_loop_harms_nothing() -> None:
    def lingers() -> None:
        time.sleep(0.2)

    def run() -> None:
        async def call() -> None:
            with pytest.raises(ToolError):
                await Toolbox([lingers], timeout_s=0.01).call("lingers", {})

        asyncio.run(call())

    await asyncio.to_thread(run)
    await asyncio.sleep(0.3)


async def test_what_a_tool_raises_is_logged_for_the_developer(caplog: pytest.LogCaptureFixture) -> None:
    def breaks() -> None:
        raise KeyError("gone")

    def refuses() -> None:
        raise ToolError("ask again tomorrow")

    for function in (breaks, refuses):
        with pytest.raises(ToolError):
            await Toolbox([function]).call(function.__name__, {})
    (record,) = caplog.records
    assert record.getMessage() == "tool breaks failed"
    assert record.exc_info is not None
