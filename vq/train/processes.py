"""Training by several processes: each takes its share of every batch, and together they do what one would do alone.

`accelerate launch` starts them. The networks stay bare, without DistributedDataParallel: an adversarial phase freezes
parts halfway and passes through a discriminator without moving it, and that wrapper allows neither. Checkpoints are
therefore the same for any number of processes.
"""

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast
from torch import Tensor, nn

# While the first process encodes, validates or saves, the others wait.
PATIENCE = timedelta(hours=2)


def best_precision(device: torch.device) -> str:
    """ "bf16" where the hardware multiplies it (a GPU, or AMX or AVX512_BF16), else "no": emulated, it is slow."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16" if device.type == "cpu" and native else "no"


def make_accelerator(device: str, precision: str, batch: int) -> tuple[Accelerator, str]:
    """The accelerator for "auto" or "cpu", and the precision it computes in; "auto" is `best_precision`.

    Raises ValueError if the processes can't share the device, or a batch of this many items.
    """
    # Processes on a machine without a GPU find each other only when they are told so.
    cpu = device == "cpu" or not torch.accelerator.is_available()
    # An Accelerator can't be made twice with different precisions: ask its base for the device.
    state = PartialState(cpu=cpu, timeout=PATIENCE)
    if precision == "auto":
        precision = best_precision(state.device)
    accelerator = Accelerator(cpu=cpu, mixed_precision=precision)
    count, started = accelerator.num_processes, int(os.environ.get("WORLD_SIZE", "1"))
    if count != started:
        raise ValueError(f"--device {device}: {started} processes can't share this one; try --device cpu")
    if batch % count:
        raise ValueError(f"a batch of {batch} can't be shared equally by {count} processes: --set batch=N changes it")
    return accelerator, precision


def left_alone() -> bool:
    """Whether `accelerate launch` was asked for several processes but started only this one."""
    # Where it finds no GPUs, it tells one process where to meet the others, and starts no others.
    return {"ACCELERATE_USE_CPU", "MASTER_ADDR"} <= os.environ.keys() and PartialState().num_processes == 1


def prepare(accelerator: Accelerator, ema: Any, *parts: Any) -> list[Any]:
    """Networks and optimizers, prepared; networks and averages are those of the first process everywhere."""
    prepared = [
        accelerator.prepare_model(part, evaluation_mode=True)  # which leaves out DistributedDataParallel
        if isinstance(part, nn.Module)
        else accelerator.prepare(part)
        for part in parts
    ]
    ema.to(accelerator.device)
    networks = [part for part in parts if isinstance(part, nn.Module)]
    if accelerator.num_processes > 1:
        _exchange([*(p.data for net in networks for p in net.parameters()), *ema.shadow_params], broadcast)
    return prepared


def average_gradients(accelerator: Accelerator, parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    if accelerator.num_processes > 1:
        gradients = [p.grad for p in parameters if p.grad is not None]
        _exchange(gradients, lambda vector: accelerator.reduce(vector, "mean"))


def whole_batch(accelerator: Accelerator, share: Tensor) -> Tensor:
    """(b,...) -> (B,...): the shares of all processes, in the order in which one process would have them."""
    if accelerator.num_processes == 1:
        return share
    # Process r of n has the items r, r + n, r + 2n, ...
    return accelerator.gather(share).unflatten(0, (accelerator.num_processes, -1)).transpose(0, 1).flatten(0, 1)


def _exchange(tensors: list[Tensor], operation: Callable[[Tensor], Tensor]) -> None:
    """Send the tensors through `operation` as one vector, faster than one by one, and take back the outcome."""
    vector = operation(torch.cat([t.flatten() for t in tensors]))
    for tensor, part in zip(tensors, vector.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
