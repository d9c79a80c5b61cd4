"""Real servers that receive alerts in tests: HTTP, and SMTP with or without TLS."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, cast


@dataclass
class HttpInbox:
    """Keeps the bodies of POSTs; answers `status` and `answer`, in which `{path}` is the path."""

    url: str = ""
    status: int = 200
    answer: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    stalled: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Any]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.bodies) >= count, seconds), self.bodies
            return list(self.bodies)


@contextmanager
def http_inbox(path: str = "/hook") -> Iterator[HttpInbox]:
    inbox = HttpInbox()
    inbox.stalled.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with inbox.arrived:
                inbox.bodies.append(body)
                inbox.seen.append(dict(self.headers) | {"path": self.path})
                inbox.arrived.notify_all()
            inbox.stalled.wait(30)
            text = inbox.answer.replace("{path}", self.path).encode()
            self.send_response(inbox.status)
            for name, value in (inbox.headers | {"content-length": str(len(text))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        inbox.url = f"http://127.0.0.1:{server.server_port}{path}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield inbox
        finally:
            inbox.stalled.set()
            server.shutdown()
            thread.join(10)


@dataclass
class Mailbox:
    """`refuse`: an answer to RCPT; `users`: who may log in, none: everybody without."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuse: str = ""
    users: dict[str, str] = field(default_factory=dict)
    encrypted: list[bool] = field(default_factory=list)


@contextmanager
def mail_server(context: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """As much of SMTP as a client needs; offers STARTTLS with a `context`."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test")
            secure = False
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                match verb.upper():
                    case "EHLO":
                        offers = ["250-test"]
                        offers += ["250-STARTTLS"] if context and not secure else []
                        self.say("\r\n".join([*offers, "250 AUTH PLAIN"]))
                    case "STARTTLS" if context:
                        self.say("220 go")
                        wrapped = context.wrap_socket(self.connection, server_side=True)
                        self.rfile = wrapped.makefile("rb")
                        self.wfile = cast(BufferedIOBase, wrapped.makefile("wb", 0))
                        self.secured, secure = wrapped, True
                    case "AUTH":
                        _, user, password = b64decode(rest.split()[1]).decode().split("\0")
                        box.logins.append(user)
                        good = box.users.get(user) == password
                        self.say("235 ok" if good else f"535 {password} is not the password")
                    case "RCPT":
                        box.recipients.append(rest)
                        self.say(box.refuse or "250 ok")
                    case "DATA":
                        self.say("354 go")
                        lines = []
                        while (got := self.rfile.readline()) != b".\r\n":
                            lines.append(got.removeprefix(b"."))
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        assert isinstance(mail, EmailMessage)
                        box.mails.append(mail)
                        box.encrypted.append(secure)
                        self.say("250 taken")
                    case "QUIT":
                        self.say("221 bye")
                        break
                    case _:
                        self.say("250 ok")
            if secure:
                self.secured.close()

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that does not trust us hangs up

    with Server(("127.0.0.1", 0), Session) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join(10)
