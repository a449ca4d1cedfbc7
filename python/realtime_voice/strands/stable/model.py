"""The model for Strands' present releases, `strands.bidi`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping  # noqa: TC003 - Strands reads the annotations at run time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from strands.bidi.models import AudioCapable, AudioConfig, BidiModel, ConnectionTimeoutError
from strands.bidi.types import AudioDelta, BidiConnectionStartEvent, BidiMessage

from realtime_voice.endpoint import Key  # noqa: TC001 - Strands reads the annotations at run time
from realtime_voice.strands import config as options
from realtime_voice.strands.model import Connection, RealtimeModel, check_model_id
from realtime_voice.strands.stable.content import message_items
from realtime_voice.strands.stable.translate import Translator

if TYPE_CHECKING:
    from strands.bidi.models import ConnectionConfig
    from strands.bidi.models.configs import ModelConfig
    from strands.bidi.types import BidiContentDelta
    from strands.types.content import Messages
    from strands.types.tools import ToolSpec

    from realtime_voice.strands.convert import FromWire

_UPDATABLE = ("model_id", "params", "connection")
_CONNECTION = ("restart_after_s", "auto_restart")


@dataclass
class WireAudio(AudioDelta):
    """Audio that is on the wire's format already, from an audio I/O of ours; the model sends it as it is."""


