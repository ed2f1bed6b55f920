"""What several verbs' options have in common: those of models behind a server, and refusing what would do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from memescope.errors import UsageError

AllowRemote = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="With a model openai:URL: the host that memes may be sent to."),
]
KeyEnv = Annotated[
    str | None,
    typer.Option(metavar="VARIABLE", help="With a model openai:URL: environment variable with the key."),
]


def refuse(where: str, options: Mapping[str, object]) -> None:
    """`UsageError` naming the options that were given although they do nothing `where`, such as "without --run".

    `options` are values by name; one that is None, False or empty was not given.
    """
    if idle := [name for name, value in options.items() if value]:
        raise UsageError(f"{' and '.join(idle)} would do nothing {where}")
