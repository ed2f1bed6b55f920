"""Several processes that train one model on shares of each batch (`torchrun`, `accelerate launch`).

Each has the whole model, learns from its share and answers the selection split for itself; the first one writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from memescope.errors import MemescopeError, UsageError

T = TypeVar("T")
SHARDED = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")
"""What accelerate sets where no process has the whole model."""
LONGEST = timedelta(days=2)
"""How long processes wait for one of them: while the first asks a teacher or waits for another run's stage."""


def processes() -> int:
    """How many train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the one that writes."""
    return processes() == 1 or os.environ.get("RANK", "0") == "0"


def begin() -> None:
    """Meet the others. `UsageError` where the model itself would be shared out."""
    if processes() == 1:
        return
    import torch
    from accelerate import PartialState

    if any(os.environ.get(name, "false").lower() in ("true", "1") for name in SHARDED):
        raise UsageError(
            "processes share batches here, and accelerate is not to share out weights (FSDP, DeepSpeed): for a model "
            "that is larger than a GPU take train.shard=true (recipes of memelens), or --export FORM for other tools"
        )
    PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST)


def wait_for_all() -> None:
    """Go on when every process is here."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def agreed(mine: bool) -> bool:
    """What the first process says, for decisions by the clock."""
    return bool(_from_first(mine)) if processes() > 1 else mine


def by_the_first(write: Callable[[], Any]) -> None:
    """Let the first process write; the others wait until it has."""
    if is_first():
        write()
    wait_for_all()


def found_by_the_first(find: Callable[[], T]) -> T:
    """What the first process finds, in every process: what cannot be found twice alike (a teacher's replies, chains
    that are drawn) is looked for once. What it raises, all raise."""
    if processes() == 1:
        return find()
    said: tuple[Any, MemescopeError | None] = (None, None)
    if is_first():
        try:
            said = find(), None
        except MemescopeError as error:
            said = None, error
    found, failure = _from_first(said)
    if failure is not None:
        raise failure
    return cast(T, found)


def _from_first(value: Any) -> Any:
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]
