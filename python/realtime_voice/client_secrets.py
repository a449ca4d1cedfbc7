"""Ephemeral keys: a server that holds the real key makes one for a browser or another process that may not have it.

::

    secret = await client_secrets.create(session={"type": "realtime", "instructions": "Be brief."})
    ...
    async with connect(api_key=secret.value) as session:  # elsewhere, until secret.expires_at

The session's configuration is bound to the secret; what the client configures itself is merged over it.
"""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from realtime_voice import endpoint as endpoints
from realtime_voice.errors import AuthenticationError, ConnectError, RemoteProtocolError, ServerError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

ANSWER_BYTES: Final = 1024 * 1024
TIMEOUT_S: Final = 10.0
LIFETIME_S: Final = (10, 7200)


class ClientSecret(msgspec.Struct, frozen=True):
    """An ephemeral key. Its text does not show the key."""

    value: str
    """The key, for `connect(api_key=...)`."""
    expires_at: int
    """When it ends to open sessions, seconds since 1970; a session that is open goes on."""
    session: dict[str, Any]
    """The configuration it is bound to, whole."""

    def __repr__(self) -> str:
        return f"ClientSecret(expires_at={self.expires_at})"


async def create(
    session: Mapping[str, Any] | None = None,
    *,
    expires_after_s: int | None = None,
    model: str = "gpt-realtime",
    api_key: endpoints.Key | None = None,
    base_url: str | None = None,
    organization: str | None = None,
    project: str | None = None,
    endpoint: endpoints.Endpoint | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout_s: float = TIMEOUT_S,
) -> ClientSecret:
    """Have an ephemeral key made, by `POST /realtime/client_secrets` at the endpoint that sessions connect to.

    session: its configuration, as in session.update; the type, when missing, is "realtime", the model `model`.
    expires_after_s: its lifetime, 10 to 7200 seconds; None: the server's own, 600.
    The others: as in `connect`, and see realtime_voice.endpoint.

    Raises ValueError for what is wrong in the arguments, ConnectError, AuthenticationError when the key is refused,
    ServerError (with `code` and `param`) for another refusal, RemoteProtocolError for an answer that is none.
    """
    shortest, longest = LIFETIME_S
    if expires_after_s is not None and not shortest <= expires_after_s <= longest:
        raise ValueError(f"expires_after_s must be {shortest} to {longest}, got {expires_after_s}")
    if endpoint is None:
        endpoint = endpoints.resolve(model, base_url, api_key, organization, project, ssl_context=ssl_context)
    elif any((base_url, api_key, organization, project, ssl_context)):
        raise ValueError("endpoint comes with its URL, key, headers and TLS: give it alone")
    body: dict[str, Any] = {"session": {"type": "realtime", "model": model, **(session or {})}}
    if body["session"]["type"] == "transcription" and "model" not in (session or {}):
        del body["session"]["model"]  # such a session has none
    if expires_after_s is not None:
        body["expires_after"] = {"anchor": "created_at", "seconds": expires_after_s}
    try:
        async with asyncio.timeout(timeout_s):
            headers = await endpoint.handshake_headers()
            answer = await asyncio.to_thread(_post, endpoint, headers, msgspec.json.encode(body), timeout_s)
    except TimeoutError:
        raise ConnectError(f"{endpoint.name} did not make a client secret within {timeout_s:g} s") from None
    try:
        return msgspec.json.decode(answer, type=ClientSecret)
    except msgspec.MsgspecError:
        raise RemoteProtocolError(f"{endpoint.name} did not answer with a client secret") from None


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A redirection would hand the key to another host."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _post(endpoint: endpoints.Endpoint, headers: Mapping[str, str], body: bytes, timeout_s: float) -> bytes:
    """Post in the calling thread, which is none of the event loop's."""
    parts = urlsplit(endpoint.url)
    scheme = "https" if parts.scheme == "wss" else "http"
    path = parts.path.removesuffix("/realtime") + "/realtime/client_secrets"
    url = urlunsplit((scheme, parts.netloc, path, "", ""))
    request = urllib.request.Request(  # noqa: S310  the scheme is http or https
        url, body, {**headers, "Content-Type": "application/json"}, method="POST"
    )
    handlers: list[urllib.request.BaseHandler] = [
        _NoRedirection(),
        urllib.request.HTTPSHandler(context=endpoint.ssl_context),
    ]
    if endpoint.is_loopback:
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as response:
            return _read(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise _refusal(endpoint.name, refusal.code, _read(refusal)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ConnectError(f"cannot reach {endpoint.name}: {reason or type(error).__name__}") from None


def _read(response: Any) -> bytes:
    answer: bytes = response.read(ANSWER_BYTES + 1)
    if len(answer) > ANSWER_BYTES:
        raise ConnectError(f"the answer is longer than {ANSWER_BYTES} bytes")
    return answer


def _refusal(name: str, status: int, answer: bytes) -> ServerError | ConnectError:
    try:
        error: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, dict[str, Any]])["error"]
    except (msgspec.MsgspecError, KeyError):
        error = {}
    if status in {401, 403}:
        message = error.get("message") or f"{name} refused the key with HTTP {status}"
        return AuthenticationError(message, error.get("code") or "invalid_api_key", type=error.get("type"))
    if not error:
        return ConnectError(f"{name} answered with HTTP {status}")
    message = str(error.get("message"))
    return ServerError(message, error.get("code"), error.get("param"), type=error.get("type"))
