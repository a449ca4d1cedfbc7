"""URL and key of a session."""

from __future__ import annotations

import pytest
from realtime_voice._socket import connect
from realtime_voice.endpoint import Endpoint, resolve
from realtime_voice.errors import ConnectError

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
