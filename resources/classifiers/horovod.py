"""Horovod, in a Python environment of its own.

Here: the engine `horovod:///folder/of/the/environment?workers=2`, and the driver that it starts
there (`python -m resources.classifiers.horovod WORKERS JOB ANSWER`), which is Horovod's own
launcher with gloo. The network is Keras's; on torch it is a torch module, whose gradients Horovod
averages.
Not here: reading jobs and writing weights (worker.py).
"""

import sys
from collections.abc import Callable
from typing import Any

from resources.classifiers import ClassifierJob, ClassifierResult


def variables(_: str) -> dict[str, str]:
    """What the driver's environment has."""
    return {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def drive(workers: int) -> Callable[[ClassifierJob], tuple[Any, ClassifierResult]]:
    """What trains a job in some processes."""

    def work(job: ClassifierJob) -> tuple[Any, ClassifierResult]:
        import horovod

        told = {"args": (job.to_json(),), "np": workers, "use_gloo": True}
        weights, losses, size = horovod.run(_train, **told)[0]
        engine = f"keras on torch by horovod {horovod.__version__}"
        return weights, ClassifierResult(engine, size, tuple(losses))

    return work


def _train(values: dict[str, Any]) -> Any:
    """In each process; all see the same batches and take their share of each."""
    import horovod.torch as hvd
    import keras
    import torch
    from torch.nn import functional

    from resources.classifiers import ClassifierJob
    from resources.classifiers.network import build, class_weights
    from resources.classifiers.worker import data_of

    hvd.init()
    job = ClassifierJob.from_json(values)
    settings, (features, labels) = job.hyperparameters, data_of(job)
    keras.utils.set_random_seed(settings.seed)
    model = build(keras, features.shape[1], job.classes, settings)
    adam = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    optimizer = hvd.DistributedOptimizer(adam, named_parameters=model.named_parameters())
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    x, y = torch.from_numpy(features), torch.from_numpy(labels).long()
    weight = torch.from_numpy(class_weights(labels, job.classes))
    shuffle = torch.Generator().manual_seed(settings.seed)
    losses = []
    for _ in range(settings.epochs):
        total = 0.0
        order = torch.randperm(len(y), generator=shuffle)
        for batch in torch.split(order, settings.batch_size):
            if len(batch) < hvd.size():
                continue
            own = batch[hvd.rank() :: hvd.size()]
            each = functional.cross_entropy(model(x[own], training=True), y[own], reduction="none")
            loss = (each * weight[y[own]]).sum() * hvd.size() / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(batch)
        losses.append(float(hvd.allreduce(torch.tensor(total / len(y)))))
    return model.get_weights(), losses, hvd.size()


if __name__ == "__main__":
    from resources.classifiers.worker import main

    main(drive(int(sys.argv.pop(1))))
