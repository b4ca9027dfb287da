"""The gradients of one step, whatever the number of processes and the memory there is.

Here: each process encodes its share of a step's texts, all see all vectors, and the gradients are
those of one process with all texts; where memory runs out, fewer activations are held.
Not here: the loss (losses.py), the optimizer (loop.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from accelerate.utils.memory import should_reduce_batch_size
from torch.nn import functional

from resources.training.contrastive.batches import Prepared, Tokens, passes
from resources.training.contrastive.losses import contrastive_loss
from resources.training.hyperparameters import Hyperparameters

_PASS_TOKENS = {"cpu": 4_096, "cuda": 65_536}
"""Tokens that go through the model together: enough to keep the device busy."""
_PASS_TEXTS = 1_024


class OutOfMemoryError(RuntimeError):
    """Memory does not suffice however few texts are held at a time."""


class Gradients:
    """Computes losses and leaves gradients at the encoder's weights."""

    def __init__(
        self,
        accelerator: Accelerator,
        encoder: torch.nn.Module,
        settings: Hyperparameters,
        log: Callable[[str], None],
    ) -> None:
        self._accelerator, self._encoder, self._settings = accelerator, encoder, settings
        self._log = log
        self._deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
        self.micro_batch = settings.micro_batch
        """Texts whose activations are held at a time; None: all of them."""
        if self._deepspeed and self.micro_batch:
            raise ValueError("micro_batch: DeepSpeed holds a step's texts at once; leave it out")

    def of(self, step: Prepared) -> float:
        """The loss of a step; its gradients, of all processes, take the place of earlier ones.

        Raises:
            OutOfMemoryError: memory runs out even with one text at a time.
        """
        while True:
            loss = self._attempt(step)
            if loss is not None:
                return loss
            self._halve(step)

    def _attempt(self, step: Prepared) -> float | None:
        """None where memory ran out in some process."""
        parts = list(_parts(len(step.share), self.micro_batch))
        whole = len(parts) == 1
        vectors, states = [], []
        with _memory() as short, torch.set_grad_enabled(whole), self._accelerator.autocast():
            for part in parts:
                states.append(_random_state())
                vectors.append(self._encode(step.share[part]))
        if self._anywhere(short):
            return None
        own = torch.cat([each.detach() for each in vectors]).requires_grad_()
        loss = contrastive_loss(self._of_all(own, step), step.batch, self._settings)
        (gradient,) = torch.autograd.grad(loss, own)
        self._encoder.zero_grad()
        with _memory() as short, self._accelerator.autocast():
            for number, part in enumerate(parts):
                if not whole:  # the same dropout as in the first pass
                    _set_random_state(states[number])
                    vectors[number] = self._encode(step.share[part])
                self._backward(vectors[number], gradient[part])
        if self._anywhere(short):
            return None
        self._sum_gradients()
        return float(loss.detach())

    def _encode(self, texts: Sequence[Tokens]) -> torch.Tensor:
        lengths = [len(text) for text in texts]
        most = _PASS_TOKENS[self._accelerator.device.type]
        return torch.cat([self._encoder(texts[at]) for at in passes(lengths, _PASS_TEXTS, most)])

    def _of_all(self, own: torch.Tensor, step: Prepared) -> torch.Tensor:
        """Vectors of all processes in the batch's order; only this one's carry gradients.

        All processes compute the same loss from the same vectors, each the gradients of its own;
        their sum is the gradient of one process with all texts.
        """
        processes, most = step.places.shape
        filled = functional.pad(own.detach(), (0, 0, 0, most - len(own)))
        vectors = self._accelerator.gather(filled).view(processes, most, -1).clone()
        vectors[self._accelerator.process_index, : len(own)] = own
        places = torch.from_numpy(step.places).flatten().to(own.device)
        taken = places >= 0
        found: torch.Tensor = vectors.flatten(0, 1)[taken][places[taken].argsort()]
        return found

    def _backward(self, vectors: torch.Tensor, gradient: torch.Tensor) -> None:
        total = (vectors * gradient).sum()
        if self._deepspeed:  # takes the mean over processes where a sum is due
            total = total * self._accelerator.num_processes
        self._accelerator.backward(total)

    def _sum_gradients(self) -> None:
        if self._accelerator.num_processes == 1 or self._deepspeed:
            return
        weights = [weight for weight in self._encoder.parameters() if weight.grad is not None]
        flat = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
        summed = self._accelerator.reduce(flat, "sum").split([each.numel() for each in weights])
        for weight, part in zip(weights, summed, strict=True):
            weight.grad = part.view_as(weight)

    def _anywhere(self, short: Sequence[str]) -> bool:
        """Whether memory ran out in any process."""
        if self._accelerator.num_processes == 1:
            return bool(short)
        flag = torch.tensor(float(bool(short)), device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, "sum") > 0)

    def _halve(self, step: Prepared) -> None:
        most = step.places.shape[1]
        held = min(self.micro_batch or most, most)
        if held == 1 or self._deepspeed:
            raise OutOfMemoryError(
                f"step {step.number + 1}: memory ran out with the activations of {held} texts of "
                f"up to {len(step.share[-1])} tokens: lower batch_size or max_tokens"
            )
        self.micro_batch = held // 2
        self._encoder.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._log(
            f"step {step.number + 1}: out of memory with the activations of {held} texts; "
            f"micro_batch is {self.micro_batch} from here on, the step's negatives stay"
        )


def _parts(texts: int, size: int | None) -> Iterator[slice]:
    """Texts whose activations are held together."""
    return (slice(at, at + (size or texts)) for at in range(0, texts, size or texts))


@contextmanager
def _memory() -> Iterator[list[str]]:
    """What goes wrong within for want of memory, instead of an error that keeps frames alive."""
    short: list[str] = []
    try:
        yield short
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        short.append(str(error))


def _random_state() -> list[torch.Tensor]:
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cuda]


def _set_random_state(state: Sequence[torch.Tensor]) -> None:
    torch.set_rng_state(state[0])
    for cuda in state[1:]:
        torch.cuda.set_rng_state(cuda)
