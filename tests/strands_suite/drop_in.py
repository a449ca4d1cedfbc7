"""A pytest plugin for Strands' own tests: our classes in place of theirs, on the sockets and devices they make up.

Only tests of the public interface are kept: those that name nothing that begins with an underscore.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import strands.bidi.io
import strands.bidi.models
from realtime_voice import _socket
from realtime_voice.audio import PushAudioIO, device
from realtime_voice.strands import BidiAudioIO, BidiOpenAIRealtimeModel, BidiSessionEvent, audio_io
from realtime_voice.strands.audio_io import Shared
from strands.bidi.models.openai import realtime

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from realtime_voice.endpoint import Endpoint

NOT_RAISED = pytest.fail.Exception
G711 = "G.711 is spoken on the wire"
FRAMES = "echo control takes its own 10 ms frames out of blocks of any size"
SHOWN = "images and documents in a tool's result are shown, or the model is told that they are not"
ALIGNED = "what was played is aligned with what was captured by construction, however much waits"
ON_PURPOSE: dict[str, tuple[str, type[BaseException]]] = {
    "test__init__rejects_invalid_model_id[model_config0]": (
        "model_id has a default, as in Strands' first releases",
        NOT_RAISED,
    ),
    "test__init__rejects_unsupported_audio_format[audio_format2-": (G711, NOT_RAISED),
    "test__init__rejects_unsupported_audio_format[audio_format3-": (G711, NOT_RAISED),
    "test_update_config_rejects_unsupported_audio_format[audio_format0-": (G711, NOT_RAISED),
    "test_send_all_content_types": ("half a sample is refused: what follows it would be noise", ValueError),
    "test_tool_result_image_content_raises_error": (SHOWN, NOT_RAISED),
    "test_tool_result_document_content_raises_error": (SHOWN, NOT_RAISED),
    "test_connection_edge_cases": (
        "a connection that cannot be closed in order is cut, and stop() returns",
        NOT_RAISED,
    ),
    "test_echo_cancellation_rejects_different_channel_counts": ("the device has channels of its own", NOT_RAISED),
    "test_input_aligns_buffer_to_10ms_when_echo_cancellation_on": (FRAMES, AssertionError),
    "test_output_aligns_buffer_to_10ms_at_output_rate": (FRAMES, AssertionError),
    "test_output_aligns_buffer_to_10ms_matched_rates": (FRAMES, AssertionError),
    "test_frames_per_buffer_rejected_when_ec_on": (FRAMES, NOT_RAISED),
    "test_mic_buffer_rejects_invalid_size_when_ec_on[101]": (ALIGNED, NOT_RAISED),
    "test_mic_buffer_rejects_invalid_size_when_ec_on[9999]": (ALIGNED, NOT_RAISED),
}
"""Tests that want what is otherwise here on purpose, by how their names begin -> why, and how they fail.

docs/strands.md has them too.
"""

COMPLETE = {"item_id": "item", "output_index": 0, "content_index": 0, "audio_start_ms": 0}
"""What the API's events always have, and those of the tests mostly not."""


class MockedSocket:
    """A socket on the mock that stands for the library's, answering the configuration, which the mocks do not."""

    unsent_bytes = 0

    def __init__(self, mock: Any) -> None:
        self._mock = mock
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.wanted = asyncio.Event()
        """Whether `receive` of the model is awaited: Strands' model reads its socket only then."""
        self.received_bytes = 0

    def listen(self, listener: Any) -> None:
        """Take nothing as it arrives: the mock is asked for each message, in `receive`."""

    async def receive(self) -> bytes:
        await asyncio.sleep(0)
        self.received_bytes += 1
        if not self._answers.empty():
            return self._answers.get_nowait()
        answer = asyncio.ensure_future(self._answers.get())
        wanted = asyncio.ensure_future(self.wanted.wait())
        try:
            await asyncio.wait({answer, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
            wanted.cancel()
        try:
            message = await self._mock.recv()
        except StopAsyncIteration:  # the mock has said all it was told to say
            message = None
        if not isinstance(message, str):
            return await self._answers.get()
        return json.dumps({**COMPLETE, "event_id": f"event_{self.received_bytes}", **json.loads(message)}).encode()

    def send_now(self, message: bytes) -> bool:
        return False

    async def send(self, message: bytes) -> None:
        event = json.loads(message)
        event.pop("event_id", None)  # Strands' own model sends none
        await self._mock.send(json.dumps(event))
        if event["type"] == "session.update":
            self._answers.put_nowait(json.dumps({"type": "session.updated", "session": event["session"]}).encode())

    async def close(self) -> None:
        await self._mock.close()


class Model(BidiOpenAIRealtimeModel):
    """Ours, in step with tests that look at the socket as soon as a call returns: ours writes it a little later."""

    async def start(self, *args: Any, **kwargs: Any) -> None:
        await super().start(*args, **kwargs)
        await self._written()

    async def restart(self, *args: Any, **kwargs: Any) -> None:
        await super().restart(*args, **kwargs)
        await self._written()

    async def send(self, content: Any) -> None:
        await super().send(content)
        await self._written()

    async def receive(self) -> AsyncGenerator[Any, None]:
        socket = None if self.session is None else self.session._link._current._opened
        events = super().receive()
        try:
            while True:
                if socket is not None:
                    socket.wanted.set()
                try:
                    event = await anext(events)
                except StopAsyncIteration:
                    return
                finally:
                    if socket is not None:
                        socket.wanted.clear()
                if not isinstance(event, BidiSessionEvent):  # ours: outputs that do not know it pass it over
                    yield event
        finally:
            await events.aclose()

    async def _written(self) -> None:
        if self.session is not None:
            await self.session._link.empty()


async def connect(endpoint: Endpoint, *, timeout_s: float) -> Any:
    """Connect by the function that the tests replace."""
    headers = list((await endpoint.handshake_headers()).items())
    async with asyncio.timeout(timeout_s):
        return MockedSocket(await realtime.websockets.connect(endpoint.url, additional_headers=headers))


class Device(PushAudioIO):
    """A sound device that opens the streams of the PyAudio that stands for the library's."""

    def __init__(self, block_s: float | None = None, **options: Any) -> None:
        super().__init__()
        self.block_s = block_s


class AudioShared(Shared):
    def _device(self, streams: Any) -> Any:
        from strands.bidi.io.audio import pyaudio

        opened: Any = super()._device(streams)
        for stream in streams:
            frames = None if opened.block_s is None else round(opened.block_s * stream["sample_rate"])
            pyaudio.PyAudio().open(frames_per_buffer=frames)
        return opened


strands.bidi.io.AudioIO = BidiAudioIO
audio_io.Shared = AudioShared
device.DeviceAudioIO = Device
strands.bidi.models.OpenAIRealtimeModel = Model
_socket.connect = connect


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the public interface, and expect those to fail that are to fail."""
    public = [item for item in items if _is_public(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in public])
    items[:] = public
    for item in public:
        for name, (reason, error) in ON_PURPOSE.items():
            if item.name.startswith(name):
                item.add_marker(pytest.mark.xfail(reason=reason, raises=error))


def _is_public(item: pytest.Item) -> bool:
    tree = ast.parse(textwrap.dedent(inspect.getsource(item.function)))  # type: ignore[attr-defined]
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return not any(name.startswith("_") and name != "_" for name in names)
