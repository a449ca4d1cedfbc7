"""The command `realtime serve`: its options, TLS, and its end."""

import re
import subprocess
import sys

import pytest
from realtime_voice.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls-save", "x.pem"], "--tls-save is for"),
        (["--tls-key", "x.pem"], "--tls-key belongs to"),
        (["--tls-cert", "/nowhere.pem"], "No such file"),
        (["--fault", "rain=1"], "no fault 'rain'"),
        (["--replay", "/nowhere.jsonl"], "/nowhere.jsonl: No such file"),
        (["--record", "/nowhere/x.jsonl"], "/nowhere/x.jsonl: No such file"),
        (["--upstream", "ftp://h"], "must be a ws://"),
    ],
)
def test_wrong_options_are_told(capsys, arguments, words):
    assert main(["serve", "--port", "0", *arguments]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_request_to_terminate_drains(tmp_path):
    certificate = tmp_path / "server.pem"
    command = [sys.executable, "-m", "realtime_voice", "serve", "--port", "0", "--tls", "--tls-save", str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert re.match(r"listening on wss://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert "PRIVATE" not in certificate.read_text()
        process.terminate()
        assert process.stdout.readline() == "no new sessions; running answers may end\n"
        assert process.wait(10) == 0


def test_an_open_address_without_a_key_is_told():
    command = [sys.executable, "-m", "realtime_voice", "serve", "--port", "0", "--host", "0.0.0.0"]  # noqa: S104
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "no key is asked for" in process.stdout.readline()
        process.kill()
