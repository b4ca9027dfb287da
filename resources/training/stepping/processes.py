"""The processes of a training and their devices, by accelerate.

Here: what processes do together, which is what torch's DDP would do, but for sums in place of
means: a step may be cut as it comes. Not here: what is computed (contrastive/, causal/).
"""

import os

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs

from resources.training.hyperparameters import Precision


def accelerator_for(world_size: int, precision: Precision) -> Accelerator:
    """Accelerate on the hardware at hand; with `auto`, in bf16 where the chip computes in it.

    Raises:
        RuntimeError: the launcher started another number of processes than `world_size`.
    """
    cuda = torch.cuda.is_available()
    half = computes_in_bf16() if precision == "auto" else precision == "bf16"
    sharded = os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"
    accelerator = Accelerator(
        cpu=world_size > 1 and not cuda and not sharded,
        mixed_precision="bf16" if half else "no",
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")] if sharded and not cuda else None,
    )
    if sharded:  # DeepSpeed's own bf16 would round the weights; this rounds as the others do
        accelerator.state.deepspeed_plugin.deepspeed_config.update(
            bf16={"enabled": False}, torch_autocast={"enabled": half, "dtype": "bfloat16"}
        )
    if accelerator.num_processes != world_size:
        raise RuntimeError(
            f"{world_size} training processes were asked for, {accelerator.num_processes} run"
        )
    return accelerator


def computes_in_bf16() -> bool:
    """Whether the GPU, or else the processor, multiplies bf16 itself."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    chip = torch.cpu.get_capabilities()
    return bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether DeepSpeed shares out what processes hold."""
    return bool(accelerator.distributed_type == DistributedType.DEEPSPEED)


def backward(accelerator: Accelerator, loss: torch.Tensor) -> None:
    """Add the gradients of this process's part of a loss; see `sum_gradients`."""
    if is_sharded(accelerator):  # takes the mean over processes where a sum is due
        loss = loss * accelerator.num_processes
    accelerator.backward(loss)


def sum_gradients(accelerator: Accelerator, model: torch.nn.Module) -> None:
    """Let each process have the sum of all processes' gradients."""
    if accelerator.num_processes == 1 or is_sharded(accelerator):
        return
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    flat = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
    summed = accelerator.reduce(flat, "sum").split([each.numel() for each in weights])
    for weight, part in zip(weights, summed, strict=True):
        weight.grad = part.view_as(weight)


def anywhere(accelerator: Accelerator, *, here: bool) -> bool:
    """Whether something is so in any process."""
    if accelerator.num_processes == 1:
        return here
    flag = torch.tensor(float(here), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum") > 0)
