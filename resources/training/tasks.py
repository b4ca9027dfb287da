"""What a worker can train: which loop a job is for.

Here: the choice. Not here: the loops (contrastive/, causal/), each imported only when it runs.
"""

from collections.abc import Callable

from resources.training import TrainingJob, TrainingResult
from resources.training.progress import Stepped, unwatched


def train(
    job: TrainingJob,
    world_size: int,
    log: Callable[[str], None],
    stepped: Stepped = unwatched,
) -> TrainingResult:
    """Run a job to its end, telling each step's loss; raises what its loop raises."""
    if job.task == "causal":
        from resources.training.causal import loop as causal

        return causal.train(job, world_size, log, stepped)
    from resources.training.contrastive import loop as contrastive

    return contrastive.train(job, world_size, log, stepped)
