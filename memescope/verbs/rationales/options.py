"""Options that every command with a teacher has, and the teacher they describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.address import check_address, key_for
from memescope.rationales.budget import Budget, Prices
from memescope.rationales.teacher import Teacher

TeacherUrl = Annotated[
    str,
    typer.Option(
        "--teacher",
        metavar="URL",
        help="An OpenAI-compatible endpoint, such as http://127.0.0.1:8081/v1 (memescope rationales serve, vLLM, "
        "Ollama) or https://api.openai.com/v1.",
    ),
]
ModelName = Annotated[str, typer.Option("--model", help="The model's name at the endpoint.")]
AllowRemote = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="The host outside this machine that may be sent texts. Without it, none may."),
]
KeyEnv = Annotated[
    str | None,
    typer.Option(
        metavar="VARIABLE",
        help="Environment variable with the key. Default: MEMESCOPE_TEACHER_KEY, else OPENAI_API_KEY for "
        "api.openai.com and AZURE_OPENAI_API_KEY for Azure.",
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, max=512, help="Requests under way at a time.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds that one request may take.")]
Retries = Annotated[
    int, typer.Option(min=0, max=50, help="How often a failed request is sent again (429, 5xx, broken connections).")
]
BudgetTokens = Annotated[
    int | None, typer.Option(min=0, help="Most tokens, in and out, that this run may use. Default: any number.")
]
BudgetUsd = Annotated[
    float | None, typer.Option(min=0, help="Most US dollars that this run may cost; needs both prices.")
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens sent.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens written.")]
Captions = Annotated[
    Path | None,
    typer.Option(help="What the pictures show: a JSON object of meme id and caption, or JSON lines of both."),
]
WithPictures = Annotated[bool, typer.Option("--with-pictures", help="Send the pictures too, scaled to 768 pixels.")]
Split = Annotated[
    list[str] | None, typer.Option(help="Only the memes of this split; repeat for several. Default: all.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many memes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


@dataclass(frozen=True)
class Reach:
    """The teacher's options, as one value."""

    teacher: str
    model: str
    allow_remote: str | None
    key_env: str | None
    concurrency: int
    timeout: float
    retries: int
    budget_tokens: int | None = None
    budget_usd: float | None = None
    price_in: float | None = None
    price_out: float | None = None

    def open(self) -> Teacher:
        """The teacher, once its address may be used and its budget makes sense. Nothing is sent yet."""
        if self.budget_usd is not None and (self.price_in is None or self.price_out is None):
            raise UsageError("--budget-usd needs --price-in and --price-out: prices differ by model and change")
        address = check_address(self.teacher, self.allow_remote)
        budget = Budget(self.budget_tokens, self.budget_usd, Prices(self.price_in or 0.0, self.price_out or 0.0))
        return Teacher(
            address,
            self.model,
            key_for(address, self.key_env),
            budget,
            timeout=self.timeout,
            tries=self.retries + 1,
            concurrency=self.concurrency,
        )


def chosen_memes(data: Path, split: list[str] | None, limit: int | None) -> list[Meme]:
    """The memes to work on; `UsageError` where a split is not there or nothing is left."""
    from memescope.datasets.opening import open_memes

    memes = open_memes(data)
    if split:
        there = list(dict.fromkeys(meme.split for meme in memes))
        if missing := [name for name in split if name not in there]:
            raise UsageError(f"--split {missing[0]}: {data} has {', '.join(str(name) for name in there) or 'none'}")
        memes = [meme for meme in memes if meme.split in split]
    if not memes:
        raise UsageError(f"{data}: there are no memes to work on")
    return memes[:limit]
