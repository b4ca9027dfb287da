"""The gradients of one step of a decoder, whatever the number of processes and the memory there is.

Here: each process takes its share of a step's blocks, and the gradients are those of one process
with all of them; where memory runs out, fewer blocks at a time.
Not here: the optimizer (resources/training/stepping), where blocks come from (blocks.py).
"""

from pathlib import Path

import torch

from resources.training.causal import CausalHyperparameters
from resources.training.causal.blocks import Blocks
from resources.training.pairs import plan
from resources.training.stepping.processes import backward, sum_gradients
from resources.training.stepping.run import Learned, Run


class BlockLesson:
    """Tells a run's decoder how texts go on."""

    def __init__(
        self, run: Run, blocks: Blocks, settings: CausalHyperparameters, file: Path
    ) -> None:
        """Plan all steps; `file` is where the texts were read."""
        self._run, self._blocks, self._file = run, blocks, file
        self._plan = plan(len(blocks), settings.batch_size, run.total, settings.seed)

    def learn(self, step: int) -> Learned:
        """Leave the gradients of a step, of all processes, in place of earlier ones.

        Raises:
            OutOfMemoryError: memory runs out even with one block at a time.
        """
        accelerator, size = self._run.accelerator, self._plan.shape[1]
        rank, processes = accelerator.process_index, accelerator.num_processes
        own = torch.from_numpy(self._blocks[self._plan[step, rank::processes]])
        what = f"blocks of {own.shape[1]} tokens: lower batch_size or tokens"
        most = -(-size // processes)
        loss = self._run.memory.fit(lambda: self._attempt(own, size), step, most, what)
        return Learned(loss, size)

    def named(self, step: int) -> str:
        """Blocks of a step, counted from 0 in the texts, which are sorted and joined."""
        blocks = ", ".join(map(str, sorted(self._plan[step].tolist())))
        return f"blocks {blocks} of {self._file}"

    def _attempt(self, own: torch.Tensor, size: int) -> float | None:
        """Mean loss a token of a step of `size` blocks; None where memory ran out somewhere."""
        accelerator, model, memory = self._run.accelerator, self._run.model, self._run.memory
        total = torch.zeros((), device=accelerator.device)
        model.zero_grad()
        with memory.short() as short:
            for part in memory.parts(len(own)):
                ids = own[part].to(accelerator.device)
                loss = model(input_ids=ids, labels=ids).loss * (len(ids) / size)
                backward(accelerator, loss)
                total += loss.detach()
        if short:
            return None
        sum_gradients(accelerator, model)
        return float(accelerator.reduce(total, "sum"))
