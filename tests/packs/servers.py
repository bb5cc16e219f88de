"""A server on this machine that hands out one file, as well or as badly as a test wants."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class FileServer:
    """What a server does, and what it was asked for.

    Attributes:
        content: of the file.
        ends_after: bytes after which it closes the connection; None to send all.
        status: other than 200, for any request.
        leads_to: address that it redirects to.
        requests: number of requests so far.
    """

    content: bytes
    ends_after: int | None = None
    status: int = 200
    leads_to: str = ""
    address: str = ""
    requests: int = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.requests += 1
        handler.send_response(self.status)
        if self.leads_to:
            handler.send_header("Location", self.leads_to)
        content = self.content if self.status == 200 else b""
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: self.ends_after])


@contextmanager
def serving(content: bytes, **settings: Any) -> Iterator[FileServer]:
    """Serve a file on this machine until the end of `with`."""
    served = FileServer(content, **settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_address[1]}/board.zip"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
