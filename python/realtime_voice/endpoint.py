"""Where a session connects to and how it says who it is.

The URL is the first of these that is set; http becomes ws and https becomes wss, and `model=` is added where missing:

1. `base_url` (`/realtime` is added where missing)
2. OPENAI_REALTIME_URL, a full WebSocket URL
3. OPENAI_WEBSOCKET_BASE_URL (`/realtime` is added where missing)
4. OPENAI_BASE_URL (`/realtime` is added where missing)
5. AZURE_OPENAI_ENDPOINT, when there is no key of OpenAI's: see `azure`
6. OpenAI's own, when there is a key

The key is `api_key`, else OPENAI_API_KEY: a string, or a function (plain or async) that is asked at every handshake,
for keys that change. A key of the form `<...>` is a placeholder and counts as absent. An ephemeral client secret is a
key as any other.

A transcription session is asked for by `intent`: its model is one of the configuration, not of the URL.

TLS is verified by the system's authorities, or by `ssl_context`'s; a proxy is taken from the environment (HTTPS_PROXY,
NO_PROXY), never for this machine's own addresses.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from realtime_voice.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Key: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A key, or a function that returns the present one: a coroutine function, or a plain one, which is run in a thread."""

OPENAI_URL: Final = "wss://api.openai.com/v1/realtime"
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_AZURE_HOSTS: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


@dataclass(frozen=True, repr=False)
class Endpoint:
    """A WebSocket URL and what to open it with. Its text shows neither key nor query."""

    url: str
    headers: Mapping[str, str]
    """Headers of every handshake, with the key where that is a string."""
    key: Callable[[], str | Awaitable[str]] | None = None
    """Asked for the key before every handshake."""
    ssl_context: ssl.SSLContext | None = None
    """How to verify the peer; None: by the system's authorities."""
    is_azure: bool = False
    """Azure takes its own keys by a header of their own."""

    @property
    def name(self) -> str:
        """The URL without anything that may be secret, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def is_loopback(self) -> bool:
        """True when the host is this machine."""
        return is_loopback(urlsplit(self.url).hostname)

    @property
    def serve_command(self) -> str:
        """What starts the local server at the URL's port."""
        port = urlsplit(self.url).port
        return "realtime serve" if port is None else f"realtime serve --port {port}"

    async def handshake_headers(self) -> dict[str, str]:
        """Return the headers for one handshake, with the present key. Raises AuthenticationError when there is none."""
        headers = dict(self.headers)
        if self.key is not None:
            try:
                if inspect.iscoroutinefunction(self.key):
                    value = await self.key()
                else:
                    answer = await asyncio.to_thread(self.key)
                    value = await answer if inspect.isawaitable(answer) else answer
                headers.update(_key_header(_usable("api_key", value), is_azure=self.is_azure))
            except Exception as error:
                what = (
                    str(error)
                    if isinstance(error, _UnusableError)
                    else f"the api_key function raised {type(error).__name__}"
                )
                raise AuthenticationError(what, "invalid_api_key") from error
        return headers

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, headers={sorted(self.headers)})"


