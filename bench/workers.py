"""The clients of the comparison, each in a process of its own; they live in `clients/`.

pipecat, livekit-agents and openai-agents want other versions of what Strands needs and so live in a virtual environment
of their own: `make peers`.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE.parent / "build" / "peers" / "bin" / "python"
CLIENTS = {
    "ours": sys.executable,
    "ours_push": sys.executable,
    "ours_in_strands": sys.executable,
    "strands_agent": sys.executable,
    "pipecat_pipeline": PEERS,
    "livekit_session": PEERS,
    "openai_agents_session": PEERS,
}


class Worker:
    """A process that answers orders, a line each."""

    def __init__(
        self, *command: object, python: object = sys.executable, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [str(python), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.first = self.answer()
        """The line by which it says that it is ready."""

    def ask(self, *order: object) -> str:
        self.order(*order)
        return self.answer()

    def order(self, *order: object) -> None:
        print(*order, file=self._process.stdin, flush=True)

    def answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args}: {self._process.communicate(timeout=10)[1][-2000:]}")
        return line.strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)
