"""A model's chat template: what it puts around a system message, a picture, a user's words and an answer.

Everything is read off the template by rendering it: where the picture stands, what opens the assistant's turn, which
token ends it. Words are data: whatever in them reads like one of the model's own marks is taken apart first, so a meme
cannot end the user's turn or pretend to be another picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from memescope.errors import MemescopeError

_MARK = "MEMESCOPEANSWER"


class Chat:
    """`template` is Jinja; `image` the string that stands for a picture in what it renders."""

    def __init__(self, tokenizer: Any, template: str, image: str) -> None:
        self._tokenizer, self._template, self._image = tokenizer, template, image
        marks = {
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if len(token.content) > 1 and (token.special or token.content[0] in "<[")
        }
        longest_first = sorted({*marks, image}, key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, longest_first)))
        opened = self._render("", "a", False)
        closed = self._render("", "a", False, _MARK)
        before, found, after = closed.partition(_MARK)
        if not found or not before.startswith(opened):
            raise MemescopeError("the chat template does not open the assistant's turn as it writes a finished one")
        self.gap = before[len(opened) :]
        """What the template writes between the opening of the assistant's turn and its first word."""
        ends = self._ids(after)
        self.end = int(ends[0]) if ends else int(tokenizer.eos_token_id)
        """The token that ends the assistant's turn."""

    def open(self, system: str, user: str, picture: Sequence[int] | None) -> list[int]:
        """Tokens of the prompt up to where the assistant writes; `picture` are the tokens that stand for one."""
        rendered = self._render(self.harmless(system), self.harmless(user), picture is not None)
        if picture is None:
            return self._ids(rendered)
        before, found, after = rendered.partition(self._image)
        if not found:
            raise MemescopeError(f"the chat template writes no {self._image} for a picture")
        return [*self._ids(before), *picture, *self._ids(after)]

    def words(self, text: str) -> list[int]:
        """The tokens of a piece of text by itself."""
        return self._ids(self.harmless(text))

    def harmless(self, text: str) -> str:
        """The text with a space inside whatever the tokenizer would take for a mark of its own."""
        while True:
            found = self._marks.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
            if found == text:
                return found
            text = found

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _render(self, system: str, user: str, picture: bool, answer: str | None = None) -> str:
        content = [{"type": "image"}] if picture else []
        messages: list[dict[str, Any]] = []
        if system:
            messages.append({"role": "system", "content": [{"type": "text", "text": system}]})
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": user}]})
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        rendered: str = self._tokenizer.apply_chat_template(
            messages, chat_template=self._template, tokenize=False, add_generation_prompt=answer is None
        )
        return rendered
