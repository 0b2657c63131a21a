"""A webhook on loopback: keeps what it was sent, and answers with the code that it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Payloads in the order in which they came, with path and headers."""

    port: int
    code: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def titles(self) -> list[str]:
        return [payload["title"] for payload in self.got]

    def url(self, path: str = "", login: str = "") -> str:
        return f"json://{login}127.0.0.1:{self.port}/{path}"


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.headers.append(dict(self.headers))
            if box.code == 200:
                box.got.append(json.loads(body))
            self.send_response(box.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
