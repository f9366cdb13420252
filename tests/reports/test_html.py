import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest
from sample_records import record

from searchlab.records import Confusion, TestScore
from searchlab.reports.html import render

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, scripts, and the text outside of them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.words, self._inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else self._inside
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._inside = None if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._inside is None:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def figures():
    return {"History": go.Figure(go.Scatter(y=[1, 2])), "Slice": go.Figure(go.Bar(y=[1]))}


def confusion(k):
    counts = tuple(tuple(9 if i == j else int(j == i + 1) for j in range(k)) for i in range(k))
    return Confusion(2, (HOSTILE, *(f"class {i}" for i in range(1, k))), counts)


def test_classes_are_shown_with_their_confusion_and_many_of_them_with_the_worst_of_it(result):
    assert "Class by class" not in render(result, made=MADE)
    few, many = (Page(render(replace(result, confusion=confusion(k)), made=MADE)) for k in (3, 40))
    assert "Of trial 2, on the validation examples." in few.text and HOSTILE in few.text
    shades = [dict(attributes)["style"] for tag, attributes in few.tags if tag == "td" and "style" in attributes]
    assert shades == [f"--share: {share}" for share in "0.90 0.10 0.00 0.00 0.90 0.10 0.00 0.00 1.00".split()]
    assert "The most frequent mistakes" in many.text and "class 30 class 31" not in many.text
    assert not [tag for tag, attributes in many.tags if tag == "td" and "style" in attributes]


def test_the_file_stands_alone(result, figures):
    page = Page(render(replace(result, confusion=confusion(3)), figures, made=MADE))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert not {"src", "href", "srcset", "action"} & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_the_policy_allows_exactly_the_scripts_of_the_file(result, figures):
    page = Page(render(result, figures, made=MADE))
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    code = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert len(code) == 2  # Plotly once, and ours


def test_figures_are_data_in_their_order(result, figures):
    page = Page(render(result, figures, made=MADE))
    data = [json.loads(text) for attributes, text in page.scripts if attributes.get("type") == "application/json"]
    assert [figure["data"][0]["type"] for figure in data] == ["scatter", "bar"]
    assert page.text.index("History") < page.text.index("Slice")


def test_without_figures_the_file_is_small_and_still_sorts(result):
    text = render(result, made=MADE)
    assert len(text) < 40_000
    assert "aria-sort" in text
    assert "Plotly.newPlot" not in text


def test_everything_that_a_person_wrote_is_shown_and_not_obeyed(result):
    figure = go.Figure(go.Scatter(y=[1], name=HOSTILE))
    hostile = replace(
        result,
        name=HOSTILE,
        trials=(record(0, 0.9, **{"model.cnn.activation": HOSTILE}), record(1, 0.8)),
        facts={HOSTILE: {HOSTILE: [HOSTILE]}},
    )
    text = render(hostile, {HOSTILE: figure}, description=HOSTILE, resolved=HOSTILE, made=MADE)
    assert "<script>alert" not in text
    page = Page(text)
    assert page.text.count(HOSTILE) >= 8
    data = next(text for attributes, text in page.scripts if attributes.get("type") == "application/json")
    assert json.loads(data)["data"][0]["name"] == HOSTILE


def test_no_figure_can_end_its_element(result):
    class Raw:
        def to_json(self):
            return json.dumps({"data": [{"name": "</script><script>alert(1)</script>"}], "layout": {}})

    text = render(result, {"raw": Raw()}, made=MADE)
    assert "</script><script>alert" not in text


def test_it_tells_the_best_the_trials_and_the_facts(result):
    page = Page(render(result, description="A small study.", resolved="study: small", made=MADE))
    for words in (
        "93.0 %",
        "4 of 5",
        "sealed",
        "A small study.",
        "model.depth",
        "digits",
        "keras 3.15.1",
        "study: small",
    ):
        assert words in page.text
    rows = [attributes for tag, attributes in page.tags if tag == "tr"]
    assert len(rows) == (1 + 2) + (1 + 4)  # two complete trials, then all four, under a head each
    assert sum(attributes.get("class") == "best" for attributes in rows) == 1


def test_the_test_section_stands_in_for_the_seal(result):
    score = TestScore(2, {"accuracy": 0.5}, {"accuracy": (0.45, 0.55)}, "Wilson", 400, 2)
    page = Page(render(replace(result, test=score), made=MADE))
    assert "sealed" not in page.text
    assert "test opened 2 times" in page.text
    assert ("p", {"class": "warning"}) in page.tags


def test_the_tile_shows_the_objective_and_not_whatever_comes_first(result):
    score = TestScore(2, {"test_loss": 0.31, "test_accuracy": 0.925}, {"test_accuracy": (0.9, 0.95)}, "Wilson", 400, 1)
    text = Page(render(replace(result, test=score), made=MADE)).text
    assert "test accuracy 92.5 % 95 %: 90.0 % to 95.0 %" in text


def test_an_empty_study_and_one_of_failures_have_a_page(result):
    for trials in ((), (record(3, None, "failed"),)):
        page = Page(render(replace(result, trials=trials), made=MADE))
        assert "small" in page.text


def test_the_same_study_gives_the_same_bytes(result, figures):
    assert render(result, figures, made=MADE) == render(result, figures, made=MADE)
