"""The best model as an MLflow model: Keras flavor, a `.keras` file without pickles, signature and input example.

Why not `mlflow.keras`: it loads Keras into the supervisor (three to five seconds) to save what a child has saved
already, and `log_model` works through the global current run and tracking URI, where both are explicit here.  So the
folder that `mlflow.keras.save_model` would write is written by hand; a test loads one in a fresh process.
Requirements are given, since guessing them runs the model in a fresh process for several seconds.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array
from searchlab.lazy import lazy
from searchlab.tracking.mlflow.steps import Step

if TYPE_CHECKING:
    import mlflow.entities as entities
    import mlflow.models as models
    import mlflow.models.utils as examples
    import mlflow.pyfunc as pyfunc
    import mlflow.types as types
else:
    entities = lazy("mlflow.entities")
    models = lazy("mlflow.models")
    examples = lazy("mlflow.models.utils")
    pyfunc = lazy("mlflow.pyfunc")
    types = lazy("mlflow.types")

log = logging.getLogger(__name__)

RUNTIME = ("keras", "tensorflow", "jax", "torch", "numpy", "pandas", "mlflow")


DIGEST = "searchlab.sha256"
"""The tag with the hash of the model's file."""

FILES = "searchlab.files"
"""The tag with the hash of every file that was logged: what says how to load a model decides which code runs."""

FILE = "data/model.keras"
"""The model's file, in the folder that is logged."""


def model_step(
    run: str, study: str, model: Path, inputs: Array, outputs: Array, best: Mapping[str, Any] | None = None
) -> Step:
    """The step that stores the file `model` on the study's run; `best` is what `Content.best_facts` gives."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else ""
    few = {"inputs": _to_text(inputs[:2]), "outputs": _to_text(outputs[:2])}
    return Step(
        "model", run, time.time(), {"path": str(model), "sha256": digest, "name": study, **few, "best": best or {}}
    )


def write_model(client: Any, run_id: str, step: Step) -> None:
    """Do a `model` step, once; a fifth of a second once MLflow is loaded.  A file that is another by now is left."""
    body = step.body
    model, name = Path(body["path"]), body["name"]
    inputs, outputs = _from_text(body["inputs"]), _from_text(body["outputs"])
    if not model.exists() or hashlib.sha256(model.read_bytes()).hexdigest() != body["sha256"]:
        log.warning("%s is not the model that it was; it was not stored in MLflow", model)
        return
    if logged(client, run_id, body["sha256"]) is not None:
        return
    tags = {"searchlab.study": name, DIGEST: body["sha256"]}
    best = body.get("best") or {}
    if best:
        tags |= {"searchlab.trial": str(best["trial"]), "mlflow.note.content": best["note"]}
    made = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=name,
        source_run_id=run_id,
        tags=tags,
        model_type="keras",
        params=best.get("params"),
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "model")
            place.mkdir()
            written = models.Model(
                artifact_path=made.artifact_location,
                model_uuid=made.model_id,
                run_id=run_id,
                model_id=made.model_id,
            )
            written.signature = models.ModelSignature(inputs=_schema(inputs), outputs=_schema(outputs))
            _fill(place, written, model, inputs[:2])
            client.log_model_artifacts(made.model_id, str(place))
            client.set_logged_model_tags(made.model_id, {FILES: json.dumps(digests(place))})
        client.finalize_logged_model(made.model_id, "READY")
    except BaseException:
        with contextlib.suppress(Exception):
            client.finalize_logged_model(made.model_id, "FAILED")
        raise
    client.log_outputs(run_id, [entities.LoggedModelOutput(made.model_id, step=0)])
    for metric, value in best.get("metrics", {}).items():  # of the model; on the run they stand beside `objective`
        client.log_metric(run_id, metric, value, int(step.at * 1000), 0, model_id=made.model_id)


def logged(client: Any, run_id: str, sha256: str) -> Any | None:
    """The model of that hash that a run has logged; None when there is none."""
    run = client.get_run(run_id)
    for output in run.outputs.model_outputs if run.outputs else ():
        model = client.get_logged_model(output.model_id)
        if model.tags.get(DIGEST) == sha256:
            return model
    return None


def digests(folder: Path) -> dict[str, str]:
    """The hash of each file in `folder`, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def requirements() -> list[str]:
    """What serves the model, pinned to the versions that trained it; libraries that are not installed are left out."""
    found = []
    for library in RUNTIME:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{library}=={version(library)}")
    return found


def _fill(folder: Path, written: Any, model: Path, few: Array) -> None:
    """Write `folder` as `mlflow.keras.save_model` of MLflow 3 does, around a `.keras` file that is there already."""
    examples._save_example(written, few, str(folder))
    data = folder / "data"
    data.mkdir()
    (data / "keras_module.txt").write_text("keras", encoding="utf-8")
    shutil.copyfile(model, folder / FILE)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    written.add_flavor(
        "keras", data="data", keras_version=version("keras"), keras_backend=backend, save_exported_model=False
    )
    pyfunc.add_to_model(written, loader_module="mlflow.keras", conda_env="conda.yaml", python_env="python_env.yaml")
    written.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    written.save(str(folder / "MLmodel"))
    python, pip = platform.python_version(), requirements()
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": pip}],
    }
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    # JSON is YAML, and needs no library of its own here.
    (folder / "conda.yaml").write_text(json.dumps(conda, indent=1) + "\n", encoding="utf-8")
    (folder / "python_env.yaml").write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join(pip) + "\n", encoding="utf-8")


def _to_text(array: Array) -> str:
    with io.BytesIO() as file:
        np.save(file, array, allow_pickle=False)
        return base64.b64encode(file.getvalue()).decode()


def _from_text(text: str) -> Array:
    loaded: Array = np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
    return loaded


def _schema(array: Array) -> types.Schema:
    return types.Schema([types.TensorSpec(np.dtype(array.dtype), (-1, *array.shape[1:]))])
