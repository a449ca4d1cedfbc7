"""A mind behind any chat-completions endpoint: the server gives a text model (a local one, say) ears and a voice.

The answer is taken as it is generated and spoken sentence by sentence; when the user interrupts, the request is closed,
so that the model stops generating.
"""

import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from realtime_voice.events import Item
from realtime_voice.server.conversation import text_of
from realtime_voice.server.interfaces import Call, Context, Fail, Json, Say, Step

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 60.0
"""Longest wait for the model's next piece."""
MAX_SENTENCE = 400
"""Characters after which text is spoken though its sentence has not ended."""
MAX_LINE_BYTES = 1024 * 1024
MAX_CALL_BYTES = 1024 * 1024
"""Arguments of one function call."""
MAX_CALLS = 64
SPOKEN = "What you write is spoken: write plain sentences, without lists, headings or emoji."

_SENTENCE_END = re.compile(r"(?<=[.!?:;\u2026])[\"')\]]*(\s+)|(\n+)")
_log = logging.getLogger("realtime_voice.server")


class ChatCompletions:
    """A Brain that asks `{base_url}/chat/completions`, streaming, with the session's functions as tools."""

    def __init__(self, base_url: str, model: str, *, api_key: str | None = None) -> None:
        """Name the endpoint.

        Args:
            base_url: e.g. http://127.0.0.1:11434/v1
            model: the model to ask for there.
            api_key: key to show; never logged.

        Raises:
            ValueError: `base_url` is no http URL, or the model has no name.

        """
        if not re.match(r"https?://[^/]", base_url):
            raise ValueError("the URL of a chat-completions endpoint begins with http:// or https://")
        if not model:
            raise ValueError("the chat-completions endpoint needs the name of a model")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def respond(self, context: Context) -> AsyncGenerator[Step]:
        """Yield the sentences of the model's answer as they come, then the functions it calls."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, read_bufsize=MAX_LINE_BYTES) as http,
                http.post(self._url, json=self._request(context), headers=self._headers) as answer,
            ):
                if answer.status != 200:
                    _log.warning("the chat-completions endpoint answered %d", answer.status)
                    yield Fail(*await _refusal(answer))
                    return
                calls = _Calls()
                text = ""
                async for delta in _deltas(answer.content):
                    calls.add(delta.get("tool_calls") or ())
                    text += delta.get("content") or ""
                    *sentences, text = _sentences(text)
                    for sentence in sentences:
                        yield Say(sentence)
                if text.strip():
                    yield Say(text.strip())
                for step in calls.steps():
                    yield step
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning("the chat-completions endpoint failed: %s", type(error).__name__)
            yield Fail("server_error", f"The chat-completions endpoint failed: {type(error).__name__}.")

    def _request(self, context: Context) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._model, "stream": True, "messages": messages_of(context)}
        functions = [_function(tool) for tool in context.tools if tool.get("type", "function") == "function"]
        if functions and context.tool_choice != "none":
            request["tools"] = functions
            request["tool_choice"] = _choice(context.tool_choice)
        return request


def messages_of(context: Context) -> list[dict[str, Any]]:
    """Return a conversation as chat-completions messages; what the user said is what was understood of it."""
    spoken = [SPOKEN] if context.modality == "audio" else []
    system = "\n".join(filter(None, [context.instructions, *spoken]))
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for item in context.items:
        message = _message(item)
        if message is None:
            continue
        if "tool_calls" in message and messages and "tool_calls" in messages[-1]:
            messages[-1]["tool_calls"] += message["tool_calls"]  # calls of one answer belong into one message
        else:
            messages.append(message)
    return messages


def _message(item: Item) -> dict[str, Any] | None:
    if item.type == "function_call":
        function = {"name": item.name, "arguments": item.arguments or "{}"}
        return {
            "role": "assistant", "content": None,
            "tool_calls": [{"id": item.call_id, "type": "function", "function": function}],
        }  # fmt: skip
    if item.type == "function_call_output":
        return {"role": "tool", "tool_call_id": item.call_id, "content": item.output or ""}
    if item.type != "message":
        return None
    text = " ".join(filter(None, map(text_of, item.content or [])))
    images = [part.image_url for part in item.content or [] if part.type == "input_image"]
    if images:
        shown = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        return {"role": item.role, "content": [{"type": "text", "text": text}, *shown] if text else shown}
    return {"role": item.role, "content": text} if text else None


def _function(tool: Json) -> dict[str, Any]:
    kept = {key: tool[key] for key in ("name", "description", "parameters") if tool.get(key) is not None}
    return {"type": "function", "function": kept}


def _choice(choice: str | Json) -> Any:
    if isinstance(choice, Mapping):
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


async def _refusal(answer: Any) -> tuple[str, str]:
    """Return code and message of an error answer."""
    try:
        error = (await answer.json(content_type=None))["error"]
        return str(error.get("code") or "server_error"), str(error.get("message") or f"HTTP {answer.status}")[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "server_error", f"The chat-completions endpoint answered HTTP {answer.status}."


async def _deltas(content: Any) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the deltas of a stream of server-sent events. Raises ValueError for what is none."""
    async for line in content:
        field, _, data = line.decode().partition(":")
        if field != "data" or not data.strip():
            continue
        if data.strip() == "[DONE]":
            return
        event = json.loads(data)
        if not isinstance(event, dict) or "error" in event:
            raise ValueError("the stream has an error in it")
        for choice in event.get("choices") or ():
            yield choice.get("delta") or {}


def _sentences(text: str) -> list[str]:
    """Split off what may be spoken: whole sentences, then the rest."""
    whole, at = [], 0
    for end in _SENTENCE_END.finditer(text):
        gap = end.lastindex or 0
        whole.append(text[at : end.start(gap)])
        at = end.end(gap)
    rest = text[at:]
    if len(rest) > MAX_SENTENCE:
        kept, _, rest = rest.rpartition(" ") if " " in rest else (rest, "", "")
        whole.append(kept)
    return [*filter(None, map(str.strip, whole)), rest]


class _Calls:
    """Function calls that arrive in pieces."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    def add(self, pieces: Sequence[Mapping[str, Any]]) -> None:
        for piece in pieces:
            index = piece.get("index", len(self._names))
            function = piece.get("function") or {}
            self._names[index] = self._names.get(index, "") or function.get("name") or ""
            self._arguments[index] = self._arguments.get(index, "") + (function.get("arguments") or "")
            if len(self._names) > MAX_CALLS or len(self._arguments[index]) > MAX_CALL_BYTES:
                raise ValueError("too many or too large function calls")

    def steps(self) -> Iterator[Step]:
        for index, name in self._names.items():
            arguments = json.loads(self._arguments[index] or "{}")
            if not isinstance(arguments, dict):
                raise ValueError("arguments of a function call are no object")  # noqa: TRY004  # the endpoint's fault
            yield Call(name, arguments)
