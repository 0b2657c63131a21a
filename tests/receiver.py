"""A webhook and a mail server on loopback: they keep what they were sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
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


@contextmanager
def mail_server(refuse: str = "") -> Iterator[tuple[int, list[EmailMessage]]]:
    """Give the port of an SMTP server (RFC 5321, no encryption) and the mails that it took.

    ``refuse`` is a recipient whose mail it does not take.
    """
    mails: list[EmailMessage] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 loopback")
            while line := self.rfile.readline().decode().strip():
                match line.split(" ")[0].upper():
                    case "DATA":
                        self._say("354 go on")
                        body = b"".join(iter(self.rfile.readline, b".\r\n"))
                        mails.append(message_from_bytes(body, policy=policy.default))
                        self._say("250 taken")
                    case "RCPT" if refuse and refuse in line:
                        self._say("550 no such mailbox")
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case _:
                        self._say("250 loopback")

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
            thread.join()
