"""What is refused before the data is looked at, beyond what each part says of itself."""

from __future__ import annotations

import pytest

from searchlab.config.reader import read_text
from searchlab.errors import SpecError
from searchlab.runner.check import check
from searchlab.spec.build import build

STUDY = """\
study: checked
data: {source: iris}
task: tabular_classification
space:
  model: {mlp: {depth: 1}}
  optimizer: {adam: {learning_rate: 0.01}}
execution:
"""


def test_an_address_is_for_executors_of_a_cluster() -> None:
    check(build(read_text(STUDY + "  executor: ray\n  address: auto\n", "f")))
    with pytest.raises(SpecError) as caught:
        check(build(read_text(STUDY + "  executor: local\n  address: auto\n", "f")))
    assert str(caught.value) == (
        "f:9:3: address is for executors of a cluster (ray), and 'local' is none; leave it out"
    )
