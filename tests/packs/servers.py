"""A server on this machine that hands out one file, as well or as badly as a test wants."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class FileServer:
    """What a server does, and what it was asked for.

    Attributes:
        content: of the file.
        tag: ETag of the file; None for none.
        ends_after: bytes after which it closes the connection; None to send all.
        has_ranges: whether it sends parts of the file.
        status: other than 200, for any request.
        leads_to: address that it redirects to.
        says_size: whether it says how long the file is.
        requests: the `Range` of each request.
    """

    content: bytes
    tag: str | None = '"first"'
    ends_after: int | None = None
    has_ranges: bool = True
    status: int = 200
    leads_to: str = ""
    says_size: bool = True
    address: str = ""
    requests: list[str | None] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        wanted, start = handler.headers.get("Range"), 0
        self.requests.append(wanted)
        if self.status != 200:
            handler.send_response(self.status)
            handler.send_header("Location", self.leads_to)
            handler.end_headers()
            return
        if wanted and self.has_ranges and handler.headers.get("If-Range") == self.tag:
            start = int(re.sub(r"\D", "", wanted))
        if start > len(self.content) - 1:
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.tag:
            handler.send_header("ETag", self.tag)
        if self.says_size:
            handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        handler.wfile.write(self.content[start : start + (self.ends_after or len(self.content))])


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