class BidiOpenAIRealtimeModel(RealtimeModel, BidiModel, AudioCapable):
    """A Realtime model on a `Session` of this project; its settings are `RealtimeModel`'s and one more.

    Args:
        connection: ``restart_after_s`` and ``auto_restart``: when the agent renews the connection by plan.

    Raises:
        ValueError: A setting is wrong; the message names the field and what is allowed. Nothing is connected yet.
    """

    def __init__(
        self,
        model_id: str = options.DEFAULT_MODEL,
        provider_config: Mapping[str, Any] | None = None,
        client_config: Mapping[str, Any] | None = None,
        *,
        transcription_model_id: str | None = options.DEFAULT_TRANSCRIPTION,
        api_key: Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout_s: float | None = None,
        voice: str | dict[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        connection: ConnectionConfig | None = None,
    ) -> None:
        super().__init__(
            model_id,
            provider_config,
            client_config,
            transcription_model_id=transcription_model_id,
            api_key=api_key,
            organization=organization,
            project=project,
            timeout_s=timeout_s,
            voice=voice,
            params=params,
        )
        self._config["connection"] = {
            "restart_after_s": int(self.timeout_s) - options.RESTART_MARGIN_S,
            **_connection_config(connection),
        }
        self._audio_config = self._audio_config_now()

    # Configuration

    @property
    def api_key(self) -> Key | None:
        """The key that was given, else ``OPENAI_API_KEY``; None for an endpoint that has its own or needs none."""
        return self._api_key or os.environ.get("OPENAI_API_KEY")

    @property
    def organization(self) -> str | None:
        """OpenAI's organization as it was given, else ``OPENAI_ORGANIZATION``."""
        return self._organization or os.environ.get("OPENAI_ORGANIZATION")

    @property
    def project(self) -> str | None:
        """OpenAI's project as it was given, else ``OPENAI_PROJECT``."""
        return self._project or os.environ.get("OPENAI_PROJECT")

    def get_config(self) -> ModelConfig:
        """Return ``model_id``, ``params`` and ``connection``: the object itself, not a copy."""
        return cast("ModelConfig", self._config)

    def update_config(self, **model_config: Any) -> None:
        """Replace ``model_id``, ``params`` or ``connection``; what belongs to the session holds from the next start.

        Raises:
            ValueError: A value is wrong, or another audio format is chosen while the model is started, for which
                microphone and speaker are open; then nothing is changed.
        """
        unknown = sorted(set(model_config) - set(_UPDATABLE))
        if unknown:
            warnings.warn(f"update_config() does not know {unknown}; it takes {list(_UPDATABLE)}", stacklevel=2)
        check_model_id(model_config.get("model_id", self._config["model_id"]))
        if "connection" in model_config:
            model_config["connection"] = _connection_config(model_config["connection"])
        if "params" in model_config:
            fields = options.session_fields("params", model_config["params"])
            streams = self._resolve_streams(fields)
            if self._connection is not None and options.wires(self._audio, fields) != self.wires:
                raise ValueError("the audio format cannot change while the model is started: stop it first")
            self._streams = streams
            self._audio_config = self._audio_config_now()
        self._config.update(model_config)

    def get_audio_config(self) -> AudioConfig:
        """Return the format of the application's audio, both ways; always PCM16. The object itself, not a copy."""
        return self._audio_config

    def _audio_config_now(self) -> AudioConfig:
        stream_in, stream_out = self._streams
        return cast("AudioConfig", {"input": stream_in, "output": stream_out})

    def _translator(self, converter: FromWire, *, transcription: bool) -> Translator:
        return Translator(
            self.get_audio_config()["output"],
            converter,
            transcription=transcription,
            server_interrupts=options.server_interrupts(self._config["params"] or {}),
        )

    def _started(self, connection_id: str) -> BidiConnectionStartEvent:
        return BidiConnectionStartEvent(connection_id=connection_id, model=self._config["model_id"])

    def _timeout(self, message: str) -> ConnectionTimeoutError:
        return ConnectionTimeoutError(message)

    # Conversation

    async def restart(
        self,
        system_prompt: str | None = None,
        tools: list[ToolSpec] | None = None,
        messages: Messages | None = None,
        **restart_kwargs: Any,
    ) -> None:
        """Replace the connection by a new one that knows the conversation; the old one ends once the new one stands.

        Results of tools that still run go to the new connection.

        Args:
            system_prompt: Instructions to the model.
            tools: The tools it may call.
            messages: What was said before.
            **restart_kwargs: Ignored.

        Raises:
            RealtimeError: The new connection failed; the old one is closed too.
        """
        del restart_kwargs
        await self._renew(system_prompt, tools, messages)

    async def send(self, content: BidiMessage | BidiContentDelta) -> None:
        """Send audio, a message of the user's, or the results of tools.

        A message is answered once the model is free to: when no response is active, the user does not speak and no
        tool is still to answer.

        Where the session has ended it waits for the next one.

        Raises:
            RuntimeError: The model is not started.
            ValueError: The content is nothing the model takes; then nothing of it is sent.
            RealtimeError: The session has ended, and nobody has renewed it within a minute.
        """
        if isinstance(content, AudioDelta):
            await self._on_connection(lambda connection: self._send_delta(connection, content))
        elif isinstance(content, BidiMessage):
            first = self._present()
            await self._on_connection(
                lambda connection: self._send_message(connection, content, again=connection is not first)
            )
        else:
            raise ValueError(f"content_type=<{type(content).__name__}> | send an AudioDelta or a BidiMessage")  # noqa: TRY004

    async def _send_delta(self, connection: Connection, delta: AudioDelta) -> None:
        audio = delta.source.get("bytes")
        if audio is None:
            raise ValueError("audio source must contain bytes for the Realtime API")
        if not isinstance(delta, WireAudio):
            audio = connection.to_wire.convert(delta.format, audio)
        await self._send_audio(connection, audio)

    async def _send_message(self, connection: Connection, message: BidiMessage, *, again: bool) -> None:
        items = message_items(message)
        for item, following in zip(items, [*items[1:], None], strict=True):
            if item["type"] == "function_call_output":
                await self._answer_call(connection, item["call_id"], item["output"])
            elif following is not None:  # the images of a tool's result
                if not connection.has_output(following["call_id"]):
                    await connection.session.send_item(item)
            elif again and connection.was_told(item):
                await connection.session.create_response()
            else:
                await connection.session.send_item(item, respond=True)


def _connection_config(connection: Any) -> dict[str, Any]:
    """Return the restart timing; warn of what is unknown, as Strands does."""
    if connection is None:
        return {}
    if not isinstance(connection, dict):
        raise ValueError(f"connection must be a dict with {' and '.join(_CONNECTION)}, not {connection!r}")  # noqa: TRY004
    unknown = sorted(set(connection) - set(_CONNECTION))
    if unknown:
        warnings.warn(f"connection does not know {unknown}; it takes {list(_CONNECTION)}", stacklevel=3)
    after_s, auto = connection.get("restart_after_s"), connection.get("auto_restart", True)
    if after_s is not None and (not isinstance(after_s, int | float) or isinstance(after_s, bool)):
        raise ValueError(f"connection['restart_after_s'] must be a number of seconds, not {after_s!r}")
    if not isinstance(auto, bool):
        raise ValueError(f"connection['auto_restart'] must be a bool, not {auto!r}")  # noqa: TRY004
    return dict(connection)