def resolve(
    model: str | None = "gpt-realtime",
    base_url: str | None = None,
    api_key: Key | None = None,
    organization: str | None = None,
    project: str | None = None,
    *,
    intent: Literal["transcription"] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    allow_insecure: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """Find the endpoint to connect to, by the rules of this module.

    `intent` "transcription": for a session that only transcribes; a `model` in the URL is left there.
    `allow_insecure` permits to send a key over plain ws, or over TLS that is not verified, to a host that is not this
    machine. Raises ValueError that says what is missing or wrong; the key is never part of it.
    """
    ask = api_key if callable(api_key) else None
    key_source, key = _key(api_key, "OPENAI_API_KEY", environ=environ)
    has_key = ask is not None or key is not None
    url_source, url = _first(
        ("base_url", base_url),
        *(
            (name, environ.get(name))
            for name in ("OPENAI_REALTIME_URL", "OPENAI_WEBSOCKET_BASE_URL", "OPENAI_BASE_URL")
        ),
    )
    if url is None and not has_key:
        if environ.get("AZURE_OPENAI_ENDPOINT", "").strip():
            return azure(deployment=model, intent=intent, ssl_context=ssl_context, environ=environ)
        raise ValueError(
            "OpenAI API key is required: give api_key (or set OPENAI_API_KEY), "
            "or base_url (or OPENAI_REALTIME_URL) for another endpoint, such as the one that `realtime serve` starts"
        )
    parts = _parse(url_source, url or OPENAI_URL)
    path = parts.path.rstrip("/")
    if url_source != "OPENAI_REALTIME_URL" and not path.endswith("/realtime"):
        path += "/realtime"
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in query}
    if intent is not None and not names & {"model", "intent"}:
        query.append(("intent", intent))
    elif ("intent", "transcription") not in query and not names & {"model", "call_id", "deployment"}:
        if not model:
            raise ValueError(f"model is missing: give model, or {url_source or 'base_url'} with ?model=")
        query.append(("model", model))
    if not has_key and not is_loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} ({url_source}) needs a key: give api_key or set OPENAI_API_KEY")
    _check_secrecy(url_source, parts, ssl_context, has_key=has_key, allow_insecure=allow_insecure)
    is_azure = (parts.hostname or "").endswith(_AZURE_HOSTS)
    headers = {} if key is None else _key_header(_usable(key_source, key), is_azure=is_azure)
    _, organization = _first(
        ("organization", organization),
        *((name, environ.get(name)) for name in ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID")),
    )
    _, project = _first(
        ("project", project), *((name, environ.get(name)) for name in ("OPENAI_PROJECT", "OPENAI_PROJECT_ID"))
    )
    for name, value, source in (
        ("OpenAI-Organization", organization, "organization"),
        ("OpenAI-Project", project, "project"),
    ):
        if value:
            headers[name] = _usable(source, value)
    url = urlunsplit((parts.scheme, parts.netloc, path or "/", urlencode(query), ""))
    return Endpoint(url, headers, ask, ssl_context, is_azure)


def azure(
    azure_endpoint: str | None = None,
    deployment: str | None = None,
    *,
    api_key: Key | None = None,
    api_version: str | None = None,
    intent: Literal["transcription"] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """Make the endpoint of a deployment at Azure OpenAI, for `connect(endpoint=...)`.

    azure_endpoint: the resource, as "https://NAME.openai.azure.com"; else AZURE_OPENAI_ENDPOINT.
    deployment: its name there.
    api_key: the resource's key, or a token of Microsoft Entra, or a function that returns one, such as azure-identity's
    `get_bearer_token_provider` makes; else AZURE_OPENAI_API_KEY, else AZURE_OPENAI_AD_TOKEN.
    api_version: for a preview version of the API, else OPENAI_API_VERSION; without one, the present (v1) API.
    intent: "transcription" for a transcription session, which has no deployment in its URL.

    Raises ValueError that says what is missing or wrong. Source: Azure's guide to the Realtime API via WebSockets.
    """
    source, url = _first(
        ("azure_endpoint", azure_endpoint), ("AZURE_OPENAI_ENDPOINT", environ.get("AZURE_OPENAI_ENDPOINT"))
    )
    if url is None:
        raise ValueError("the Azure endpoint is missing: give azure_endpoint or set AZURE_OPENAI_ENDPOINT")
    if not deployment and intent is None:
        raise ValueError("the name of the deployment at Azure is missing: give deployment")
    parts = _parse(source, url)
    ask = api_key if callable(api_key) else None
    key_source, key = _key(api_key, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", environ=environ)
    if ask is None and key is None:
        raise ValueError("Azure needs a key: give api_key, or set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN")
    _check_secrecy(source, parts, ssl_context, has_key=True, allow_insecure=False)
    _, version = _first(("api_version", api_version), ("OPENAI_API_VERSION", environ.get("OPENAI_API_VERSION")))
    base = parts.path.rstrip("/").removesuffix("/openai/v1").removesuffix("/openai")
    if version:
        path, query = "/openai/realtime", {"api-version": version}
    else:
        path, query = "/openai/v1/realtime", {}
    if intent is not None:
        query["intent"] = intent
    else:
        query["deployment" if version else "model"] = deployment or ""
    headers = {} if key is None else _key_header(_usable(key_source, key), is_azure=True)
    url = urlunsplit((parts.scheme, parts.netloc, base + path, urlencode(query), ""))
    return Endpoint(url, headers, ask, ssl_context, is_azure=True)


def _key(api_key: Key | None, *names: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the key and where it comes from; None when a function will be asked for it, or nothing is set."""
    if callable(api_key):
        return "api_key", None
    return _first(("api_key", api_key), *((name, environ.get(name)) for name in names))


class _UnusableError(ValueError):
    """A key or name that no header can carry."""


def _usable(source: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _UnusableError(f"{source} gave no key: a non-empty string is needed")
    value = value.strip()
    if not (value.isascii() and value.isprintable()):
        raise _UnusableError(f"{source} holds characters that a header cannot carry (a line break?)")
    return value


def _key_header(key: str, *, is_azure: bool) -> dict[str, str]:
    """Tokens of Microsoft Entra are JSON web tokens, and go as everywhere."""
    is_token = key.startswith("eyJ") and key.count(".") == 2
    return {"api-key": key} if is_azure and not is_token else {"Authorization": f"Bearer {key}"}


def _check_secrecy(
    source: str, parts: SplitResult, context: ssl.SSLContext | None, *, has_key: bool, allow_insecure: bool
) -> None:
    if not has_key or is_loopback(parts.hostname) or allow_insecure:
        return
    if parts.scheme == "ws":
        raise ValueError(
            f"{source} would send the key unencrypted to {parts.hostname}: use wss:// (or https://), "
            "or allow_insecure=True if the network is yours"
        )
    if context is not None and (context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname):
        raise ValueError(
            f"ssl_context does not verify who {parts.hostname} is: load its authority instead "
            "(ssl.create_default_context(cafile=...)), or allow_insecure=True if the network is yours"
        )


def _first(*candidates: tuple[str, str | None]) -> tuple[str, str | None]:
    for source, value in candidates:
        text = (value or "").strip()
        if text and not (text.startswith("<") and text.endswith(">")):
            return source, text
    return "", None


def _parse(source: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises when it is no number
    except ValueError:  # its words quote the URL, which may hold secrets
        raise ValueError(f"{source} is not a URL (a wrong port, or brackets?)") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"{source} must be a ws://, wss://, http:// or https:// URL with a host")
    return parts._replace(scheme=_SCHEMES[parts.scheme], fragment="")


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
