import base64
import json
import zlib

from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow.view import view_page, view_tag


def decoded(value):
    state = json.loads(value)["state"]
    assert state.startswith("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))


def test_the_view_sorts_filters_and_draws_the_study(study):
    key, value = view_tag(study.start, ("model.depth", "optimizer.learning_rate"), 1.0)
    state = decoded(value)
    assert key.startswith("mlflow.sharedViewState.")
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`objective`", False)
    assert study.start.uid in state["searchFilter"]
    parallel, curve, *_ = state["compareRunCharts"]
    assert parallel["selectedParams"] == ["model.depth", "log10 optimizer.learning_rate"]
    assert (curve["type"], curve["metricKey"]) == ("LINE", "val_accuracy")
    assert len(value) < 20_000  # an experiment tag holds no more


def test_the_address_names_the_view_and_carries_no_filter_of_its_own(study):
    page = view_page(study.start, "http://user:secret@host:5000", "7")
    key, _ = view_tag(study.start, (), 1.0)
    assert page.startswith("http://host:5000/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART")
    assert page.endswith(f"viewStateShareKey={key.rpartition('.')[2]}")
    assert "searchFilter" not in page  # the UI would ignore the view


def test_axes_are_those_parameters_that_every_trial_has(study, home):
    session = TRACKERS.get("mlflow").open(None, experiment="small", home=home)
    study.tell(session)
    url = session.view_url(60)
    session.close(60)
    assert url is not None
    assert url.startswith("/#/experiments/")
    import mlflow

    tags = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_experiment_by_name("small").tags
    value = next(value for key, value in tags.items() if key.startswith("mlflow.sharedViewState."))
    params = decoded(value)["compareRunCharts"][0]["selectedParams"]
    assert params == ["model.depth", "optimizer", "log10 optimizer.learning_rate"]  # momentum: sgd's alone
