"""A mind that follows a script: when the user says or does this, answer, call, wait or fail.

Deterministic and without memory: what a rule decides from is the conversation alone, so one script serves any number of
sessions. In a file (YAML or JSON) a script reads

    rules:
      - says: weather in (?P<city>[a-z ]+)
        do:
          - call: {name: get_weather, arguments: {city: "{city}"}}
      - result: get_weather
        do:
          - say: "It is {result}."
      - do:
          - say: "You said {said}."
    mcp:
      docs:
        - {name: search, output: "Nothing found."}

Hosted MCP tools are called as functions are; `mcp` says what the servers have that a session names by their label.
"""

import json
import re
import runpy
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from realtime_voice.events import Item
from realtime_voice.server import numerals
from realtime_voice.server.assistant import result_text
from realtime_voice.server.conversation import text_of
from realtime_voice.server.interfaces import Call, Context, Fail, Json, Say, Step, Wait
from realtime_voice.server.mcp import McpFailure, McpServers, McpTool

MAX_WAIT_S = 3600.0
_FIELD = re.compile(r"\{(\w+)\}")


class Turn(msgspec.Struct, frozen=True):
    """What the user has said or done last."""

    number: int
    """Messages of the user so far."""
    said: str = ""
    """What the last one says, or how it was understood."""
    image: bool = False
    """Whether it shows an image."""
    tool: str | None = None
    """The function whose result has come after it."""
    result: str = ""
    """That result as text."""

    @property
    def fields(self) -> dict[str, str]:
        """What may stand in braces in a step, beside the groups of `says`."""
        return {"said": self.said, "tool": self.tool or "", "result": self.result, "turn": str(self.number)}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When all conditions that are given hold, do the steps in order. The first rule that fits is followed.

    In texts and arguments "{name}" stands for a group of `says`, `said`, `result`, `tool` or `turn`; an argument
    becomes what the tool's schema wants: a number from "forty two" as from "42", true from "yes".
    """

    says: str | None = None
    """A regular expression to be found in what the user says, upper or lower case."""
    result: str | None = None
    """The result of this function has come (a regular expression for its whole name)."""
    image: bool | None = None
    """The user shows an image, or does not."""
    starts: bool | None = None
    """Nobody has said anything yet, and an answer is asked for."""
    silent: bool | None = None
    """The user's turn was empty or not understood (a spoken one), or was not."""
    turn: int | None = None
    """It is the user's message of this number, counted from 1."""
    do: Sequence[Step] | Callable[[Turn], Iterable[Step]] = ()
    """The steps, or what makes them."""

    def match(self, turn: Turn) -> dict[str, str] | None:
        """Return the fields for the steps when the rule fits, else None."""
        said = re.search(self.says, turn.said, re.IGNORECASE) if self.says is not None else None
        holds = (
            (self.says is None or (said is not None and turn.tool is None))
            and (turn.tool is not None and re.fullmatch(self.result, turn.tool) is not None if self.result else True)
            and self.image in (None, turn.image)
            and self.starts in (None, turn.number == 0 and turn.tool is None)
            and self.silent in (None, turn.number > 0 and turn.tool is None and not turn.said and not turn.image)
            and self.turn in (None, turn.number)
        )
        if not holds:
            return None
        groups = {key: text or "" for key, text in said.groupdict().items()} if said is not None else {}
        numbered = {str(index): text or "" for index, text in enumerate(said.groups(), 1)} if said is not None else {}
        return {**turn.fields, **numbered, **groups}


