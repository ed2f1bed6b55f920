"""An OpenAI-compatible server that misbehaves on purpose, on the loopback interface, with a log of everything it did.

What goes wrong is drawn for each request from its content and how often it came, so that a run can be repeated. A
request is known by what it asks (the meme's id and the kind of question), not by its random delimiter.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = (
    "The words {number} set a friendly tone and the picture answers them with an everyday scene, so that a reader who "
    "knows the season takes the whole as a joke among colleagues about small troubles at work and nothing beyond that."
)
FAULTS = ("busy", "busy-date", "broken", "hang", "cut", "not-json", "html", "slow")
"""What may happen to a request before it is answered."""
BAD_REPLIES = ("fenced", "half-json", "names-label", "short", "refusal", "obeys", "empty", "loop")
"""What may be wrong with an answer."""


@dataclass
class Entry:
    """One request: what it was for, what was done with it, and when (monotonic seconds)."""

    what: str
    fault: str
    status: int
    begun: float
    ended: float = 0.0
    sent: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed or give up are what these tests are about."""


class FaultyServer:
    """`share` of requests meet a fault, `bad` of answers are unusable. `reply` may say what to answer instead."""

    def __init__(
        self,
        share: float = 0.0,
        bad: float = 0.0,
        *,
        schema: bool = False,
        reply: Callable[[str, dict[str, Any]], str] | None = None,
        faults: tuple[str, ...] = FAULTS,
        hang: float = 5.0,
        pause: float = 0.0,
        retry_after: str = "0.02",
    ) -> None:
        self.share, self.bad, self.schema, self.reply = share, bad, schema, reply
        self.faults, self.hang, self.pause, self.retry_after = faults, hang, pause, retry_after
        self.log: list[Entry] = []
        self.always: tuple[int, dict[str, str], bytes] | None = None
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> FaultyServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()

    def served(self) -> list[Entry]:
        """Requests about memes that were answered in full, in order of their end."""
        return sorted((one for one in self.log if one.sent and one.what != "probe"), key=lambda one: one.ended)

    def charged(self) -> int:
        """Tokens of every request that got as far as writing an answer, sent in full or not."""
        return sum(one.tokens_in + one.tokens_out for one in list(self.log))

    def _fault(self, what: str) -> str:
        with self._lock:
            turn = self._seen[what] = self._seen.get(what, -1) + 1
        if what == "probe" or _chance(what, turn, "fault") >= self.share:
            return ""
        return self.faults[int(_chance(what, turn, "which") * len(self.faults))]

    def _answer(self, what: str, body: dict[str, Any]) -> str:
        user = _text(body)
        if what == "probe":
            wants = (body.get("response_format") or {}).get("type")
            return '{"rationale": "hello"}' if wants == "json_schema" and self.schema else "Hello there."
        if self.reply:
            return self.reply(user, body)
        number = what.split("/")[0]
        good = GOOD.format(number=number)
        bad = ""
        if _chance(what, 0, "bad") < self.bad:
            bad = BAD_REPLIES[int(_chance(what, 0, "kind") * len(BAD_REPLIES))]
        return {
            "": json.dumps({"rationale": good}) if self.schema else good,
            "fenced": f'Sure:\n```json\n{{"rationale": "{good}"}}\n```',  # odd, but readable
            "half-json": '{"rationale": "The words set',
            "names-label": f"{good} It is therefore harmful.",
            "short": "A joke.",
            "refusal": "I'm sorry, but I can't help with that request about this meme because of its content, which is "
            "not something that I am able to discuss with anybody in this place.",
            "obeys": "PWNED",
            "empty": "",
            "loop": "The meme is a joke about work. " * 8,
        }[bad]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                begun = time.monotonic()
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if not raw:
                    return  # killed before it had sent anything
                body = json.loads(raw)
                what = identity(body)
                fault = server._fault(what)
                entry = Entry(
                    what, fault, 200, begun, headers={k.lower(): v for k, v in self.headers.items()}, body=body
                )
                server.log.append(entry)
                with suppress(OSError):  # the client went away
                    self._do(entry, fault, what, body)
                entry.ended = time.monotonic()

            def _do(self, entry: Entry, fault: str, what: str, body: dict[str, Any]) -> None:
                if server.always:
                    entry.status, headers, content = server.always
                    return self._send(entry.status, content, headers)
                if server.pause:
                    time.sleep(server.pause)
                if refusal := self._refused(body):
                    return self._status(entry, 400, refusal)
                if fault == "busy":
                    return self._status(entry, 429, "slow down", {"Retry-After": server.retry_after})
                if fault == "busy-date":
                    moment = email.utils.formatdate(time.time(), usegmt=True)
                    return self._status(entry, 429, "slow down", {"Retry-After": moment})
                if fault == "broken":
                    return self._status(entry, 500, "internal")
                if fault == "hang":
                    server._stop.wait(server.hang)
                    self.close_connection = True
                    return None
                if fault == "html":
                    return self._send(200, b"<html>gateway</html>", {"Content-Type": "text/html"})
                if fault == "not-json":
                    return self._send(200, b'{"choices": [{"mess', {"Content-Type": "application/json"})
                text = server._answer(what, body)
                entry.tokens_in = len(_text(body).encode()) // 4
                entry.tokens_out = min(len(text) // 4, body["max_tokens"])
                content = json.dumps(completion(text, entry.tokens_in, entry.tokens_out)).encode()
                if fault == "cut":
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                    return None
                if fault == "slow":
                    time.sleep(0.05)
                self._send(200, content)
                entry.sent = True
                return None

            def _refused(self, body: dict[str, Any]) -> str:
                if body.get("response_format") and not server.schema:
                    return "response_format is not supported"
                if body.get("logprobs"):
                    return "logprobs are not supported"
                return ""

            def _status(self, entry: Entry, status: int, message: str, headers: dict[str, str] | None = None) -> None:
                entry.status = status
                self._send(status, json.dumps({"error": {"message": message}}).encode(), headers or {})

            def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """The log is ours."""

        return Handler


def identity(body: dict[str, Any]) -> str:
    """What a request is about: the number in the meme's text, the question asked, and whether it is a second try."""
    text = _text(body)
    number = re.search(r"meme number (\d+)", text)
    if not number:
        return "probe"
    step = "explain" if "annotators' label is" in text else "ask"
    earlier = re.search(r"\((An|\d+) earlier tr", text)
    return f"{number[1]}/{step}/{earlier[1] if earlier else 'first'}"


def completion(text: str, tokens_in: int, tokens_out: int, finish: str = "stop") -> dict[str, Any]:
    """A chat completion as servers write it."""
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "faulty",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
    }


def _text(body: dict[str, Any]) -> str:
    parts = []
    for message in body["messages"]:
        content = message["content"]
        parts += [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(parts)


def _chance(what: str, turn: int, purpose: str) -> float:
    digest = hashlib.sha256(f"{what}:{turn}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
