"""URL and key of a session."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from realtime_voice._socket import connect
from realtime_voice.endpoint import Endpoint, azure, resolve
from realtime_voice.errors import AuthenticationError, ConnectError
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

KEY = "sk-do-not-print-me"


def test_openai_with_a_key() -> None:
    endpoint = resolve("gpt-realtime", api_key=KEY, environ={})
    assert endpoint.url == "wss://api.openai.com/v1/realtime?model=gpt-realtime"
    assert endpoint.headers == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("base_url", "environ", "url"),
    [
        ("ws://127.0.0.1:9/v1", {"OPENAI_REALTIME_URL": "ws://no"}, "ws://127.0.0.1:9/v1/realtime?model=m"),
        ("http://localhost:9/v1/realtime/", {}, "ws://localhost:9/v1/realtime?model=m"),
        (
            None,
            {
                "OPENAI_REALTIME_URL": "wss://a.example/custom?x=1",
                "OPENAI_WEBSOCKET_BASE_URL": "wss://b.example",
                "OPENAI_BASE_URL": "https://c.example/v1",
            },
            "wss://a.example/custom?x=1&model=m",
        ),
        (
            None,
            {"OPENAI_WEBSOCKET_BASE_URL": "wss://b.example/v1", "OPENAI_BASE_URL": "https://c.example/v1"},
            "wss://b.example/v1/realtime?model=m",
        ),
        (None, {"OPENAI_BASE_URL": "https://c.example/v1/"}, "wss://c.example/v1/realtime?model=m"),
        (None, {"OPENAI_BASE_URL": "  "}, "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://d.example/v1/realtime?model=other", {}, "wss://d.example/v1/realtime?model=other"),
        ("wss://d.example/v1/realtime?call_id=rtc_1", {}, "wss://d.example/v1/realtime?call_id=rtc_1"),
        ("ws://[::1]:80/v1", {}, "ws://[::1]:80/v1/realtime?model=m"),
    ],
)
def test_url_order(base_url: str | None, environ: dict[str, str], url: str) -> None:
    assert resolve("m", base_url=base_url, environ={"OPENAI_API_KEY": KEY, **environ}).url == url


def test_key_order_and_placeholders() -> None:
    def key(api_key: str | None, env: str) -> str:
        return resolve(api_key=api_key, environ={"OPENAI_API_KEY": env}).headers["Authorization"]

    assert key("mine", "theirs") == "Bearer mine"
    assert key(None, "theirs") == "Bearer theirs"
    assert key("<OPENAI_API_KEY>", "theirs") == "Bearer theirs"
    assert key("", "theirs") == "Bearer theirs"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.10"])
def test_loopback_needs_no_key(host: str) -> None:
    endpoint = resolve(base_url=f"ws://{host}:1234/v1", api_key="<KEY>", environ={})
    assert endpoint.headers == {}
    assert endpoint.is_loopback


@pytest.mark.parametrize("api_key", [None, "", "<OPENAI_API_KEY>"])
def test_neither_key_nor_url(api_key: str | None) -> None:
    with pytest.raises(ValueError, match=r"OPENAI_API_KEY.*OPENAI_REALTIME_URL.*realtime serve"):
        resolve(api_key=api_key, environ={"OPENAI_API_KEY": "<key>"})


def test_other_hosts_need_a_key() -> None:
    with pytest.raises(ValueError, match=r"e\.example \(base_url\) needs a key"):
        resolve(base_url="wss://e.example/v1", environ={})


def test_key_does_not_travel_in_the_clear_unless_asked() -> None:
    with pytest.raises(ValueError, match=r"unencrypted to f\.example"):
        resolve(base_url="http://f.example/v1", api_key=KEY, environ={})
    asked = resolve(base_url="http://f.example/v1", api_key=KEY, allow_insecure=True, environ={})
    assert asked.url.startswith("ws://f.example/")
    assert resolve(base_url="ws://127.0.0.1:1/v1", api_key=KEY, environ={}).headers["Authorization"].endswith(KEY)
    with pytest.raises(ValueError, match="unencrypted"):
        resolve(base_url="ws://127.0.0.1.example/v1", api_key=KEY, environ={})


def test_organization_and_project() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-2", "OPENAI_PROJECT_ID": "proj-2"}
    headers = resolve(environ=environ).headers
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-2", "proj-2")
    environ |= {"OPENAI_ORGANIZATION": "org-1", "OPENAI_PROJECT": "proj-1"}
    headers = resolve(environ=environ).headers
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-1", "proj-1")
    headers = resolve(organization="org-0", project="proj-0", environ=environ).headers
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-0", "proj-0")


@pytest.mark.parametrize(
    "url", ["ftp://x.example", "example.com/v1", "ws://", "ws://h:port/", "ws://h:99999/", "wss://[bad/", "/v1"]
)
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        resolve(base_url=url, api_key=KEY, environ={})


def test_key_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="api_key holds characters") as refused:
        resolve(api_key="sk-a\nX: y", environ={})
    assert "sk-a" not in str(refused.value)


def test_model_must_come_from_somewhere() -> None:
    with pytest.raises(ValueError, match="model is missing"):
        resolve(None, api_key=KEY, environ={})


def test_a_transcription_session_is_asked_for_without_a_model() -> None:
    asked = "wss://api.openai.com/v1/realtime?intent=transcription"
    assert resolve(api_key=KEY, intent="transcription", environ={}).url == asked
    assert resolve(None, base_url=asked, api_key=KEY, environ={}).url == asked
    own = "wss://g.example/v1/realtime?model=whisper-1"
    assert resolve(base_url=own, api_key=KEY, intent="transcription", environ={}).url == own
    at_azure = {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", "AZURE_OPENAI_API_KEY": KEY}
    url = resolve(intent="transcription", environ=at_azure).url
    assert url == "wss://r.openai.azure.com/openai/v1/realtime?intent=transcription"
    old = azure(intent="transcription", api_version="2025-04-01-preview", environ=at_azure).url
    assert old.endswith("/openai/realtime?api-version=2025-04-01-preview&intent=transcription")


def test_secrets_are_not_shown() -> None:
    endpoint = resolve(base_url="wss://user:pass@g.example/v1/realtime?api-key=hidden", api_key=KEY, environ={})
    for text in (repr(endpoint), str(endpoint), endpoint.name, f"{endpoint}"):
        assert not any(secret in text for secret in (KEY, "pass", "hidden"))
    assert "g.example" in repr(endpoint)


@pytest.mark.parametrize("url", ["ws://user:s3cret/@host", "ws://tok3n:s3cret@[::1", "ftp://s3cret@host"])
def test_a_wrong_url_is_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        resolve(base_url=url, api_key="key", environ={})
    assert "s3cret" not in str(caught.value)
    assert "tok3n" not in str(caught.value)


async def test_a_url_that_is_refused_is_not_quoted() -> None:
    with pytest.raises(ConnectError) as caught:
        await connect(Endpoint("ws://tok3n@127.0.0.1/x?key=s3cret", {}), timeout_s=5)
    assert "s3cret" not in str(caught.value)
    assert "tok3n" not in str(caught.value)


async def test_a_key_that_changes_is_asked_for_at_every_handshake() -> None:
    keys = iter(["sk-1", "sk-2", "sk-3", "sk-4"])

    async def ask() -> str:
        return next(keys)

    environ = {"OPENAI_API_KEY": "sk-not-this"}
    for api_key, expected in ((ask, "sk-1"), (lambda: next(keys), "sk-2"), (lambda: ask(), "sk-3")):  # noqa: PLW0108  not a coroutine function
        endpoint = resolve(api_key=api_key, environ=environ)
        assert endpoint.headers == {}
        assert await endpoint.handshake_headers() == {"Authorization": f"Bearer {expected}"}
    assert await endpoint.handshake_headers() == {"Authorization": "Bearer sk-4"}


@pytest.mark.parametrize("value", [None, "", 7, "sk-a\nX: y"])
async def test_a_function_that_gives_no_key_is_named(value: object) -> None:
    endpoint = resolve(api_key=lambda: value, environ={})  # type: ignore[arg-type, return-value]
    with pytest.raises(AuthenticationError, match="api_key"):
        await endpoint.handshake_headers()


async def test_what_a_key_function_raises_is_not_quoted() -> None:
    def fail() -> str:
        raise OSError(f"vault refused {KEY}")

    with pytest.raises(AuthenticationError, match="api_key function raised OSError") as refused:
        await resolve(api_key=fail, environ={}).handshake_headers()
    assert KEY not in str(refused.value)


async def test_a_key_function_is_part_of_the_handshake_and_its_limit() -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    endpoint = resolve(base_url="ws://127.0.0.1:9/v1", api_key=never, environ={})
    with pytest.raises(ConnectError, match=r"within 0\.05 s"):
        await connect(endpoint, timeout_s=0.05)


TOKEN = "eyJh.eyJi.c"  # noqa: S105  the form of a JSON web token


@pytest.mark.parametrize(
    ("environ", "version", "url", "headers"),
    [
        ({"AZURE_OPENAI_API_KEY": KEY}, None, "/openai/v1/realtime?model=mine", {"api-key": KEY}),
        (
            {"AZURE_OPENAI_AD_TOKEN": TOKEN},
            None,
            "/openai/v1/realtime?model=mine",
            {"Authorization": f"Bearer {TOKEN}"},
        ),
        (
            {"AZURE_OPENAI_API_KEY": KEY, "OPENAI_API_VERSION": "2025-04-01-preview"},
            None,
            "/openai/realtime?api-version=2025-04-01-preview&deployment=mine",
            {"api-key": KEY},
        ),
        (
            {"AZURE_OPENAI_API_KEY": KEY},
            "2024-12-17",
            "/openai/realtime?api-version=2024-12-17&deployment=mine",
            {"api-key": KEY},
        ),
    ],
)
def test_azure(environ: dict[str, str], version: str | None, url: str, headers: dict[str, str]) -> None:
    for address in ("https://res.openai.azure.com", "https://res.openai.azure.com/openai/v1/"):
        endpoint = azure(address, "mine", api_version=version, environ=environ)
        assert (endpoint.url, endpoint.headers) == (f"wss://res.openai.azure.com{url}", headers)
    from_environ = resolve("mine", environ={**environ, "AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"})
    assert version or from_environ == azure("https://res.openai.azure.com", "mine", environ=environ)


async def test_azure_takes_tokens_from_a_function_and_keys_at_its_hosts() -> None:
    endpoint = azure("https://own.example", "mine", api_key=lambda: TOKEN, environ={})
    assert await endpoint.handshake_headers() == {"Authorization": f"Bearer {TOKEN}"}
    endpoint = azure("https://own.example", "mine", api_key=lambda: KEY, environ={})
    assert await endpoint.handshake_headers() == {"api-key": KEY}
    by_url = resolve(base_url="https://res.openai.azure.com/openai/v1", api_key=KEY, environ={})
    assert by_url.headers == {"api-key": KEY}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((None, "mine"), "AZURE_OPENAI_ENDPOINT"),
        (("https://res.openai.azure.com", None), "deployment"),
        (("https://res.openai.azure.com", "mine"), "AZURE_OPENAI_API_KEY"),
    ],
)
def test_what_azure_lacks_is_named(arguments: tuple[str | None, str | None], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        azure(*arguments, environ={})
    with pytest.raises(ValueError, match="unencrypted"):
        azure("http://res.openai.azure.com", "mine", api_key=KEY, environ={})


def test_tls_that_verifies_nothing_gets_no_key_unless_asked() -> None:
    blind = ssl.create_default_context()
    blind.check_hostname = False
    with pytest.raises(ValueError, match=r"ssl_context does not verify who g\.example is"):
        resolve(base_url="wss://g.example/v1", api_key=KEY, ssl_context=blind, environ={})
    assert resolve(base_url="wss://g.example/v1", api_key=KEY, ssl_context=blind, allow_insecure=True, environ={})
    assert resolve(base_url="wss://127.0.0.1/v1", api_key=KEY, ssl_context=blind, environ={}).ssl_context is blind


async def test_own_authority_is_trusted_and_nobody_else() -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def answer(connection: ServerConnection) -> None:
        await connection.send("hello")

    async with serve(answer, "127.0.0.1", 0, ssl=server_side) as server:
        url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        socket = await connect(resolve(base_url=url, ssl_context=client_side, environ={}), timeout_s=10)
        assert await socket.receive() == b"hello"
        await socket.close()
        with pytest.raises(ConnectError, match="certificate"):
            await connect(resolve(base_url=url, environ={}), timeout_s=10)


async def test_a_redirection_is_refused_and_gets_no_key() -> None:
    asked: list[Request] = []

    def send_away(_: ServerConnection, request: Request) -> Response:
        asked.append(request)
        return Response(307, "Temporary Redirect", Headers(Location="/v1/elsewhere"))

    async def answer(_: ServerConnection) -> None:
        raise AssertionError("it was followed")

    async with serve(answer, "127.0.0.1", 0, process_request=send_away) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(ConnectError, match="HTTP 307"):
            await connect(resolve(base_url=url, api_key=KEY, environ={}), timeout_s=10)
    assert [request.path for request in asked] == ["/v1/realtime?model=gpt-realtime"]


async def test_the_proxy_of_the_environment_is_asked_and_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = bytearray()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def answer(connection: ServerConnection) -> None:
        await connection.send("hello")

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        address = f"http://user:s3cret@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        for name in ("https_proxy", "http_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ConnectError, match="through the proxy") as caught:
            await connect(resolve(base_url="wss://realtime.example/v1", api_key=KEY, environ={}), timeout_s=10)
        assert "s3cret" not in str(caught.value)
        assert asked.startswith(b"CONNECT realtime.example:443 ")
        assert KEY.encode() not in asked
        async with serve(answer, "127.0.0.1", 0) as server:  # this machine's own addresses need none
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            socket = await connect(resolve(base_url=url, environ={}), timeout_s=10)
            assert await socket.receive() == b"hello"
            await socket.close()