class Scripted:
    """A Brain that follows rules. A turn that none fits is answered with nothing: a response without output."""

    def __init__(self, rules: Iterable[Rule], mcp: McpServers | None = None) -> None:
        """Take the rules, and MCP servers by label. Raises ValueError for a regular expression that is none."""
        self.mcp: McpServers = mcp or {}
        self.rules = list(rules)
        for number, rule in enumerate(self.rules, 1):
            for pattern in (rule.says, rule.result):
                try:
                    re.compile(pattern or "")
                except re.error as error:
                    raise ValueError(f"rule {number}: {pattern!r} is no regular expression: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a script: YAML or JSON with `rules`, or a Python file that defines a list of Rule called `rules`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not a script; the message says where it is wrong.
            ImportError: YAML needs PyYAML; the message names the extra to install.

        """
        path = Path(path)
        if path.suffix == ".py":
            return cls._of_python(path)
        data = path.read_bytes()
        try:
            script = _decode(data, path.suffix)
            servers = {label: [tool.tool() for tool in tools] for label, tools in script.mcp.items()}
            return cls([rule.rule() for rule in script.rules], servers)
        except (msgspec.DecodeError, ValueError) as error:  # ValidationError is a DecodeError
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def _of_python(cls, path: Path) -> Self:
        rules = runpy.run_path(str(path)).get("rules")
        if not isinstance(rules, Sequence) or not all(isinstance(rule, Rule) for rule in rules):
            raise ValueError(f"{path}: expected a list of realtime_voice.server.Rule called 'rules'")
        return cls(rules)

    async def respond(self, context: Context) -> AsyncGenerator[Step]:
        """Yield the steps of the first rule that fits."""
        turn = turn_of(context.items)
        for rule in self.rules:
            fields = rule.match(turn)
            if fields is not None:
                for step in rule.do(turn) if callable(rule.do) else rule.do:
                    yield _filled(step, fields, context.tools)
                return


def turn_of(items: Sequence[Item]) -> Turn:
    """Return what the user has said or done last in a conversation."""
    users = [item for item in items if item.role == "user"]
    said, image = "", False
    if users:
        parts = users[-1].content or []
        said = " ".join(filter(None, map(text_of, parts)))
        image = any(part.type == "input_image" for part in parts)
    last = items[-1] if items else None
    if last is None or last.type != "function_call_output":
        return Turn(len(users), said, image)
    called = (item for item in reversed(items) if item.type == "function_call" and item.call_id == last.call_id)
    call = next(called, None)
    return Turn(len(users), said, image, call.name if call is not None else "", result_text(last.output or ""))


# --- steps ------------------------------------------------------------------------------------------------------------


def _filled(step: Step, fields: Mapping[str, str], tools: Sequence[Json]) -> Step:
    match step:
        case Say(text):
            return Say(_fill(text, fields))
        case Call(name, arguments):
            return Call(name, _arguments(name, arguments, fields, tools))
        case Fail(code, message):
            return Fail(code, _fill(message, fields))
    return step


def _fill(text: str, fields: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: fields.get(match[1], match[0]), text)


def _arguments(
    name: str, arguments: Mapping[str, Any], fields: Mapping[str, str], tools: Sequence[Json]
) -> dict[str, Any]:
    tool = next((tool for tool in tools if tool.get("name") == name), {})
    properties = (tool.get("parameters") or {}).get("properties") or {}

    def filled(value: Any, schema: Mapping[str, Any]) -> Any:
        if isinstance(value, str):
            text = _fill(value, fields)
            return text if text == value else converted(text, schema)
        if isinstance(value, Mapping):
            inner = schema.get("properties") or {}
            return {key: filled(item, inner.get(key) or {}) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [filled(item, schema.get("items") or {}) for item in value]
        return value

    return {key: filled(value, properties.get(key) or {}) for key, value in arguments.items()}


def converted(text: str, schema: Mapping[str, Any]) -> Any:
    """Return what was said as what a property of a JSON schema wants; as it is where it cannot be that."""
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        words = text.lower().replace("-", " ").split()
        value, end = numerals.parse(words)
        if value is not None and end == len(words):
            return value
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text) if "." in text else int(text)
    if kind == "boolean" and text.lower() in {"yes", "on", "true", "no", "off", "false"}:
        return text.lower() in {"yes", "on", "true"}
    return next((choice for choice in schema.get("enum") or () if str(choice).lower() == text.lower()), text)


# --- a script in a file -----------------------------------------------------------------------------------------------


class _Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] = {}


class _Fail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str = "server_error"
    message: str = "The script says so."


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    say: str | int | float | None = None
    call: _Call | str | None = None
    wait: float | None = None
    fail: _Fail | None = None

    def step(self) -> Step:
        given = [key for key in self.__struct_fields__ if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"a step is one of say, call, wait and fail, not {' and '.join(given) or 'nothing'}")
        if self.say is not None:
            return Say(str(self.say))
        if self.call is not None:
            call = _Call(self.call) if isinstance(self.call, str) else self.call
            return Call(call.name, call.arguments)
        if self.wait is not None:
            if not 0 <= self.wait <= MAX_WAIT_S:
                raise ValueError(f"wait must be from 0 to {MAX_WAIT_S:.0f} seconds, not {self.wait}")
            return Wait(self.wait)
        failure = self.fail or _Fail()
        return Fail(failure.code, failure.message)


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    says: str | None = None
    result: str | None = None
    image: bool | None = None
    starts: bool | None = None
    silent: bool | None = None
    turn: int | None = None
    do: list[_Step] = []

    def rule(self) -> Rule:
        conditions = {key: getattr(self, key) for key in self.__struct_fields__ if key != "do"}
        return Rule(do=[step.step() for step in self.do], **conditions)


class _McpFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    type: Literal["tool_execution_error", "protocol_error", "http_error"] = "tool_execution_error"
    code: int = 0


class _McpTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    output: str = ""
    fail: _McpFailure | None = None
    description: str = ""
    input_schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    wait: float = 0.0

    def tool(self) -> McpTool:
        failure = McpFailure(self.fail.message, self.fail.type, self.fail.code) if self.fail is not None else None
        return McpTool(self.name, failure or self.output, self.description, self.input_schema, self.wait)


class _Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[_Rule]
    mcp: dict[str, list[_McpTool]] = {}


def _decode(data: bytes, suffix: str) -> _Script:
    if suffix == ".json":
        return msgspec.convert(json.loads(data), _Script)
    try:
        return msgspec.yaml.decode(data, type=_Script)
    except ImportError as error:
        raise ImportError('a script in YAML needs PyYAML: pip install "realtime-core[local]"') from error
