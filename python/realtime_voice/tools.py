"""Functions that the agent may call: `@tool` reads type hints and docstring, Toolbox runs them safely.

::

    @tool
    async def weather(city: Annotated[str, "name of a city"], unit: Literal["C", "F"] = "C") -> dict:
        "Current weather of a city."

Arguments are checked and converted to the hinted types before the function runs. Whatever goes wrong becomes a
ToolError whose text the model gets, so that it can say so or try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import inspect
import logging
import re
import textwrap
import threading
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, overload

import msgspec

from realtime_voice.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    Progress: TypeAlias = Callable[[Any], object]
    ToolLike: TypeAlias = "Tool | Callable[..., Any] | Mapping[str, Any]"

TOOL_TIMEOUT_S: Final = 30.0
RESULT_BYTES: Final = 64 * 1024
THREADS: Final = 32
"""How many synchronous tools may run at once in a process; one that never returns keeps its place."""
MESSAGE_CHARACTERS: Final = 1000
_logger = logging.getLogger("realtime_voice.tools")
OnInterrupt: TypeAlias = Literal["finish", "cancel"]
"""What a user's interruption does to a running tool."""

_LIMITS: Final = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Tool:
    """A function with the schema that the model sees. Calling it calls the function."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float | None = None,
        on_interrupt: OnInterrupt = "finish",
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = str(name or getattr(function, "__name__", ""))
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"tool name {self.name!r}: letters, digits, _ and - only, 1 to 64 of them")
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s of tool {self.name} must be above 0, got {timeout_s}")
        self.timeout_s = timeout_s
        self.on_interrupt: OnInterrupt = on_interrupt
        text, descriptions = _read_docstring(inspect.getdoc(function) or "")
        self.description = text if description is None else description
        self._arguments = _arguments_type(self.name, function, descriptions)
        self.parameters: dict[str, Any] = _schema(self.name, self._arguments, function)
        """JSON schema of the arguments."""

    @property
    def config(self) -> dict[str, Any]:
        """The tool as session.update wants it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def convert(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check arguments against the hints; returns those given, converted. Raises ToolError that names the field."""
        try:
            converted = msgspec.convert(arguments, self._arguments, strict=False, dec_hook=_decode_custom)
        except msgspec.ValidationError as error:
            raise ToolError(f"wrong arguments for {self.name}: {error}") from None
        _complete(converted)
        values = ((name, getattr(converted, name)) for name in self._arguments.__struct_fields__)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    async def run(self, arguments: Mapping[str, Any], progress: Progress | None = None) -> Any:
        """Call the function, in a thread unless it is a coroutine function. Raises what it raises, or ToolError.

        What a generator yields goes to `progress` at once; its last value (or what a synchronous one returns) is the
        result.
        """
        call = functools.partial(self.function, **self.convert(arguments))
        tell: Progress = progress or _nobody
        if inspect.isasyncgenfunction(self.function):
            value = None
            async for value in call():
                tell(value)
            return value
        if inspect.iscoroutinefunction(self.function):
            return await call()
        if inspect.isgeneratorfunction(self.function):
            loop = asyncio.get_running_loop()
            call = functools.partial(_exhaust, call, lambda value: loop.call_soon_threadsafe(tell, value))
        result = await _in_thread(call, self.name)
        return await result if inspect.isawaitable(result) else result


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    on_interrupt: OnInterrupt = "finish",
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool, by its type hints and docstring.

    `timeout_s` replaces the session's time limit; `on_interrupt="cancel"` stops it when the user interrupts.
    Raises TypeError for parameters that have no JSON form.
    """
    return functools.partial(Tool, **options) if function is None else Tool(function)


class Toolbox:
    """The tools of a session by name: functions that it runs, and schemas that the application answers itself.

    `timeout_s` bounds each call, `result_bytes` what the model gets of a result. Raises ValueError for two tools with
    one name, TypeError for what is no tool.
    """

    def __init__(
        self, tools: Iterable[ToolLike] = (), *, timeout_s: float = TOOL_TIMEOUT_S, result_bytes: int = RESULT_BYTES
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"tool_timeout_s must be above 0, got {timeout_s}")
        if not result_bytes > 0:
            raise ValueError(f"tool_result_bytes must be above 0, got {result_bytes}")
        self.timeout_s = timeout_s
        self.result_bytes = result_bytes
        self.configs: list[dict[str, Any]] = []
        """All tools as session.update wants them."""
        self._tools: dict[str, Tool] = {}
        self._abandoned: set[asyncio.Task[Any]] = set()
        names: set[str] = set()
        for entry in tools:
            config = self._add(entry)
            name = config.get("name") or config.get("server_label")
            if name in names:
                raise ValueError(f"two tools are named {name!r}")
            names.add(str(name))
            self.configs.append(config)

    def _add(self, entry: ToolLike) -> dict[str, Any]:
        if isinstance(entry, dict):
            if entry.get("type", "function") == "function" and not _NAME.fullmatch(str(entry.get("name") or "")):
                raise ValueError("a tool given as a schema needs a name of letters, digits, _ and -")
            return {"type": "function", **entry}
        if not isinstance(entry, Tool):
            if not callable(entry):
                raise TypeError(f"a tool is a function or a schema (dict), not {type(entry).__name__}")
            entry = Tool(entry)
        self._tools[entry.name] = entry
        return entry.config

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def leaves(self, name: str) -> bool:
        """Whether a call is the application's to answer: of a tool given as a schema; any, if none is a function."""
        if name in self._tools:
            return False
        return not self._tools or any(config.get("name") == name for config in self.configs)

    async def call(self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None) -> str:
        """Run a tool; returns its result as the text that the model gets (strings as they are, the rest as JSON).

        `progress` is called with what a generator yields, in the loop's thread.

        Raises ToolError for everything that can go wrong: unknown name, wrong arguments, an exception in the tool,
        time limit, a result without a JSON form or over the size limit. Cancelling cancels the tool.
        """
        if name not in self._tools:
            raise ToolError(f"there is no tool named {name!r}; there are: {', '.join(sorted(self._tools)) or 'none'}")
        chosen = self._tools[name]
        timeout_s = self.timeout_s if chosen.timeout_s is None else chosen.timeout_s
        task = asyncio.ensure_future(chosen.run(arguments, progress))
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():  # not awaited: a tool may refuse to be cancelled
                self._abandon(task)
        if not done:
            raise ToolError(f"{name} did not return within {timeout_s:g} seconds")
        return self._text(name, _result(name, task))

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it any more

    def _text(self, name: str, result: object) -> str:
        if isinstance(result, str):
            text = result
        else:
            try:
                text = msgspec.json.encode(result, enc_hook=_encode_custom).decode()
            except Exception as error:  # noqa: BLE001  whatever a value's conversion raises
                raise ToolError(f"{name} returned a {type(result).__name__} that is not JSON: {error}") from None
        size = len(text.encode("utf-8", "replace"))
        if size > self.result_bytes:
            raise ToolError(f"the result of {name} has {size} bytes, more than the {self.result_bytes} allowed")
        return text


def _result(name: str, task: asyncio.Task[Any]) -> Any:
    if task.cancelled():
        raise ToolError(f"{name} cancelled itself")
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error  # KeyboardInterrupt and its kind are not the model's business
    if isinstance(error, ToolError):
        raise ToolError(str(error)[:MESSAGE_CHARACTERS]) from error
    _logger.warning("tool %s failed", name, exc_info=error)
    raise ToolError(f"{name} failed: {type(error).__name__}: {error}"[:MESSAGE_CHARACTERS]) from error


# --- threads ----------------------------------------------------------------------------------------------------------

_threads = threading.BoundedSemaphore(THREADS)


def _nobody(_value: object) -> None:
    """Take progress that nobody asked for."""


def _exhaust(generate: Callable[[], Iterator[Any]], tell: Callable[[Any], object]) -> Any:
    """Run a generator to its end, telling each value; returns what it returns, else its last value."""
    values, value = generate(), None
    while True:
        try:
            value = next(values)
        except StopIteration as end:
            return value if end.value is None else end.value
        tell(value)


def _in_thread(function: Callable[[], Any], name: str) -> Awaitable[Any]:
    """Run a function in a daemon thread, which an exit of the process does not wait for."""
    if not _threads.acquire(blocking=False):
        raise ToolError(f"{name} was not started: {THREADS} tools are still running")
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            future.set_exception(ToolError(f"{name} raised StopIteration"))
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(function)
        except BaseException as raised:  # noqa: BLE001  it goes to who waits
            error = raised
        finally:
            _threads.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name=f"tool {name}", daemon=True).start()
    return future


