"""Which worker serves which study: priorities, users, quotas; and the tables, in SQLite and PostgreSQL."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres import url_of

from searchlab.errors import SpecError, StudyConflict, UnknownName
from searchlab.search.queue import QUEUE, WORKERS, AtWork, Entry, Queue, pick, quota_of


def entry(study: str, owner: str = "ann", **values: object) -> Entry:
    """A study with plenty to do."""
    return Entry(study, owner, "", "", **{"state": "open", "wanted": 100, **values})  # type: ignore[arg-type]


def settled(entries: list[Entry], workers: int) -> Counter[str | None]:
    """How many workers each study has once all have chosen until nobody moves any more."""
    places: dict[str, str | None] = dict.fromkeys(map(str, range(workers)))
    for _ in range(3):
        for worker, current in places.items():
            others = [AtWork(name, study) for name, study in places.items() if name != worker]
            places[worker] = pick(entries, others, current=current)
    return Counter(places.values())


def test_workers_are_shared_evenly_among_users_not_among_studies() -> None:
    entries = [entry("a1"), entry("a2"), entry("a3"), entry("b1", "bob")]
    counts = settled(entries, 6)
    assert counts["b1"] == 3 and sum(counts[name] for name in ("a1", "a2", "a3")) == 3
    assert counts["a1"] == counts["a2"] == counts["a3"] == 1


def test_a_higher_priority_has_all_the_workers_it_can_use() -> None:
    counts = settled([entry("low"), entry("high", "bob", priority=1, wanted=2)], 5)
    assert counts == {"high": 2, "low": 3}


def test_a_quota_is_never_exceeded_and_leaves_workers_idle() -> None:
    counts = settled([entry("a1", quota=2), entry("a2", quota=2)], 5)
    assert counts == {"a1": 1, "a2": 1, None: 3}


def test_a_study_without_work_and_one_that_has_ended_get_nobody() -> None:
    entries = [entry("none", wanted=0), entry("over", state="done"), entry("new", state="submitted")]
    assert settled(entries, 2) == {None: 2}


def test_who_had_least_so_far_comes_first_among_equals() -> None:
    entries = [entry("rich", served=500.0), entry("poor", "bob", served=10.0)]
    assert pick(entries, [], current=None) == "poor"
    assert pick(entries, [], current="rich") == "poor", "a slice is over, and the other one has waited"


def test_a_worker_stays_where_nothing_else_waits_longer() -> None:
    assert pick([entry("one", wanted=0), entry("two", "bob", wanted=0)], [], current="one") == "one"


@given(
    owners=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    workers=st.integers(min_value=1, max_value=8),
)
def test_no_user_has_two_workers_more_than_another(owners: list[str], workers: int) -> None:
    entries = [entry(str(n), owner) for n, owner in enumerate(owners)]
    counts = settled(entries, workers)
    shares = Counter({owner: 0 for owner in owners})
    for one in entries:
        shares[one.owner] += counts[one.study]
    assert sum(counts.values()) == workers and counts[None] == 0
    assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize(("text", "expected"), [("", None), ("ann=3", 3), ("bob=1, *=2", 2), ("bob=1", None)])
def test_quotas_of_a_text(text: str, expected: int | None) -> None:
    assert quota_of("ann", text) == expected


def test_a_quota_that_is_none_is_told() -> None:
    with pytest.raises(SpecError, match="'ann' is no quota"):
        quota_of("ann", "ann")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


def test_the_queue_keeps_what_it_was_given(url: str) -> None:
    queue = Queue(url)
    given_entry = Entry("digits", "ann", "study: digits\n", "/data", request="7", priority=2, quota=3)
    queue.submit(given_entry)
    (found,) = queue.entries()
    assert (found.study, found.owner, found.spec, found.priority, found.quota) == (
        "digits",
        "ann",
        "study: digits\n",
        2,
        3,
    )
    assert found.state == "submitted" and found.submitted > 1e9
    assert queue.become("digits", "open", finished=1) and queue.tell("digits", wanted=4, best=0.5)
    again = queue.entry("digits")
    assert (again.state, again.wanted, again.progress) == ("open", 4, {"finished": 1, "best": 0.5})
    assert not queue.become("absent", "open")
    with pytest.raises(UnknownName, match=r"digit.*digits"):
        queue.entry("digit")
    queue.close()


def test_another_users_name_is_refused_and_ones_own_study_comes_back(url: str) -> None:
    queue = Queue(url)
    queue.submit(Entry("digits", "ann", "old", ""))
    with pytest.raises(StudyConflict, match="belongs to ann"):
        queue.submit(Entry("digits", "bob", "new", ""))
    assert queue.submit(Entry("digits", "ann", "new", "", priority=5)).spec == "old", "somebody may lead it by now"
    queue.become("digits", "done")
    back = queue.submit(Entry("digits", "ann", "new", "", priority=5))
    assert (back.spec, back.state, back.priority) == ("new", "submitted", 5)
    queue.close()


def test_workers_that_choose_at_once_spread(url: str) -> None:
    queue = Queue(url)
    for number in range(4):
        queue.submit(Entry(f"s{number}", f"user{number}", "", ""))
        queue.become(f"s{number}", "open")
        queue.tell(f"s{number}", wanted=9)
    queues = [Queue(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        chosen = list(pool.map(lambda n: queues[n].choose(f"w{n}", None), range(4)))
    assert sorted(map(str, chosen)) == ["s0", "s1", "s2", "s3"]
    assert {worker.worker for worker in queue.at_work()} == {"w0", "w1", "w2", "w3"}
    queue.leave("w0")
    assert len(queue.at_work()) == 3
    for one in (queue, *queues):
        one.close()


def test_time_of_workers_is_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from searchlab.search import leases

    queue = Queue(url)
    queue.submit(Entry("s", "ann", "", ""))
    queue.become("s", "open")
    queue.tell("s", wanted=9)
    now = [1000.0]
    monkeypatch.setattr(leases, "now", lambda connection: now[0])
    assert queue.choose("w", None) == "s"
    now[0] += 30.0
    assert queue.choose("w", "s") == "s"
    assert queue.entry("s").served == pytest.approx(30.0)
    now[0] += 5.0
    queue.tell("s", wanted=0)
    assert queue.choose("w", None) is None
    assert queue.entry("s").served == pytest.approx(35.0), "less than a slice is counted too"
    queue.tell("s", wanted=9)
    now[0] += 5.0
    assert queue.choose("w", None) == "s" and queue.entry("s").served == pytest.approx(35.0), "idle time is nobody's"
    now[0] += 1000.0  # it died
    assert queue.choose("v", None) == "s" and [one.worker for one in queue.at_work()] == ["v"]
    queue.close()


QUOTES = "'; DROP TABLE searchlab_queue; -- \x1b[2J\r\n"
HONEST = {
    "study": "honest",
    "owner": "ann",
    "priority": 0,
    "quota": None,
    "state": "open",
    "submitted": 1.0,
    "wanted": 5,
    "served": 0.0,
    "spec": "study: honest\n",
    "folder": "/data",
    "request": "7",
    "progress": "{}",
}
HOSTILE: dict[str, dict[str, object]] = {
    "state": {"state": "evil"},
    "name_above": {"study": "../../etc"},
    "name_absolute": {"study": "/tmp/x"},
    "name_of_orders": {"study": QUOTES},
    "name_of_an_option": {"study": "--help"},
    "owner": {"owner": QUOTES},
    "nobody": {"owner": ""},
    "large_file": {"spec": "x" * 10_000_000},
    "large_progress": {"progress": '"' + "x" * 10_000_000 + '"'},
    "endless": {"served": math.inf},
    "no_time": {"submitted": math.nan},
}
TOLD = {
    "no_json": "{",
    "deep": "[" * 100_000,
    "a_list": "[1]",
    "evaluators_own": '{"stage": "ended", "request": "8", "state": "done"}',
    "trials": '{"trials": "many"}',
    "counts": '{"trials": {"complete": "x"}}',
    "best": '{"best": {"value": "x"}}',
    "budget": '{"budget": {"a": 1}}',
    "words": '{"words": ["a"]}',
    "trouble": '{"trouble": "x"}',
}


def test_h12_an_entry_that_is_none_is_left_alone(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown state ended the evaluator and all workers."""
    queue = Queue(url)
    with queue._engine.begin() as connection:
        connection.execute(QUEUE.insert(), HONEST)
    for name, change in HOSTILE.items():
        if name == "no_time" and url.startswith("sqlite"):
            continue  # SQLite holds no NaN
        row = {**HONEST, "study": f"hostile-{name}", "priority": 9, **change}
        study = str(row["study"])
        with queue._engine.begin() as connection:
            connection.execute(QUEUE.insert(), row)
        assert [entry.study for entry in queue.entries()] == ["honest"], name
        assert queue.choose("w", None) == "honest" and queue.choose("w", "honest") == "honest", name
        assert not queue.become(study, "open") and not queue.tell(study, wanted=1), name
        with pytest.raises(UnknownName):
            queue.entry(study)
        with queue._engine.begin() as connection:
            connection.execute(QUEUE.delete().where(QUEUE.c.study == study))
    assert all(character.isprintable() or character == "\n" for character in caplog.text)
    queue.close()


def test_h12_what_is_told_of_a_study_is_of_the_kind_that_it_should_be(url: str) -> None:
    queue = Queue(url)
    with queue._engine.begin() as connection:
        connection.execute(QUEUE.insert(), HONEST)
    for name, told in TOLD.items():
        with queue._engine.begin() as connection:
            connection.execute(QUEUE.update().values(progress=told))
        assert queue.entry("honest").progress == {}, name
        queue.tell("honest", wanted=3, best={"trial": 1, "value": 0.5}, trials={"complete": 2}, budget=4)
        expected = {"best": {"trial": 1, "value": 0.5}, "trials": {"complete": 2}, "budget": 4}
        assert queue.entry("honest").progress == expected, name
    queue.close()


def test_h12_workers_that_were_made_up_to_last_count_no_more(url: str) -> None:
    queue = Queue(url)
    with queue._engine.begin() as connection:
        connection.execute(QUEUE.insert(), {**HONEST, "wanted": 1})
        for number in range(3):
            row = {"worker": f"{QUOTES}{number}", "study": "honest", "since": 0.0, "expires": 1e300}
            connection.execute(WORKERS.insert(), row)
    assert queue.choose("w", None) == "honest"
    queue.close()
