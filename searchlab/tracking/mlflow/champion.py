"""The best model as an MLflow model: Keras flavor, a `.keras` file without pickles, signature and input example.

Why not `mlflow.keras.log_model`: it works through the global current run and tracking URI; here both are explicit.
Requirements are given, since guessing them runs the model in a fresh process for several seconds.
"""

from __future__ import annotations

import contextlib
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import mlflow.entities as entities
    import mlflow.keras as flavor
    import mlflow.models as models
    import mlflow.types as types
else:
    entities = lazy("mlflow.entities")
    flavor = lazy("mlflow.keras")
    models = lazy("mlflow.models")
    types = lazy("mlflow.types")

RUNTIME = ("keras", "tensorflow", "jax", "torch", "numpy", "pandas", "mlflow")


def write_model(client: Any, run_id: str, model: Any, *, name: str, inputs: Array, outputs: Array) -> str:
    """Store `model` on the run and return its URI, `models:/<id>`; takes some seconds (Keras and MLflow load)."""
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name=name, source_run_id=run_id, tags={"searchlab.study": name}, model_type="keras"
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "model")
            place.mkdir()
            written = models.Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                run_id=run_id,
                model_id=logged.model_id,
            )
            flavor.save_model(
                model,
                str(place),
                mlflow_model=written,
                signature=models.ModelSignature(inputs=_schema(inputs), outputs=_schema(outputs)),
                input_example=inputs[:2],
                pip_requirements=requirements(),
            )
            client.log_model_artifacts(logged.model_id, str(place))
        client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        with contextlib.suppress(Exception):
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.log_outputs(run_id, [entities.LoggedModelOutput(logged.model_id, step=0)])
    return f"models:/{logged.model_id}"


def requirements() -> list[str]:
    """What serves the model, pinned to the versions that trained it; libraries that are not installed are left out."""
    found = []
    for library in RUNTIME:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{library}=={version(library)}")
    return found


def _schema(array: Array) -> types.Schema:
    return types.Schema([types.TensorSpec(np.dtype(array.dtype), (-1, *array.shape[1:]))])
