"""A server for this machine alone: it answers the addresses of a Site, and knows no file system."""

from __future__ import annotations

import contextlib
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from pointseg.view.gallery.site import Site, content_type

LOOPBACK = "127.0.0.1"
#: The first port that is tried where none is asked for, and how many after it.
FIRST_PORT, PORTS = 8770, 50
#: What a browser on this machine, or one behind `ssh -L`, calls it. Any other name has been made to point
#: here by a stranger's page, which could then read the answers as its own.
HOSTS = frozenset({"localhost", LOOPBACK, "[::1]"})


def serve(site: Site, port: int | None = None) -> ThreadingHTTPServer:
    """A server on the loopback interface that is bound but does not answer yet.

    Args:
        site: what it answers with.
        port: where; 0 is any that is free. None: the first free one from FIRST_PORT on.

    Raises:
        OSError: if the port is taken.
    """
    for candidate in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]:
        try:
            return _Server((LOOPBACK, candidate), _handler(site))
        except OSError as error:
            taken = error
    raise OSError(
        f"{LOOPBACK}: port {candidate} cannot be used ({taken.strerror}). Name another one with --port."
    ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A second gallery on the same port would get every other request.
    allow_reuse_port = False

    def __init__(self, *given: Any) -> None:
        self._connections: set[Any] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """No more answers, also on connections that browsers keep open."""
        super().server_close()
        for request in list(self._connections):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves while it is answered is no error."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Seconds that a silent connection may stay open.
        timeout = 60

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            host = self.headers.get("Host", "").strip().lower()
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name not in HOSTS:
                text = "pointseg view answers to localhost and 127.0.0.1 alone."
                self._send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", text.encode(), with_body)
                return
            path = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
            if path == "favicon.ico":
                # Browsers ask for it without being told to, and complain where there is none.
                self._send(HTTPStatus.NO_CONTENT, "image/x-icon", b"", with_body)
                return
            try:
                content = site.read(path)
            except Exception as error:
                # Whoever looks is told what is wrong with a scene, and the gallery goes on with the others.
                text = f"{type(error).__name__}: {error}"
                self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", text.encode(), with_body)
                return
            if content is None:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is no such page.", with_body)
            else:
                self._send(HTTPStatus.OK, content_type(path), content, with_body)

        def _send(self, status: HTTPStatus, kind: str, content: bytes, with_body: bool) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "frame-ancestors 'self'")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def version_string(self) -> str:
            return "pointseg"

        def log_message(self, format: str, *args: Any) -> None:
            """Every picture of a gallery would be a line."""

    return Handler


class Worker(threading.Thread):
    """Predicts and draws all scenes of a site, one after the other, while people look at them already."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True, name="gallery")
        self.site = site
        self._stopped = threading.Event()

    def run(self) -> None:
        for cell in self.site.cells:
            if self._stopped.is_set():
                return
            # What is wrong with a scene is kept by the site, and its card says it.
            with contextlib.suppress(ValueError):
                self.site.prepare(cell)
            # Whoever waits for a page goes first.
            self._stopped.wait(0.02)

    def stop(self) -> None:
        self._stopped.set()
