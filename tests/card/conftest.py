"""A virtual sound card for the tests of a module, the only one that PortAudio sees."""

import importlib
import itertools
import os
import subprocess

import pytest
from realtime_voice.audio import devices
from realtime_voice.errors import AudioDeviceError
from virtual_card import SCRIPT

# The card lasts as long as somebody holds the other end of its standard input, however that one ends.
HOLD = 'env | grep -E "^(PULSE|ALSA|JACK)_"; echo; exec cat'


def unavailable(reason):
    if os.environ.get("REALTIME_REQUIRE_CARD") == "1":
        pytest.fail(f"REALTIME_REQUIRE_CARD is set, but there is no virtual sound card: {reason}")
    pytest.skip(f"no virtual sound card: {reason}")


def listed():
    """PortAudio's devices, looked for anew."""
    devices()  # raises where there is no PortAudio
    sounddevice = importlib.import_module("sounddevice")
    sounddevice._terminate()
    sounddevice._initialize()
    return devices()


@pytest.fixture(scope="module")
def card():
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([SCRIPT, "sh", "-c", HOLD], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process,
        pytest.MonkeyPatch.context() as patch,
    ):
        for line in itertools.takewhile(str.strip, process.stdout):
            patch.setenv(*line.rstrip("\n").split("=", 1))
        if "PULSE_SERVER" not in os.environ or process.poll() is not None:
            unavailable(process.stderr.read().strip())
        try:
            found = listed()
        except AudioDeviceError as error:
            unavailable(str(error))
        if not found:
            unavailable("PortAudio does not see it: apt-get install libasound2-plugins")
        yield found
    listed()  # others find this machine as it is
