"""The gradients of one step, whatever the number of processes and the memory there is.

Here: each process encodes its share of a step's texts, all see all vectors, and the gradients are
those of one process with all texts; where memory runs out, fewer activations are held.
Not here: the loss (losses.py), the optimizer (resources/training/stepping).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from resources.training.contrastive.batches import Batches, Prepared, TokenIds, Tokens, passes
from resources.training.contrastive.losses import contrastive_loss
from resources.training.hyperparameters import Hyperparameters
from resources.training.pairs import Pairs, plan
from resources.training.stepping.memory import random_state, set_random_state
from resources.training.stepping.processes import backward, sum_gradients
from resources.training.stepping.run import Learned, Run

_PASS_TOKENS = {"cpu": 2_048, "cuda": 65_536}
"""Tokens that go through the model together: enough to keep the device busy, and on a processor few
enough for their activations to stay in its caches."""
_PASS_TEXTS = 1_024


class PairLesson:
    """Tells a run's encoder which passage answers which query."""

    def __init__(
        self, run: Run, pairs: Pairs, settings: Hyperparameters, base: Path, file: Path
    ) -> None:
        """Plan all steps.

        Args:
            run: Whose model learns.
            pairs: What it learns.
            settings: The recipe's.
            base: Folder of the base model, whose tokenizer it is.
            file: Where the pairs were read.

        Raises:
            ValueError: a batch has fewer pairs than there are processes.
        """
        self._run, self._pairs, self._settings, self._file = run, pairs, settings, file
        self._accelerator, self._encoder = run.accelerator, run.model
        processes, rank = run.accelerator.num_processes, run.accelerator.process_index
        self._plan = plan(len(pairs), settings.batch_size, run.total, settings.seed)
        if self._plan.shape[1] < processes:
            raise ValueError(
                f"a batch of {self._plan.shape[1]} pairs is too small for {processes} processes"
            )
        tokens = TokenIds(base, settings.max_tokens)
        self._batches = Batches(pairs, self._plan, tokens, rank, processes)

    def learn(self, step: int) -> Learned:
        """Leave the gradients of a step, of all processes, in place of earlier ones.

        Raises:
            OutOfMemoryError: memory runs out even with one text at a time.
        """
        batch = self._batches.of(step)
        what = f"texts of up to {len(batch.share[-1])} tokens: lower batch_size or max_tokens"
        loss = self._run.memory.fit(lambda: self._attempt(batch), step, batch.places.shape[1], what)
        return Learned(loss, len(batch.batch.queries) + len(batch.batch.candidates))

    def named(self, step: int) -> str:
        """Rows of a step's pairs in the file."""
        rows = self._pairs.lines(self._plan[step].tolist())
        return f"rows {', '.join(map(str, rows))} of {self._file}"

    def _attempt(self, step: Prepared) -> float | None:
        """None where memory ran out in some process."""
        memory = self._run.memory
        parts = memory.parts(len(step.share))
        whole = len(parts) == 1
        vectors, states = [], []
        with memory.short() as short, torch.set_grad_enabled(whole), self._accelerator.autocast():
            for part in parts:
                states.append(random_state())
                vectors.append(self._encode(step.share[part]))
        if short:
            return None
        own = torch.cat([each.detach() for each in vectors]).requires_grad_()
        loss = contrastive_loss(self._of_all(own, step), step.batch, self._settings)
        (gradient,) = torch.autograd.grad(loss, own)
        self._encoder.zero_grad()
        with memory.short() as short, self._accelerator.autocast():
            for number, part in enumerate(parts):
                if not whole:  # the same dropout as in the first pass
                    set_random_state(states[number])
                    vectors[number] = self._encode(step.share[part])
                backward(self._accelerator, (vectors[number] * gradient[part]).sum())
        if short:
            return None
        sum_gradients(self._accelerator, self._encoder)
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