# --- schema -----------------------------------------------------------------------------------------------------------


def _arguments_type(name: str, function: Callable[..., Any], descriptions: Mapping[str, str]) -> type[msgspec.Struct]:
    """Make the struct that a call's arguments are converted to."""
    # Only the parameters: what a function returns may be named for type checkers alone.
    annotations = {key: hint for key, hint in inspect.get_annotations(function).items() if key != "return"}
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hints = typing.get_type_hints(
            types.SimpleNamespace(__annotations__=annotations), globalns=scope, include_extras=True
        )
    except Exception as error:  # noqa: BLE001  whatever a hint's evaluation raises
        raise TypeError(f"the type hints of tool {name} cannot be resolved: {error}") from None
    fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(f"tool {name}: parameter {parameter} cannot be called by name")
        if parameter.name == "self":
            raise TypeError(f"tool {name} is a method: decorate the bound method, as in tool(thing.{name})")
        hint = _described(hints.get(parameter.name, Any), descriptions.get(parameter.name))
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            # Union, because a hint may be a special form that has no | operator.
            fields.append((parameter.name, typing.Union[hint, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _described(hint: Any, description: str | None) -> Any:
    """Give a hint the description of its Annotated string (or field), else the docstring's, and a field's limits."""
    limits: dict[str, Any] = {}
    if typing.get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            text = extra if isinstance(extra, str) else getattr(extra, "description", None)
            if isinstance(text, str):
                description = text
            for source in (extra, *getattr(extra, "metadata", ())):
                limits |= {name: limit for name in _LIMITS if (limit := getattr(source, name, None)) is not None}
    if limits:
        hint = _limited(hint, msgspec.Meta(**limits))
    return Annotated[hint, msgspec.Meta(description=description)] if description else hint


def _limited(hint: Any, limits: msgspec.Meta) -> Any:
    """Give a hint limits; of a union its members have them, except None."""
    bare = hint.__origin__ if typing.get_origin(hint) is Annotated else hint
    if typing.get_origin(bare) not in {typing.Union, types.UnionType}:
        return Annotated[hint, limits]
    members = (kind if kind is type(None) else Annotated[kind, limits] for kind in typing.get_args(bare))
    return typing.Union[tuple(members)]  # noqa: UP007


def _schema(name: str, arguments: type[msgspec.Struct], function: Callable[..., Any]) -> dict[str, Any]:
    try:
        (schema,), components = msgspec.json.schema_components(
            [arguments], schema_hook=_schema_of_custom, ref_template="{name}"
        )
    except TypeError as error:
        raise TypeError(f"tool {name}: a parameter has no JSON schema: {error}") from None
    inlined: dict[str, Any] = _inline(schema, components, ())
    inlined.pop("title", None)
    for parameter in inspect.signature(function).parameters.values():
        field = inlined["properties"][parameter.name]
        field.pop("default", None)
        if parameter.default is not parameter.empty and parameter.default is not None:
            try:
                field["default"] = msgspec.to_builtins(parameter.default)
            except TypeError:
                continue  # a default that the model cannot be told is still the function's
    return inlined


def _inline(schema: Any, components: Mapping[str, Any], inside: Sequence[str]) -> Any:
    """Put referenced schemas where they are used: not every model server follows references."""
    if isinstance(schema, list):
        return [_inline(item, components, inside) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference in components:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if reference in inside:
            return {"type": "object", **rest}  # a type that holds itself: the depth has to end somewhere
        found = _inline(components[reference], components, (*inside, reference))
        return {**found, **rest}
    return {key: _inline(value, components, inside) for key, value in schema.items()}


def _complete(value: Any) -> None:
    """Give converted dataclasses their defaults as attributes of their own; as the class's, they are not encoded."""
    if isinstance(value, msgspec.Struct):
        inner: Iterable[Any] = (getattr(value, name) for name in value.__struct_fields__)
    elif dataclasses.is_dataclass(value) and hasattr(value, "__dict__"):
        attributes = vars(value)
        for field in dataclasses.fields(value):
            attributes.setdefault(field.name, getattr(value, field.name))
        inner = attributes.values()
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    else:
        return
    for item in inner:
        _complete(item)


def _is_pydantic(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "model_json_schema") and hasattr(hint, "model_validate")


def _schema_of_custom(hint: type) -> dict[str, Any]:
    if not _is_pydantic(hint):
        raise TypeError(f"{getattr(hint, '__name__', hint)} is not a type of JSON")
    schema: dict[str, Any] = hint.model_json_schema(ref_template="{model}")  # type: ignore[attr-defined]
    return dict(_inline(schema, schema.pop("$defs", {}), ()))


def _decode_custom(hint: type, value: object) -> object:
    try:
        return hint.model_validate(value)  # type: ignore[attr-defined]
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _encode_custom(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


# --- docstring --------------------------------------------------------------------------------------------------------

_SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises|yields?|examples?|notes?|see also)\s*:?\s*$", re.IGNORECASE
)
_PARAMETER_SECTIONS = {"args", "arguments", "parameters", "params"}
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")


def _read_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a docstring (Google, NumPy or reST style) into its text and the descriptions of parameters."""
    text: list[str] = []
    found: dict[str, list[str]] = {}
    section, current, indent = "", "", 0
    for line in docstring.splitlines():
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if set(stripped) == {"-"}:
            continue
        if depth == 0 and (heading := _SECTION.match(stripped)):
            section, current = heading[1].lower(), ""
        elif field := _FIELD.match(stripped):
            section, current = "field", field[1]
            found[current] = [field[2]]
        elif stripped.startswith(":") and depth == 0:
            section, current = "field", ""
        elif not section:
            text.append(line)
        elif section in _PARAMETER_SECTIONS and stripped and (not current or depth <= indent):
            entry = _ENTRY.match(stripped)
            current, indent = (entry[1] if entry else ""), depth
            if entry:
                found[current] = [] if depth == 0 else [entry[2]]  # NumPy puts the type there
        elif current and stripped:
            found[current].append(stripped)
    return textwrap.dedent("\n".join(text)).strip(), {name: " ".join(filter(None, v)) for name, v in found.items()}
