"""Base64 of audio: ours against the standard library and pybase64, both strict."""

import base64 as standard
import functools
import random

import pybase64
import pytest

from realtime_core import base64 as ours

SIZES = {"20 ms": 960, "200 ms": 9600, "1 s": 48000}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "encode", [ours.encode, pybase64.b64encode, standard.b64encode], ids=["ours", "pybase64", "standard"]
)
def bench_encode(benchmark, encode, size):
    benchmark.group = f"base64 encode {size}"
    data = random.Random(0).randbytes(SIZES[size])
    assert benchmark(encode, data) == standard.b64encode(data)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "decode",
    [
        ours.decode,
        functools.partial(pybase64.b64decode, validate=True),
        functools.partial(standard.b64decode, validate=True),
        standard.b64decode,
    ],
    ids=["ours", "pybase64", "standard", "standard lenient"],
)
def bench_decode(benchmark, decode, size):
    benchmark.group = f"base64 decode {size}"
    data = random.Random(0).randbytes(SIZES[size])
    assert benchmark(decode, standard.b64encode(data).decode()) == data
