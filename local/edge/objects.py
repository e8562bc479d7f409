"""Hands S3 requests on to the object store as they are, piece by piece, and its answers back."""

import httpx

from local.gateway.incoming import Incoming, Send

# Of one connection only; the server in front of this app writes `date` itself.
_OWN = frozenset({b"connection", b"date", b"expect", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
_AWAY = (
    b"<Error><Code>ServiceUnavailable</Code>"
    b"<Message>The object store does not answer; `facet status` tells how it is.</Message></Error>"
)


class ObjectStore:
    """The signature is of the `Host` the client asked for, so that goes along; the store checks it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=5.0), limits=httpx.Limits(max_connections=None), trust_env=False
        )

    async def answer(self, incoming: Incoming, send: Send) -> None:
        """Raises Disconnected."""
        try:
            response = await self._client.send(self._request(incoming), stream=True)
        except httpx.TransportError:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"text/xml")]})
            await send({"type": "http.response.body", "body": _AWAY})
            return
        try:
            headers = [(name.lower(), value) for name, value in response.headers.raw]
            kept = [pair for pair in headers if pair[0] not in _OWN | {b"transfer-encoding"}]
            await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
            async for piece in response.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._client.aclose()

    def _request(self, incoming: Incoming) -> httpx.Request:
        scope = incoming.scope
        headers = [pair for pair in scope["headers"] if pair[0] not in _OWN]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        return httpx.Request(
            scope["method"],
            self._url,
            headers=headers,
            content=incoming.chunks() if incoming.unread else None,
            extensions={"target": scope["raw_path"] + query},  # httpx would tidy `a/../b`, which may be a key
        )
