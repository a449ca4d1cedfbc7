"""The model for Strands' first bidirectional releases, `strands.experimental.bidi`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime_core import base64
from realtime_voice.strands.convert import ToWire
from realtime_voice.strands.experimental.names import (
    BidiAudioInputEvent,
    BidiConnectionStartEvent,
    BidiImageInputEvent,
    BidiModelTimeoutError,
    BidiTextInputEvent,
    ToolResultEvent,
)
from realtime_voice.strands.experimental.translate import Translator
from realtime_voice.strands.history import new_id, output_items
from realtime_voice.strands.model import RealtimeModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_voice.strands.convert import FromWire
    from realtime_voice.strands.model import Connection


class WireAudio(BidiAudioInputEvent):  # type: ignore[misc]  # a class of Any
    """Audio that is on the wire's format already, from an audio I/O of ours; the model sends it as it is."""


class BidiOpenAIRealtimeModel(RealtimeModel):
    """A Realtime model on a `Session` of this project; its settings are `RealtimeModel`'s."""

    def __init__(self, model_id: str = "gpt-realtime", *configs: Any, **settings: Any) -> None:
        super().__init__(model_id, *configs, **settings)
        stream_in, stream_out = self._streams
        self.config: dict[str, Any] = {
            "audio": {
                "input_rate": stream_in["sample_rate"],
                "output_rate": stream_out["sample_rate"],
                "channels": stream_in["channels"],
                "format": "pcm",
                "voice": self._audio.voice,
            },
            "inference": self._config["params"] or {},
        }
        """Where the agent's audio I/O looks up the formats."""
        self._renewing = False
        self._other_streams: dict[tuple[Connection, int, int], ToWire] = {}

    @property
    def model_id(self) -> str:
        """The model's name."""
        return str(self._config["model_id"])

    # Connection

    async def start(
        self,
        system_prompt: str | None = None,
        tools: list[Any] | None = None,
        messages: Iterable[Any] | None = None,
        *,
        renewal: bool = False,
        **kwargs: Any,
    ) -> None:
        """Connect, configure the session and tell it what was said before.

        The agent renews a connection by `stop` and `start` with ``renewal``: an endpoint that cannot be reached is
        tried again, and results of tools that still run go to the new connection.

        Raises:
            RuntimeError: The model is started already.
            RealtimeError: The connection failed; see `RealtimeModel.start`.
        """
        self._other_streams.clear()
        self._renewing = False
        if renewal:
            await self._renew(system_prompt, tools, messages)
        else:
            await super().start(system_prompt, tools, messages, **kwargs)

    async def stop(self) -> None:
        """End the connection; more calls do nothing."""
        if not self._renewing:
            await super().stop()
            return
        self._standing.clear()
        if self._connection is not None:
            self._left, self._connection = self._connection, None
            await self._left.session.stop()

    def _translator(self, converter: FromWire, *, transcription: bool) -> Translator:
        del transcription  # what is not asked for does not come
        return Translator(self._streams[1], converter)

    def _started(self, connection_id: str) -> Any:
        return BidiConnectionStartEvent(connection_id=connection_id, model=self.model_id)

    def _timeout(self, message: str) -> Exception:
        self._renewing = True
        error: Exception = BidiModelTimeoutError(message, renewal=True)
        return error

    # Conversation

    async def send(self, content: Any) -> None:
        """Send audio, text, an image, or the result of a tool.

        Text is answered once the model is free to; an image waits for the text that asks about it.

        Where the session has ended it waits for the next one.

        Raises:
            RuntimeError: The model is not started.
            ValueError: The content is nothing the model takes; then nothing of it is sent.
            RealtimeError: The session has ended, and nobody has renewed it within a minute.
        """
        first = self._present()
        await self._on_connection(lambda connection: self._send(connection, content, again=connection is not first))

    async def _send(self, connection: Connection, content: Any, *, again: bool) -> None:
        if isinstance(content, BidiAudioInputEvent):
            audio = base64.decode(content["audio"])
            if not isinstance(content, WireAudio):
                audio = self._to_wire(connection, content).convert(content["format"], audio)
            await self._send_audio(connection, audio)
        elif isinstance(content, BidiTextInputEvent):
            item = _message(content["role"], content["text"])
            if again and connection.was_told(item):
                await connection.session.create_response()
            else:
                await connection.session.send_item(item, respond=True)
        elif isinstance(content, BidiImageInputEvent):
            url = f"data:{content['mime_type']};base64,{content['image']}"
            part = {"type": "input_image", "image_url": url}
            await connection.session.send_item({"type": "message", "role": "user", "content": [part]})
        elif isinstance(content, ToolResultEvent):
            result = content["tool_result"]
            *images, output = output_items(result["toolUseId"], result.get("content", []))
            if images and not connection.has_output(result["toolUseId"]):
                await connection.session.send_item(images[0])
            await self._answer_call(connection, result["toolUseId"], output["output"])
        else:
            raise ValueError(  # noqa: TRY004 - what Strands' models raise
                f"content_type=<{type(content).__name__}> | send a Bidi...InputEvent or a ToolResultEvent"
            )

    def _to_wire(self, connection: Connection, content: Any) -> ToWire:
        """Return the converter for the rate and channels of the audio: the model's, or what the event says."""
        given = int(content["sample_rate"]), int(content["channels"])
        stream = self._streams[0]
        if content["format"] != "pcm" or given == (stream["sample_rate"], stream["channels"]):
            return connection.to_wire
        if (connection, *given) not in self._other_streams:
            self._other_streams[connection, given[0], given[1]] = ToWire(*given, self.wires[0])
        return self._other_streams[connection, given[0], given[1]]


def _message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"id": new_id(), "type": "message", "role": role, "content": [{"type": kind, "text": text}]}
