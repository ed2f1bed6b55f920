"""A small OpenAI-compatible server over a causal language model on this machine: a teacher for those who have none.

It answers `GET /v1/models` and `POST /v1/chat/completions` on the loopback interface only, a batch of waiting requests
at a time, each batch of one length of reply. What it cannot do (pictures, response_format, log-probabilities, streams)
it refuses with status 400, so that a client knows.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from memescope.errors import MissingExtra, UsageError

LARGEST_REQUEST = 2**20
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class _Said(BaseModel):
    role: Annotated[str, Field(pattern="^(system|user|assistant)$")]
    content: str


class _Asked(BaseModel):
    messages: Annotated[list[_Said], Field(min_length=1, max_length=64)]
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 256
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: int | None = None
    stream: bool = False
    response_format: Any = None
    logprobs: bool = False


@dataclass(frozen=True)
class Written:
    """A reply with its counts of tokens; `ended` is False where the limit cut it off."""

    text: str
    tokens_in: int
    tokens_out: int
    ended: bool


class Writer(Protocol):
    """A language model: replies to conversations that share limit, temperature and seed."""

    def __call__(
        self, conversations: Sequence[list[dict[str, str]]], most: int, temperature: float, seed: int | None
    ) -> list[Written]: ...


def load_writer(name: str, dtype: str = "auto") -> Writer:
    """A writer over a pulled model's name, a folder, or a hub id. bfloat16 where the processor is fast at it.

    Raises `MissingExtra` without torch and transformers, `UsageError` where there is no such model.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError:
        raise MissingExtra("memescope rationales serve", "train") from None
    from memescope.backbones.catalogue import PULLABLE
    from memescope.backbones.precision import fast_bf16
    from memescope.backbones.pull import folder

    logging.disable_progress_bar()
    place = folder(name) if name in {entry.name for entry in PULLABLE} else name
    if dtype == "auto":
        dtype = "bfloat16" if fast_bf16() else "float32"
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(place, dtype=getattr(torch, dtype)).eval()
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: no language model there: {str(error).splitlines()[0]}") from None
    if tokenizer.chat_template is None:
        raise UsageError(f"{name}: has no chat template; a server needs a model that was tuned on conversations")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    longest = int(getattr(model.config, "max_position_embeddings", 2048))

    def write(
        conversations: Sequence[list[dict[str, str]]], most: int, temperature: float, seed: int | None
    ) -> list[Written]:
        prompts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in conversations]
        batch = tokenizer(
            prompts,
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
            truncation=True,
            max_length=longest - most,
        )
        drawn: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            torch.manual_seed(0 if seed is None else seed)
            drawn = {"do_sample": True, "temperature": temperature}
        with torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=most, pad_token_id=tokenizer.pad_token_id, **drawn)
        new = out[:, batch["input_ids"].shape[1] :]
        ends = {tokenizer.eos_token_id, *_as_list(model.generation_config.eos_token_id)}
        replies = []
        for row, mask in zip(new.tolist(), batch["attention_mask"], strict=True):
            end = next((place for place, token in enumerate(row) if token in ends), None)
            kept = row if end is None else row[:end]
            text = str(tokenizer.decode(kept, skip_special_tokens=True))
            replies.append(Written(text, int(mask.sum()), len(kept) + (end is not None), end is not None))
        return replies

    return write


def _as_list(value: Any) -> list[int]:
    return [] if value is None else value if isinstance(value, list) else [value]


