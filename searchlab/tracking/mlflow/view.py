"""A saved view of a study's trials in the MLflow UI: sorted flat list, parallel coordinates, validation curves.

The UI keeps its views in experiment tags, `mlflow.sharedViewState.<key>` = JSON whose `state` is the deflated view;
`&viewStateShareKey=<key>` opens one.  The format is not documented (read from MLflow 3.17's own views), so it is best
effort: where another version cannot read it, the link still opens the experiment's runs.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from searchlab.tracking import StudyStart
from searchlab.tracking.mlflow import places
from searchlab.tracking.mlflow.words import log_label, safe_key

SPACE, CURVES = "searchlab-space", "searchlab-curves"
MOST_PARAMS = 8
"""Axes that a parallel-coordinates chart can show and still be read."""


def view_tag(start: StudyStart, axes: Sequence[str], now: float) -> tuple[str, str]:
    """The experiment tag that holds the view: its key and value.

    `axes` are the labels to draw as parallel coordinates; the chart leaves out every trial that lacks one of them.
    """
    state = base64.b64encode(zlib.compress(json.dumps(_state(start, axes), separators=(",", ":")).encode())).decode()
    stamp = int(now * 1000)
    value = {"name": f"{start.name}: trials", "createdAt": stamp, "updatedAt": stamp, "state": f"deflate;{state}"}
    return f"mlflow.sharedViewState.{places.view_key(start.uid)}", json.dumps(value)


def view_page(start: StudyStart, uri: str, experiment_id: str) -> str:
    """The address that opens the view."""
    return places.page(uri, places.view(start.uid, experiment_id))


def _filter(start: StudyStart) -> str:
    return f"tags.`searchlab.study_uid` = '{start.uid}' and tags.`searchlab.kind` = 'trial'"


def _state(start: StudyStart, axes: Sequence[str]) -> dict[str, Any]:
    params = [log_label(name) if name in start.log_scaled else safe_key(name) for name in axes[:MOST_PARAMS]]
    columns = [f"params.`{safe_key(name)}`" for name in start.varied]
    metrics = ["objective", "epochs"]
    curves = list(dict.fromkeys([start.objective.metric, "val_loss", "loss"]))
    charts = [_parallel(params)] + [_curve(place, metric) for place, metric in enumerate(curves)]
    return {
        "searchFilter": _filter(start),
        "orderByKey": "metrics.`objective`",
        "orderByAsc": start.objective.direction == "minimize",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            "attributes.`Created`",
            *(f"metrics.`{name}`" for name in metrics),
            *columns,
            "tags.`searchlab.state`",
        ],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsHidden": [],
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": [_section(SPACE, start.name, 1, 420), _section(CURVES, "Curves", 2, 360)],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # else the UI sorts the sections by name
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _section(uuid: str, name: str, columns: int, height: int) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,
    }


def _parallel(params: list[str]) -> dict[str, Any]:
    return {
        "uuid": "searchlab-parallel",
        "type": "PARALLEL",
        "runsCountToCompare": 1000,
        "metricSectionId": SPACE,
        "deleted": False,
        "isGenerated": False,
        "displayName": "Search space",
        "selectedParams": params,
        "selectedMetrics": ["objective"],
        "showAllRuns": False,
    }


def _curve(place: int, metric: str) -> dict[str, Any]:
    return {
        "uuid": f"searchlab-curve-{place}",
        "type": "LINE",
        "runsCountToCompare": 100,
        "metricSectionId": CURVES,
        "deleted": False,
        "isGenerated": False,
        "displayName": metric,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
