"""Hold one conversation with the local server through every client that installs, each in an environment of its own.

    python tests/clients/run.py [NAME ...]      (make clients)

The user speaks a sum (a tool call, its answer is spoken), has the agent count, and speaks another sum over it (the
answer is interrupted, and cut to what was heard). Whether it happened is read from what went over the wire and from
what the client noticed. Environments and recordings stay in build/clients.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from realtime_voice.audio.wav import read_wav
from realtime_voice.server import RealtimeServer

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "clients"
SENTENCES = ("what_is_twelve_times_seven", "count_to_thirty", "what_is_twenty_plus_five")
CHECKS = ("speech in", "tool call", "speech out", "interruption", "truncation")
PACE = 4.0
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Client:
    """A client: what to install, what to run, what it cannot do."""

    name: str
    packages: tuple[str, ...]
    script: str
    tls: bool = False
    """It speaks wss only."""
    cannot: tuple[str, ...] = ()
    """Checks that it does not pass with the real service either."""


CLIENTS = (
    Client("openai", ("openai[realtime]",), "openai_client.py"),
    Client("openai-agents", ("openai-agents[voice]",), "openai_agents_client.py"),
    Client("livekit", ("livekit-agents", "livekit-plugins-openai"), "livekit_client.py"),
    Client("pipecat", ("pipecat-ai[openai]",), "pipecat_client.py"),
    Client("strands", ("strands-agents[bidi-openai]",), "strands_client.py", cannot=("truncation",)),
    Client("openai-js", ("openai", "ws"), "openai_js_client.mjs", tls=True),
    Client("agents-js", ("@openai/agents-realtime", "ws", "zod"), "agents_js_client.mjs"),
)


def install(client: Client) -> Path:
    """Install a client; return what runs its script. Raises CalledProcessError or OSError when it cannot be."""
    home = BUILD / client.name
    if client.script.endswith(".mjs"):
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "node_modules").exists():
            npm = shutil.which("npm")
            if npm is None:
                raise FileNotFoundError("npm is not installed")
            arguments = [npm, "install", "--silent", "--prefix", str(home), *client.packages]
            subprocess.run(arguments, check=True, capture_output=True, timeout=600)
        return Path(str(shutil.which("node")))
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "-q", *client.packages]
        subprocess.run(install, check=True, capture_output=True, timeout=900)
        (home / "installed").touch()
    return python


def speech() -> Path:
    """Leave the sentences as PCM for the clients; return the folder."""
    folder = BUILD / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    for name in SENTENCES:
        with resources.as_file(resources.files("realtime_voice") / "data" / "speech" / f"{name}.wav") as file:
            pcm, _ = read_wav(file, 24_000)
        (folder / f"{name}.pcm").write_bytes(pcm)
    return folder


async def hold(client: Client, program: Path) -> tuple[dict[str, bool], str]:
    """Run a client's conversation; return which checks it passed, and its last words where one failed."""
    record = BUILD / f"{client.name}.jsonl"
    async with AsyncServer(client.tls, record) as server:
        certificate = BUILD / "server.pem"
        certificate.write_bytes(server.certificate or b"")
        script = HERE / client.script
        if client.script.endswith(".mjs"):  # node finds packages beside the script
            shutil.copy(HERE / "user.mjs", BUILD / client.name)
            script = Path(shutil.copy(script, BUILD / client.name))
        environment = {
            **os.environ, "CLIENT_URL": server.url, "CLIENT_BASE_URL": server.base_url, "CLIENT_SPEECH": str(speech()),
            "NODE_EXTRA_CA_CERTS": str(certificate), "OPENAI_API_KEY": "local",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            str(program), str(script), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
    noticed: dict[str, Any] = {}
    for line in out.decode().splitlines():
        if line.startswith('{"heard_ms"'):
            noticed = json.loads(line)
    return judge(record, noticed), "\n".join([*out.decode().splitlines()[-2:], *err.decode().splitlines()[-6:]])


class AsyncServer(RealtimeServer):
    """The server of one conversation."""

    def __init__(self, tls: bool, record: Path) -> None:
        super().__init__(pace=PACE, tls=tls, record=record)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def judge(record: Path, noticed: dict[str, Any]) -> dict[str, bool]:
    """Tell from a recording which parts of the conversation were held."""
    lines = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    sent = [line["event"] for line in lines if line["sender"] == "server"]
    received = [line["event"] for line in lines if line["sender"] == "client"]
    errors = [event for event in sent if event["type"] == "error"]
    calls = [event["arguments"] for event in sent if event["type"] == "response.function_call_arguments.done"]
    outputs = " ".join(
        str(event["item"].get("output"))
        for event in received
        if event["type"] == "conversation.item.create" and event["item"]["type"] == "function_call_output"
    )
    said = " ".join(event["transcript"] for event in sent if event["type"] == "response.output_audio_transcript.done")
    interruptions = [
        event for event in sent if event["type"] == "response.done" and event["response"]["status"] == "cancelled"
    ]
    truncated = [event for event in sent if event["type"] == "conversation.item.truncated"]
    return {
        "speech in": any("12 * 7" in call for call in calls) and any("20 + 5" in call for call in calls),
        "tool call": "84" in outputs and "25" in outputs,
        "speech out": "eighty four" in said and "twenty five" in said and noticed.get("heard_ms", 0) > 3000,
        "interruption": bool(interruptions or truncated) and noticed.get("stopped", False),
        "truncation": bool(truncated) and not [error for error in errors if "truncat" in error["error"]["message"]],
    }


def main() -> int:
    """Try the clients named, or all; return 0 when each passes what it can."""
    BUILD.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    failed = False
    print(f"{'client':<15}" + "".join(f"{check:>14}" for check in CHECKS))
    for client in CLIENTS:
        if wanted and client.name not in wanted:
            continue
        try:
            program = install(client)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{client.name:<15} not installed: {error}")
            continue
        passed, last_words = asyncio.run(hold(client, program))
        marks = ["-" if check in client.cannot else "ok" if passed[check] else "NO" for check in CHECKS]
        print(f"{client.name:<15}" + "".join(f"{mark:>14}" for mark in marks), flush=True)
        if "NO" in marks:
            failed = True
            print(last_words)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
