"""Frozen weights of a language model, shared out over the processes that train its adapters (PyTorch's FSDP).

Each process keeps its part of every block and has the whole of a block only while that is computed, so a model that is
larger than one device can be trained. What is trained is whole in every process: batches, losses, checkpoints and runs
are those of processes that share nothing but batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from memescope.backbones.precision import best_device
from memescope.training.processes import is_first, processes

if TYPE_CHECKING:
    from memescope.models.vlm.model import VlmModel


def share_out(made: VlmModel) -> dict[str, int]:
    """Share out the frozen weights of the language model's blocks. Every process has to call this, and from then on
    to compute the same number of times. Gives how many `processes` share how many `parameters`, and how many of
    them this one (`here`) keeps."""
    device = best_device()
    mesh = init_device_mesh(device, (processes(),))
    text = made.vlm.text_model
    for block in text.layers:
        fully_shard(block, mesh=mesh, ignored_params={one for one in block.parameters() if one.requires_grad})
    inside = {one for block in text.layers for one in block.parameters()}
    # the language model itself shares nothing: it is told of its blocks, so that one is fetched while another computes
    fully_shard(text, mesh=mesh, ignored_params={one for one in text.parameters() if one not in inside})
    for block in text.layers:
        # buffers are made at the first gathering: made while answering (inference mode), they would be of no use later
        block.unshard()
        block.reshard()
    nn.Module.to(made, device)
    shares = [one for one in made.parameters() if isinstance(one, DTensor)]
    here = sum(one.to_local().numel() for one in shares)
    return {"processes": processes(), "parameters": sum(one.numel() for one in shares), "here": here}


def leave_alone(model: nn.Module) -> None:
    """Have processes that share batches (`DistributedDataParallel`) not look at weights that are shared out."""
    names = [name for name, one in model.named_parameters() if isinstance(one, DTensor)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)


def gather(made: VlmModel) -> None:
    """The whole weights in the first process, to be written. Every process has to call this; none computes after it."""
    for module in made.vlm.text_model.modules():
        own: dict[str, Any] = module._parameters
        for name, one in own.items():
            if isinstance(one, DTensor):
                whole = one.full_tensor()
                if is_first():
                    own[name] = nn.Parameter(whole.cpu(), requires_grad=False)
