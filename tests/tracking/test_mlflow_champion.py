import json
import subprocess
import sys

import numpy as np
import pytest

from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow.champion import requirements

SERVE = """
import json, sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
inputs = np.arange(12, dtype="float32").reshape(3, 4)
print(json.dumps(np.asarray(model.predict(inputs)).tolist()))
print(model.metadata.signature.inputs.to_json())
"""


@pytest.mark.slow
def test_the_best_model_serves_in_a_fresh_process(study, home):
    import keras
    import mlflow

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    inputs = np.arange(12, dtype="float32").reshape(3, 4)
    outputs = model.predict(inputs, verbose=0)
    session = TRACKERS.get("mlflow").open(None, experiment="small", home=home)
    study.tell(session)
    session.study_finished(study.result)
    model.save(home / "model.keras")
    for _ in range(2):  # a replay makes no second one
        session.log_model(home / "model.keras", inputs=inputs, outputs=outputs)
    assert session.close(60).is_complete
    store = f"sqlite:///{home / 'mlflow.db'}"
    client = mlflow.MlflowClient(store)
    (logged,) = client.search_logged_models([client.get_experiment_by_name("small").experiment_id])
    uri = f"models:/{logged.model_id}"
    done = subprocess.run(
        [sys.executable, "-c", SERVE, store, uri], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    served, signature = done.stdout.strip().splitlines()[-2:]
    np.testing.assert_allclose(json.loads(served), outputs, rtol=1e-5)
    assert json.loads(signature)[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 4]}
    assert str(logged.status) == "READY"
    files = [path.name for path in (home / "artifacts").rglob("*") if path.is_file() and "models" in str(path)]
    assert "model.keras" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".h5"))]
    outputs_of_run = client.get_run(logged.source_run_id).outputs.model_outputs
    assert [output.model_id for output in outputs_of_run] == [logged.model_id]


def test_requirements_are_pinned_and_name_no_place():
    found = requirements()
    assert any(line.startswith("keras==") for line in found)
    assert all("==" in line and "://" not in line and " " not in line for line in found)
