"""A conformant OpenAI-compatible server over a language model of this process, with as many abilities as a test wants.

`exact`: `prompt_logprobs` and `continue_final_message`, as vLLM has them. `top`: `logprobs` and `top_logprobs`, as
OpenAI has them. `choice`: "structured_outputs", "guided_choice" or "json_schema". What is not among the abilities is
refused or, with `ignores`, overlooked. `pictures`: whether it takes any.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Served(Protocol):
    """A model: tokens of a conversation, and log-probabilities over the vocabulary after each of them."""

    end: int

    def encode(self, messages: list[dict[str, Any]], opened: bool, closed: bool) -> list[int]:
        """Tokens; `opened` for a reply, or with the last message left open (`closed` False) or not."""
        ...

    def logprobs(self, ids: Sequence[int], pictures: Sequence[bytes]) -> Any:
        """(t, w) log-probabilities of what follows each token."""
        ...

    def decode(self, ids: Sequence[int]) -> str: ...


class LabelServer:
    """`with LabelServer(model, {"exact"}) as server: server.url`."""

    def __init__(
        self,
        model: Served,
        abilities: set[str],
        *,
        names: Sequence[str] = ("tiny",),
        ignores: bool = False,
        says: Any = None,
    ) -> None:
        self.model, self.abilities, self.names, self.ignores, self.says = model, abilities, names, ignores, says
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> LabelServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def complete(self, body: dict[str, Any]) -> dict[str, Any] | str:
        """The answer, or why the request is refused."""
        wants = {
            "exact": "prompt_logprobs" in body or body.get("continue_final_message"),
            "top": body.get("logprobs"),
            "structured_outputs": "structured_outputs" in body,
            "guided_choice": "guided_choice" in body,
            "json_schema": "response_format" in body,
        }
        lacking = [name for name, asked in wants.items() if asked and name not in self.abilities]
        if lacking and not self.ignores:
            return f"{lacking[0]} is not supported"
        wants = {name: asked and name not in lacking for name, asked in wants.items()}
        pictures = [
            base64.b64decode(part["image_url"]["url"].split(",", 1)[1])
            for message in body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
            if part["type"] == "image_url"
        ]
        if pictures and "pictures" not in self.abilities:
            return "this model takes no pictures"
        messages = [message | {"content": _text(message)} for message in body["messages"]]
        if pictures:
            held = [isinstance(message["content"], list) for message in body["messages"]]
            messages = [m | {"picture": its} for m, its in zip(messages, held, strict=True)]
        opened = not (wants["exact"] and not body.get("add_generation_prompt", True))
        ids = self.model.encode(messages, opened, not body.get("continue_final_message", False))
        answer: dict[str, Any] = {"object": "chat.completion", "model": self.names[0]}
        if wants["exact"] and "prompt_logprobs" in body:
            table = self.model.logprobs(ids, pictures)
            answer["prompt_logprobs"] = (
                [None]
                + [
                    {
                        str(token): {
                            "logprob": float(table[i, token]) if token < table.shape[1] else -99.0,  # a picture's
                            "rank": 1,
                            "decoded_token": self.model.decode([token]),
                        }
                    }
                    for i, token in enumerate(ids[1:])
                ]
            )
        text, tokens, finish = self._write(body, ids, pictures, wants)
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        choice["message"] = {"role": "assistant", "content": text}
        if wants["top"]:
            choice["logprobs"] = {"content": tokens}
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(tokens), "total_tokens": len(ids) + len(tokens)}
        return answer | {"choices": [choice], "usage": usage}

    def _write(
        self, body: dict[str, Any], ids: list[int], pictures: list[bytes], wants: dict[str, Any]
    ) -> tuple[str, list[dict[str, Any]], str]:
        """Greedily, along the allowed strings where some were given. Log-probabilities are those before the choice."""
        allowed = self._allowed(body, wants)
        if self.says is not None and allowed is None:
            return str(self.says(body)), [], "stop"
        new: list[int] = []
        tokens: list[dict[str, Any]] = []
        for _ in range(int(body.get("max_tokens", 16))):
            row = self.model.logprobs([*ids, *new], pictures)[-1]
            if allowed is not None:
                paths = [path for path in allowed if path[: len(new)] == new]
                options = sorted({path[len(new)] for path in paths if len(path) > len(new)})
                if not options:
                    break
                token = max(options, key=lambda one: float(row[one]))
            else:
                token = int(row.argmax())
            if token == self.model.end:
                break
            new.append(token)
            top = row.topk(min(int(body.get("top_logprobs") or 0), len(row))) if wants["top"] else None
            tokens.append(
                {
                    "token": self.model.decode([token]),
                    "logprob": float(row[token]),
                    "top_logprobs": []
                    if top is None
                    else [
                        {"token": self.model.decode([int(i)]), "logprob": float(v)}
                        for v, i in zip(top.values, top.indices, strict=True)
                    ],
                }
            )
        return self.model.decode(new), tokens, "stop"

    def _allowed(self, body: dict[str, Any], wants: dict[str, Any]) -> list[list[int]] | None:
        strings = None
        if wants["structured_outputs"]:
            strings = body["structured_outputs"]["choice"]
        elif wants["guided_choice"]:
            strings = body["guided_choice"]
        elif wants["json_schema"]:
            schema = body["response_format"]["json_schema"]["schema"]
            if "enum" not in schema["properties"].get("label", {}):
                return None
            strings = [json.dumps({"label": one}, ensure_ascii=False) for one in schema["properties"]["label"]["enum"]]
        return None if strings is None else [self.model.words(one) for one in strings]  # type: ignore[attr-defined]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": n, "object": "model"} for n in server.names]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    server.requests.append(body)
                    found = server.complete(body)
                if isinstance(found, str):
                    self._send(400, {"error": {"message": found}})
                else:
                    self._send(200, found)

            def _send(self, status: int, content: dict[str, Any]) -> None:
                raw = json.dumps(content).encode()
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                """The requests are kept."""

        return Handler


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