@dataclass
class _Waiting:
    asked: _Asked
    done: threading.Event = field(default_factory=threading.Event)
    reply: Written | None = None
    error: str | None = None


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class LocalServer:
    """The server. `start()` gives its address; `batch` requests at most are answered together."""

    def __init__(self, writer: Writer, model: str, port: int = 0, batch: int = 8) -> None:
        self._writer, self.model, self._batch = writer, model, batch
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._http = _Quiet(("127.0.0.1", port), self._handler())
        self._threads = [
            threading.Thread(target=self._http.serve_forever, daemon=True),
            threading.Thread(target=self._work, daemon=True),
        ]
        self.log: Callable[[str], None] = lambda line: None

    @property
    def url(self) -> str:
        """The address to give as `--teacher`."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def start(self) -> str:
        for thread in self._threads:
            thread.start()
        return self.url

    def stop(self) -> None:
        """Answer nothing more."""
        self._queue.put(None)
        self._http.shutdown()
        self._http.server_close()

    def wait(self) -> None:
        """Until interrupted."""
        self._threads[0].join()

    def _work(self) -> None:
        held: list[_Waiting] = []
        while True:
            if not held:
                first = self._queue.get()
                if first is None:
                    return
                held.append(first)
                time.sleep(0.02)  # those sent at the same time shall be answered together
            while not self._queue.empty():
                another = self._queue.get()
                if another is None:
                    return
                held.append(another)
            like = _manner(held[0].asked)
            chosen = [one for one in held if _manner(one.asked) == like][: self._batch]
            held = [one for one in held if one not in chosen]
            self._answer(chosen)

    def _answer(self, chosen: list[_Waiting]) -> None:
        asked = chosen[0].asked
        started = time.perf_counter()
        try:
            conversations = [[said.model_dump() for said in one.asked.messages] for one in chosen]
            replies = self._writer(conversations, asked.max_tokens, asked.temperature, asked.seed)
            for one, reply in zip(chosen, replies, strict=True):
                one.reply = reply
            tokens = sum(reply.tokens_out for reply in replies)
            self.log(f"{len(chosen)} replies, {tokens} tokens, {time.perf_counter() - started:.1f} s")
        except Exception as error:  # a model that fails on one batch goes on serving the others
            for one in chosen:
                one.error = f"{type(error).__name__}"
        for one in chosen:
            one.done.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if not self._from_here():
                    return
                if self.path == "/v1/models":
                    self._send(200, {"object": "list", "data": [{"id": server.model, "object": "model"}]})
                else:
                    self._refuse(404, f"no {self.path}")

            def do_POST(self) -> None:
                if not self._from_here():
                    return
                length = self.headers.get("Content-Length", "")
                if not length.isdigit() or int(length) > LARGEST_REQUEST:
                    return self._refuse(413, f"a request needs a Content-Length of at most {LARGEST_REQUEST}")
                body = self.rfile.read(int(length))
                if self.path.split("?")[0] != "/v1/chat/completions":
                    return self._refuse(404, "no such address; there is /v1/chat/completions")
                if "json" not in self.headers.get("Content-Type", ""):
                    return self._refuse(400, "expected JSON")
                try:
                    asked = _Asked.model_validate_json(body)
                except ValidationError as error:
                    fault = error.errors()[0]
                    return self._refuse(400, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
                if asked.stream or asked.logprobs or asked.response_format:
                    return self._refuse(400, "stream, logprobs and response_format are not supported")
                waiting = _Waiting(asked)
                server._queue.put(waiting)
                waiting.done.wait()
                if waiting.reply is None:
                    return self._refuse(500, f"the model failed: {waiting.error}")
                self._send(200, _completion(server.model, waiting.reply))

            def _from_here(self) -> bool:
                """A web page that had its name resolve to this machine would still send its own name."""
                if self.headers.get("Host", "").rsplit(":", 1)[0] in _LOOPBACK:
                    return True
                self._refuse(403, "only for this machine")
                return False

            def _refuse(self, status: int, message: str) -> None:
                self.close_connection = True
                self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

            def _send(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """The batches are logged, not the requests."""

        return Handler


def _manner(asked: _Asked) -> tuple[int, float, int | None]:
    return asked.max_tokens, asked.temperature, asked.seed


def _completion(model: str, reply: Written) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text},
                "finish_reason": "stop" if reply.ended else "length",
            }
        ],
        "usage": {
            "prompt_tokens": reply.tokens_in,
            "completion_tokens": reply.tokens_out,
            "total_tokens": reply.tokens_in + reply.tokens_out,
        },
    }
