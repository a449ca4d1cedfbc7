"""The layer rules of docs/architecture.md, executed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
ENGINE = ROOT / "src" / "realtime_core"
VOICE = ROOT / "python" / "realtime_voice"

C_STANDARD_HEADERS = {
    "errno.h", "float.h", "immintrin.h", "arm_neon.h", "cpuid.h", "intrin.h", "limits.h", "math.h", "stdalign.h",
    "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "time.h",
}  # fmt: skip
# What the static library may ask of the platform: memory and mathematics. The clock is rc_duplex's alone.
ALLOWED_SYMBOLS = re.compile(
    r"malloc|calloc|realloc|free|aligned_alloc|posix_memalign|mem(cpy|move|set|cmp|chr)"
    r"|(sin|cos|sincos|exp|log|log2|log10|pow|sqrt|tanh|fabs|floor|ceil|round|lround|lrint|rint|fmin|fmax|exp2)f?"
    r"|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__cpu_model|__cpu_features2|__cpu_indicator_init|rc_\w+"
)
CLOCK_SYMBOLS = {"clock_gettime"}
INTERNAL_HEADERS = {
    "activation", "conceal", "cpu", "err", "features", "fft", "json", "memory", "resample_filter", "resample_table",
    "silero", "vad_weights",
}  # fmt: skip
ALLOCATION = re.compile(r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign)\s*\(")
C_FUNCTION = re.compile(r"^[a-z][\w\s*]*?\b(\w+)\([^;{]*\)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)


def test_c_includes_only_standard_headers_and_itself() -> None:
    for source in CSRC.rglob("*.[ch]"):
        for name in re.findall(r"#\s*include\s*[<\"]([^>\"]+)[>\"]", source.read_text()):
            own = (CSRC / name).exists() or (source.parent / name).exists()
            assert own or name in C_STANDARD_HEADERS, f"{source.name} includes {name}"


@pytest.mark.timeout(300)  # it compiles all of it
def test_c_needs_only_memory_mathematics_and_one_clock(tmp_path: Path) -> None:
    for source in CSRC.rglob("*.c"):
        compiled = tmp_path / f"{source.stem}.o"
        subprocess.run(["cc", "-std=c11", "-O1", "-I", CSRC, "-c", source, "-o", compiled], check=True, timeout=60)
        listing = subprocess.run(["nm", "-u", compiled], check=True, capture_output=True, text=True, timeout=60)
        for symbol in (line.split()[-1] for line in listing.stdout.splitlines()):
            clock = source.stem == "rc_duplex" and symbol in CLOCK_SYMBOLS
            assert clock or ALLOWED_SYMBOLS.fullmatch(symbol), f"{source.name} needs {symbol}"


def test_only_new_allocates_and_only_free_frees() -> None:
    for source in CSRC.rglob("*.c"):
        for name, body in C_FUNCTION.findall(source.read_text()):
            if ALLOCATION.search(body):
                assert name.endswith(("_new", "_alloc")), f"{source.name}: {name} allocates"
            if re.search(r"\bfree\s*\(", body):
                assert name.endswith(("_new", "_free")), f"{source.name}: {name} frees"


def test_the_counting_allocator_watches_every_public_function() -> None:
    watched = (ROOT / "tests" / "c" / "test_allocation.c").read_text()
    for header in CSRC.glob("rc_*.h"):
        if header.stem.removeprefix("rc_") in INTERNAL_HEADERS:
            continue
        code = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        names = re.findall(r"^(?!static|typedef)[a-z][\w *]*?\b(rc_\w+)\(", code, re.MULTILINE)
        assert names, f"{header.name} declares nothing"
        for name in names:
            assert name.endswith(("_new", "_free")) or f"{name}(" in watched, f"test_allocation.c does not call {name}"


def test_engine_is_one_module_with_a_stub_per_header() -> None:
    modules = {path.stem for path in ENGINE.glob("*.pyx")}
    assert modules == {path.stem for path in ENGINE.glob("*.pyi")} - {"__init__"}
    assert modules == {path.stem.removeprefix("rc_") for path in CSRC.glob("rc_*.h")} - INTERNAL_HEADERS


def imports_after(statement: str) -> set[str]:
    """Top-level names of the modules that `statement` loads in a fresh interpreter."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_engine_imports_nothing() -> None:
    loaded = imports_after("import realtime_core")
    assert not loaded & {"asyncio", "threading", "json", "numpy", "websockets", "sounddevice", "realtime_voice"}


def test_voice_imports_no_optional_or_heavy_dependency() -> None:
    loaded = imports_after("import realtime_voice")
    heavy = {"numpy", "soxr", "sounddevice", "strands", "aiohttp", "pocketsphinx", "espeakng_loader", "prompt_toolkit"}
    assert not loaded & heavy


@pytest.mark.parametrize("module", ["errors", "events", "states", "conversation", "turn_audio", "history", "protocol"])
def test_sans_io_modules_have_no_clock_and_no_socket(module: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse((VOICE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & {"asyncio", "socket", "time", "websockets", "threading", "ssl"}


@pytest.mark.parametrize(
    ("package", "home"),
    [
        ("websockets", "_socket.py"),
        ("sounddevice", "audio/portaudio.py"),
        ("strands", "strands"),
        ("aiohttp", "server"),
        ("pocketsphinx", "server"),
        ("espeakng_loader", "server"),
    ],
)
def test_one_home_for_each_dependency(package: str, home: str) -> None:
    pattern = re.compile(rf"^\s*(?:import|from)\s+{package}\b", re.MULTILINE)
    users = {path.relative_to(VOICE).as_posix() for path in VOICE.rglob("*.py") if pattern.search(path.read_text())}
    assert users, f"nothing imports {package} any more: take it off the dependencies"
    assert all(user == home or user.startswith(f"{home}/") for user in users), users
