"""Errors travel between processes and are read by people."""

from __future__ import annotations

import pickle

import pytest

import searchlab.errors as errors
from searchlab.errors import Mark, SearchlabError, SpecError, SpecErrors, UnknownName


def tree(root: type[SearchlabError]) -> list[type[SearchlabError]]:
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


ORDINARY = [cls for cls in tree(SearchlabError) if cls is not SpecErrors and cls.__module__.startswith("searchlab")]


@pytest.mark.parametrize("cls", ORDINARY)
def test_every_error_survives_the_way_home(cls: type[SearchlabError]) -> None:
    error = cls("what is wrong", Mark("a.yaml", 3, 4))
    home = pickle.loads(pickle.dumps(error))
    assert type(home) is cls
    assert (str(home), home.mark, home.exit_code) == ("a.yaml:3:4: what is wrong", error.mark, cls.exit_code)


def test_many_faults_survive_the_way_home() -> None:
    home = pickle.loads(pickle.dumps(SpecErrors([SpecError("b", Mark("f", 2, 1)), SpecError("a", Mark("f", 1, 1))])))
    assert [error.message for error in home.errors] == ["a", "b"]


def test_many_faults_are_one_line_each_in_the_order_of_their_places() -> None:
    inner = SpecErrors([SpecError("second", Mark("f", 10, 1)), SpecError("nowhere")])
    together = SpecErrors([inner, SpecError("first", Mark("f", 9, 1)), SpecError("first", Mark("f", 9, 1))])
    assert str(together) == "f:9:1: first\nf:10:1: second\nnowhere"


def test_an_unknown_name_gets_its_nearest() -> None:
    error = UnknownName.among(
        ["constant", "warmup_cosine"], kind="schedule", name="warmup_cosin", mark=Mark("f", 14, 13)
    )
    assert str(error) == (
        "f:14:13: no schedule is called 'warmup_cosin'. Did you mean 'warmup_cosine'? Known: constant, warmup_cosine."
    )


def test_a_far_name_gets_no_hint() -> None:
    assert errors.nearest("zzz", ["constant"]) == ""


def test_exit_statuses_are_those_documented() -> None:
    assert {cls.__name__: cls.exit_code for cls in tree(SearchlabError)}.items() >= {
        "SpecError": 2,
        "DataError": 3,
        "MissingExtra": 4,
        "ServiceError": 4,
        "StudyConflict": 5,
        "SealBroken": 6,
        "AllTrialsFailed": 7,
        "ChildDied": 70,
        "Interrupted": 75,
    }.items()
