"""Pictures of a study: interactive ones (plotly) and PNGs (matplotlib), both drawn by Optuna."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import optuna
from optuna.trial import TrialState

from searchlab.lazy import lazy
from searchlab.records import StudyResult
from searchlab.search import importance
from searchlab.search.replica import replica, short_names
from searchlab.search.storage import no_experimental_warnings
from searchlab.space import Choice, Int, Space

if TYPE_CHECKING:
    import matplotlib
    import matplotlib.pyplot as plt
    import matplotlib.ticker as ticker
    import plotly.graph_objects as go
else:
    matplotlib, plt, ticker = lazy("matplotlib"), lazy("matplotlib.pyplot"), lazy("matplotlib.ticker")

Figure: TypeAlias = "go.Figure"

MOST_AXES = 8
"""Parameters of one picture; the most important ones."""

ENOUGH = 10
"""So many complete trials make a picture by themselves."""

ACCENT = "#d1495b"
GRID = "#e6e6e6"


def load() -> None:
    """Load the libraries that draw: a second or two, to be spent while something else is waited for.

    Pandas among them, which plotly uses as soon as it sees it: half loaded where another thread (MLflow's) is at it.
    """
    importance.load()
    for name in ("pandas", "plotly.graph_objects", "matplotlib.pyplot", "optuna.visualization.matplotlib"):
        importlib.import_module(name)


def figures(result: StudyResult, space: Space) -> Mapping[str, Figure]:
    """Interactive figures by name, those for which the study has enough trials.

    history, parallel_coordinate, importances, slice, contour, intermediate_values, timeline.  Where fewer than ENOUGH
    trials are complete, pruned ones take part in the second and the fourth with the last value that they reached.
    """
    found: dict[str, Figure] = {}
    load()
    with no_experimental_warnings(), _quiet():
        for name, draw in _plots(result, space, optuna.visualization).items():
            figure = draw()
            figure.update_layout(
                template="plotly_white",
                title=None,
                width=None,
                autosize=True,
                height=460 if name != "timeline" else max(320, min(1200, 120 + 14 * len(result.trials))),
                margin={"l": 70, "r": 30, "t": 40, "b": 90},
                font={"family": "Inter, Helvetica, Arial, sans-serif", "size": 13},
            )
            for axes in (figure.select_xaxes({"type": "log"}), figure.select_yaxes({"type": "log"})):
                for axis in axes:
                    axis.update(exponentformat="power", dtick=1)
            if name == "intermediate_values":
                figure.update_layout(showlegend=False, xaxis_title="epoch", yaxis_title=result.objective.metric)
                for trace in figure.data:
                    colour, width, opacity = _curve_style(result, trace.name)
                    trace.update(mode="lines+markers", opacity=opacity, line={"color": colour, "width": width})
                    trace.update(marker={"color": colour, "size": 4})
            if name == "importances":
                figure.update_layout(showlegend=False, xaxis_title="importance", yaxis_title=None)
                figure.update_yaxes(automargin=True)
            found[name] = figure
    return found


def pictures(result: StudyResult, space: Space) -> Mapping[str, bytes]:
    """PNG files by name, as far as there are trials: all that `figures` has but contour and timeline."""
    found: dict[str, bytes] = {}
    with no_experimental_warnings(), _quiet(), _drawing():
        plots = _plots(result, space, optuna.visualization.matplotlib)
        for name in ("history", "parallel_coordinate", "importances", "slice", "intermediate_values"):
            if name in plots:
                found[name] = _png(name, plots[name](), result, space)
    return found


def _plots(result: StudyResult, space: Space, library: Any) -> Mapping[str, Callable[[], Any]]:
    """How to draw each picture that this study has enough trials for."""
    short = short_names(space)
    study = replica(space, result.objective, result.trials, names=short.__getitem__)
    enough = sum(record.state == "complete" for record in result.trials) >= ENOUGH
    tried = replica(space, result.objective, result.trials, names=short.__getitem__, pruned_count=not enough)
    with_value = tried.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shares: dict[str, float] = {}
    for name, share in importance.importances(space, result.objective, result.trials).items():
        shares[short[name]] = shares.get(short[name], 0.0) + share
    shares = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    present = dict.fromkeys(name for trial in with_value for name in trial.params)
    several = [name for name in present if len({str(t.params.get(name)) for t in with_value}) > 1]
    ranked = sorted(several, key=lambda name: -shares.get(name, 0.0))[:MOST_AXES]
    axes = [name for name in dict.fromkeys(short.values()) if name in ranked]  # in the order of the space
    numbers = {short[parameter.name] for parameter in space.varied if not isinstance(parameter.domain, Choice)}
    both = [name for name in ranked if name in numbers and all(name in trial.params for trial in with_value)][:2]
    metric = result.objective.metric
    plots: dict[str, Callable[[], Any]] = {}
    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        plots["history"] = lambda: library.plot_optimization_history(study, target_name=metric)
    if len(with_value) > 1 and axes:
        plots["parallel_coordinate"] = lambda: library.plot_parallel_coordinate(tried, params=axes, target_name=metric)
    if shares:
        plots["importances"] = lambda: library.plot_param_importances(
            tried, evaluator=_given(dict(list(shares.items())[:12])), target_name=metric
        )
    if len(with_value) > 1 and ranked:
        plots["slice"] = lambda: library.plot_slice(tried, params=ranked[:6], target_name=metric)
    if enough and len(both) == 2:
        plots["contour"] = lambda: library.plot_contour(tried, params=both, target_name=metric)
    if any(record.curve for record in result.trials):
        plots["intermediate_values"] = lambda: library.plot_intermediate_values(study)
    if study.trials:
        plots["timeline"] = lambda: library.plot_timeline(study)
    return plots


def _given(shares: dict[str, float]) -> Any:
    """Importances that are known already, as an evaluator of them (whose module is heavy: hence made when needed)."""

    class Given(optuna.importance.PedAnovaImportanceEvaluator):  # type: ignore[misc]
        def evaluate(self, study: Any, params: Any = None, *, target: Any = None) -> dict[str, float]:
            return shares

    return Given()


def _curve_style(result: StudyResult, name: str) -> tuple[str, float, float]:
    """Colour, width and opacity of the learning curve that Optuna calls "Trial17": the best trial stands out."""
    number = int("".join(filter(str.isdigit, name)) or -1)
    if result.best is not None and number == result.best.trial.number:
        return ACCENT, 2.6, 1.0
    is_complete = any(record.trial.number == number and record.state == "complete" for record in result.trials)
    return ("#4a6785", 1.2, 0.7) if is_complete else ("#9fb3c8", 1.0, 0.6)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's remarks on studies in memory and on trials that it leaves out are no news."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def _drawing() -> Iterator[None]:
    """Draw without a screen, and leave the caller's settings (a notebook's) as they were."""
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    try:
        with plt.rc_context():
            yield
    finally:
        plt.switch_backend(before)


def _png(name: str, drawn: Any, result: StudyResult, space: Space) -> bytes:
    figure = (next(iter(drawn.flat)) if hasattr(drawn, "flat") else drawn).figure
    figure.set_facecolor("white")
    if figure._suptitle is not None:
        figure._suptitle.set_text("")
    for axis in figure.axes:
        for place in ("left", "center", "right"):
            axis.set_title("", loc=place)
        axis.set_facecolor("white")
        axis.grid(visible=False, which="both")
        for scale in (axis.xaxis, axis.yaxis):
            if scale.get_scale() == "log":
                scale.set_minor_formatter(ticker.NullFormatter())
    figure.set_size_inches(10.0, 5.0)
    _FINISH[name](figure, result, space)
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=110, bbox_inches="tight", pad_inches=0.2)
    plt.close(figure)
    return memory.getvalue()


def _finish_history(figure: Any, result: StudyResult, space: Space) -> None:
    (axis,) = figure.axes
    axis.grid(visible=True, color=GRID, linewidth=0.8)
    axis.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axis.legend(loc="best", frameon=False)


def _finish_parallel(figure: Any, result: StudyResult, space: Space) -> None:
    figure.set_size_inches(12.0, 5.5)
    main = figure.axes[0]
    shorts = list(short_names(space).values())
    names = [_untruncated(text.get_text(), shorts) for text in main.get_xticklabels()]
    main.set_xticks(main.get_xticks(), names, rotation=25, ha="right")
    whole = {short for name, short in short_names(space).items() if isinstance(space[name].domain, Int)}
    twins = [axis for axis in figure.axes[1:] if axis.get_label() != "<colorbar>"]
    for label, axis in zip(names[1:], twins, strict=False):
        if label in whole and axis.get_yscale() == "linear" and not _is_worded(axis):
            axis.yaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))


def _finish_importances(figure: Any, result: StudyResult, space: Space) -> None:
    (axis,) = figure.axes
    axis.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.set_xlabel("importance")
    axis.set_ylabel("")
    if axis.get_legend() is not None:
        axis.get_legend().remove()


def _finish_slice(figure: Any, result: StudyResult, space: Space) -> None:
    figure.set_size_inches(max(6.0, 2.6 * (len(figure.axes) - 1)), 4.2)
    for axis in figure.axes:
        axis.xaxis.label.set_fontsize("medium" if len(axis.get_xlabel()) < 18 else "x-small")
        axis.tick_params(labelsize="small")
        if axis.get_label() != "<colorbar>":
            axis.grid(visible=True, color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)


def _finish_curves(figure: Any, result: StudyResult, space: Space) -> None:
    (axis,) = figure.axes
    axis.grid(visible=True, color=GRID, linewidth=0.8)
    axis.set_xlabel("epoch")
    axis.set_ylabel(result.objective.metric)
    axis.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if axis.get_legend() is not None:
        axis.get_legend().remove()
    for line in axis.lines:
        colour, width, opacity = _curve_style(result, str(line.get_label()))
        line.set(color=colour, linewidth=width, alpha=opacity, markersize=3, zorder=3 if colour == ACCENT else 2)


def _untruncated(text: str, names: Sequence[str]) -> str:
    """The name that Optuna cut to "optimizer.learnin..."."""
    start = text.removesuffix("...")
    return next((name for name in names if start != text and name.startswith(start)), text)


def _is_worded(axis: Any) -> bool:
    """Whether the axis has ticks with words ("None" for trials without the parameter), which must stay."""
    return isinstance(axis.yaxis.get_major_formatter(), ticker.FixedFormatter)


_FINISH: Mapping[str, Callable[[Any, StudyResult, Space], None]] = {
    "history": _finish_history,
    "parallel_coordinate": _finish_parallel,
    "importances": _finish_importances,
    "slice": _finish_slice,
    "intermediate_values": _finish_curves,
}
