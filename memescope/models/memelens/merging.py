"""Adapters of several runs made into one: linear, TIES (arXiv 2306.01708) and DARE (arXiv 2311.03099), through PEFT.

The released MemeLens code merges the adapters of its two stages by TIES (weights 1 and 1, density 0.2, the sign by
total) as another way to one model. Runs are merged that start from the same weights: what adapters change is added up.
Parts that are no adapter (a TinyVLM's projector) are averaged with the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from memescope.errors import UsageError

How = Literal["linear", "ties", "dare_linear", "dare_ties"]
MERGED = "merged"


def merge_runs(
    runs: Sequence[str | Path],
    out: str | Path,
    how: How = "ties",
    weights: Sequence[float] = (),
    density: float = 0.2,
    sign: Literal["total", "frequency"] = "total",
    seed: int = 0,
) -> Path:
    """Write a run folder whose adapter is made of those of `runs`; everything else is that of the first.

    `weights`: one for each run (1). `density`: the share of an adapter's changes that TIES and DARE keep. `sign`: how
    TIES settles which way a weight goes. `seed`: of what DARE drops. The new run has no calibration, so it abstains
    from everything; `memescope eval` measures it all the same. Raises `UsageError` for runs that cannot be merged.
    """
    import torch

    from memescope.models.memelens import MemeLens, load_folder
    from memescope.models.vlm import saving

    if how not in get_args(How):
        raise UsageError(f"merging by {how!r}: expected one of {', '.join(get_args(How))}")
    if len(runs) < 2 or (weights and len(weights) != len(runs)):
        raise UsageError(
            f"merging {len(runs)} runs with {len(weights) or 'no'} weights: expected 2 runs or more, a weight each"
        )
    if not 0 < density <= 1:
        raise UsageError(f"density {density}: expected more than 0 and at most 1")
    shares = list(weights) or [1.0] * len(runs)
    # all of them at once: more than a GPU may hold
    models = [load_folder(Path(run)).to("cpu") for run in runs]
    for run, model in zip(runs, models, strict=True):
        if not isinstance(model, MemeLens) or model.peft is None or (model.config.settings or {}).get("head"):
            raise UsageError(f"{run}: has no adapter to merge; a run of one stage with model.lora has one")
    first = models[0]
    _check_base(runs, models)
    names = ["default"]
    for number, run in enumerate(runs[1:], 1):
        names.append(f"run{number}")
        first.peft.load_adapter(str(Path(run) / saving.ADAPTER), adapter_name=names[-1])
    options: dict[str, Any] = {} if how == "linear" else {"density": density}
    if how.endswith("ties"):
        options["majority_sign_method"] = sign
    torch.manual_seed(seed)
    try:
        first.peft.add_weighted_adapter(names, shares, MERGED, combination_type=how, **options)
    except ValueError as error:
        raise UsageError(f"the adapters cannot be merged by {how}: {error}") from None
    first.peft.set_adapter(MERGED)
    for name in names:
        first.peft.delete_adapter(name)
    _average([model.vlm.new_parts() for model in models], shares)
    config = first.config
    config.name = f"{config.name}-{how}"
    config.calibration, config.abstain = None, dict.fromkeys(first.tasks)
    config.card = {
        task: {**its, "merged": [str(model.version) for model in models]} for task, its in first.card.items()
    }
    first.change(languages=_languages(models))
    # whoever has no adapter by its usual name reads weights: the merged adapter goes into them
    first.merge()
    config.whole = True
    first.save_pretrained(Path(out))
    return Path(out)


def _languages(models: Sequence[Any]) -> dict[str, tuple[str, ...]] | None:
    """What any of the runs learnt; None where that of one is not known."""
    known = [model.manner.languages for model in models]
    if any(one is None for one in known):
        return None
    tasks = sorted({task for one in known for task in one})
    return {task: tuple(sorted({lang for one in known for lang in one.get(task, ())})) for task in tasks}


def _check_base(runs: Sequence[str | Path], models: Sequence[Any]) -> None:
    """Adapters are changes of the same weights, or their sum means nothing."""
    import torch

    def frozen(model: Any) -> dict[str, Any]:
        state: dict[str, Any] = model.core.state_dict()
        new = {id(p) for part in model.vlm.new_parts() for p in part.state_dict(keep_vars=True).values()}
        held = model.core.state_dict(keep_vars=True)
        return {name: value for name, value in state.items() if ".lora_" not in name and id(held[name]) not in new}

    first = frozen(models[0])
    for run, model in zip(runs[1:], models[1:], strict=True):
        other = frozen(model)
        if set(other) != set(first) or not all(torch.equal(first[name], other[name]) for name in first):
            raise UsageError(
                f"{run}: its adapter changes other weights than that of {runs[0]} (another model, or a later stage, "
                "whose start was merged); merge runs of one stage with one language model"
            )


def _average(parts: Sequence[Sequence[Any]], shares: Sequence[float]) -> None:
    """The first run's unpretrained parts become the weighted mean of all runs'."""
    import torch

    whole = sum(shares)
    with torch.no_grad():
        for same in zip(*parts, strict=True):
            states = [part.state_dict() for part in same]
            for name, value in same[0].state_dict().items():
                mean = sum(share * state[name].double() for share, state in zip(shares, states, strict=True)) / whole
                value.copy_(mean.to(value.dtype))
