"""MLflow's model registry: versions told apart by digest, and two aliases.

Here: the calls the registry is made of, and the model's description (MLmodel).
Not here: which version wins (platform_assets/checkpoints/promotion.py).
"""

import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from resources.tracking import Kind
from resources.tracking.mlflow_session import Session, model_name

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model, ModelSignature

CHAMPION = "champion"
CHALLENGER = "challenger"
MEASURED = "measured"
"""Tag of a version that the gate has seen figures of."""
_FOLDERS: Mapping[Kind, str] = {
    "encoder": "model.sentence_transformer",  # where the sentence_transformers flavour looks
    "language_model": "adapter",
}


def versions(session: Session, kind: Kind, name: str | None = None) -> list["ModelVersion"]:
    """Registered versions, of one recipe or of all, newest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = session.client.search_model_versions(
            f"name = '{model_name(kind)}'", order_by=["version_number DESC"], page_token=token
        )
        found += (version for version in page if name in (None, version.tags.get(kind)))
        token = page.token
        if not token:
            return found


def version_of(session: Session, kind: Kind, name: str, digest: str) -> str | None:
    """Newest version of a recipe with this digest."""
    known = versions(session, kind, name)
    return next((str(each.version) for each in known if each.tags.get("digest") == digest), None)


def holder(session: Session, alias: str) -> tuple[str, str] | None:
    """(encoder, version) behind an alias."""
    name = model_name("encoder")
    for model in session.client.search_registered_models(f"name = '{name}'"):
        if alias in model.aliases:
            version = str(model.aliases[alias])
            tags = session.client.get_model_version(name, version).tags
            return str(tags["encoder"]), version
    return None


def move_challenger(session: Session) -> None:
    """Point `challenger` at the newest measured version that is not champion."""
    champion = (holder(session, CHAMPION) or ("", ""))[1]
    measured = (
        str(each.version)
        for each in versions(session, "encoder")
        if MEASURED in each.tags and str(each.version) != champion
    )
    name = model_name("encoder")
    if newest := next(measured, None):
        session.client.set_registered_model_alias(name, CHALLENGER, newest)
    elif holder(session, CHALLENGER):
        session.client.delete_registered_model_alias(name, CHALLENGER)


def publish(
    session: Session, kind: Kind, labels: Mapping[str, str], model_dir: Path, run_id: str | None
) -> str:
    """Upload a model folder and register it; returns the version.

    Raises:
        ValueError: the folder holds no safetensors (MLflow would upload nothing, silently).
    """
    if not any(model_dir.rglob("*.safetensors")):
        raise ValueError(f"{model_dir} holds no model: there are no safetensors in it")
    client = session.client
    model = client.create_logged_model(
        session.experiment(), name=labels[kind], source_run_id=run_id, tags=dict(labels)
    )
    try:
        client.log_model_artifacts(model.model_id, str(model_dir), _FOLDERS[kind])
        with tempfile.TemporaryDirectory() as folder:
            described = _described(kind, model_dir, model.model_id, run_id)
            described.save(str(Path(folder) / "MLmodel"))
            client.log_model_artifacts(model.model_id, folder)
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    if not client.search_registered_models(f"name = '{model_name(kind)}'"):
        client.create_registered_model(model_name(kind))
    # A server takes no source without the model's id. A database looks for a model without a run
    # in the tracking that is set for the whole process, which is another one.
    known = run_id is not None or client.tracking_uri.startswith("http")
    version = client.create_model_version(
        model_name(kind),
        model.artifact_location,
        run_id=run_id,
        tags=dict(labels),
        model_id=model.model_id if known else None,
    )
    return str(version.version)


def _described(kind: Kind, model_dir: Path, model_id: str, run_id: str | None) -> "Model":
    """The MLmodel file by which `mlflow.pyfunc` and `mlflow.sentence_transformers` load it.

    MLflow has no flavour for an adapter: that is loaded with peft from its folder.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    if kind != "encoder":
        return Model(run_id=run_id, model_id=model_id)
    model = Model(run_id=run_id, model_id=model_id, signature=_signature(model_dir))
    pyfunc.add_to_model(model, loader_module="mlflow.sentence_transformers", data=_FOLDERS[kind])
    release = installed_version("sentence-transformers")
    model.add_flavor("sentence_transformers", sentence_transformers_version=release, code=None)
    return model


def _signature(model_dir: Path) -> "ModelSignature | None":
    """Texts in, one float32 vector each out; None for a folder that says no dimensions."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    config = model_dir / "config.json"
    if not config.is_file():
        return None
    dimensions = int(json.loads(config.read_text())["hidden_size"])
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, dimensions))])
    return ModelSignature(Schema([ColSpec("string")]), outputs)
