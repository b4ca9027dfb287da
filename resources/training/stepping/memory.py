"""Running out of memory: fewer activations are held at a time, and the step stays what it is.

Here: how many texts go through the model together, and trying again with half of them.
Not here: what is done with those that do (contrastive/gradients.py, causal/gradients.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size

from resources.training.stepping.processes import anywhere, is_sharded


class OutOfMemoryError(RuntimeError):
    """Memory does not suffice however little is held at a time."""


class Memory:
    """How many texts of a step a process holds the activations of."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: torch.nn.Module,
        micro_batch: int | None,
        log: Callable[[str], None],
    ) -> None:
        """Begin as a recipe says.

        Raises:
            ValueError: DeepSpeed is to hold less than a step's texts.
        """
        self._accelerator, self._model, self._log = accelerator, model, log
        self.micro_batch = micro_batch
        """Texts whose activations are held at a time; None: all of a step's."""
        if is_sharded(accelerator) and micro_batch:
            raise ValueError("micro_batch: DeepSpeed holds a step's texts at once; leave it out")

    def parts(self, texts: int) -> list[slice]:
        """Texts whose activations are held together."""
        size = self.micro_batch or texts
        return [slice(at, at + size) for at in range(0, texts, size)]

    def fit(self, attempt: Callable[[], float | None], step: int, texts: int, what: str) -> float:
        """The loss that an attempt comes to, made again with half the texts while memory runs out.

        Each attempt draws the same random numbers.

        Args:
            attempt: Leaves gradients in place of earlier ones; None where memory ran out.
            step: Counted from 0.
            texts: Most texts of the step in a process.
            what: What a text is, and how to make it smaller, as `texts of up to 9 tokens: lower
                max_tokens`.

        Raises:
            OutOfMemoryError: memory runs out even with one text at a time.
        """
        random = random_state()
        try:
            while (loss := attempt()) is None:
                self._halve(step, texts, what)
                set_random_state(random)
        except RuntimeError as error:
            if should_reduce_batch_size(error):
                raise _too_much(step, texts, what) from error
            raise
        return loss

    @contextmanager
    def short(self) -> Iterator[list[str]]:
        """What goes wrong within for want of memory, instead of an error that keeps frames alive.

        Afterwards it is there in all processes, if in any. Under DeepSpeed, whose processes wait
        for each other within, the error passes.
        """
        found: list[str] = []
        try:
            yield found
        except RuntimeError as error:
            if is_sharded(self._accelerator) or not should_reduce_batch_size(error):
                raise
            found.append(str(error))
        if anywhere(self._accelerator, here=bool(found)) and not found:
            found.append("memory ran out in another process")

    def _halve(self, step: int, texts: int, what: str) -> None:
        held = min(self.micro_batch or texts, texts)
        if held == 1:
            raise _too_much(step, held, what)
        self.micro_batch = held // 2
        self._model.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._log(
            f"step {step + 1}: out of memory with the activations of {held} at a time; "
            f"micro_batch is {self.micro_batch} from here on, batch_size stays"
        )


def _too_much(step: int, held: int, what: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"step {step + 1}: memory ran out with the activations of {held} {what}"
    )


def random_state() -> list[torch.Tensor]:
    """States of torch's generators."""
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cuda]


def set_random_state(state: Sequence[torch.Tensor]) -> None:
    """Go back to states of torch's generators."""
    torch.set_rng_state(state[0])
    for cuda in state[1:]:
        torch.cuda.set_rng_state(cuda)
