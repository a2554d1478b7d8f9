"""A server of one page, for browsers on this machine."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simlayer.viewer.motion import MotionError


class PageServer(ThreadingHTTPServer):
    """Answers every request for / with one page, on this machine only.

    Args:
        page: the HTML.
        port: the port to listen on; 0 takes any free one.

    Raises:
        MotionError: if the port is in use or not allowed.
    """

    daemon_threads = True
    # Binding to an address on which another program listens has to fail.
    allow_reuse_address = False

    def __init__(self, page: str, port: int = 0) -> None:
        self.content = page.encode()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise MotionError(
                f"port {port} cannot be used ({error}); take another one, or leave --port out."
            ) from error

    @property
    def address(self) -> str:
        """The URL of the page."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        if self.path.split("?")[0] != "/":
            self.send_error(404, "There is one page only, at /")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address is all that a user needs."""
