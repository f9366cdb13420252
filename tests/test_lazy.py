"""Heavy libraries load when first used, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from searchlab.lazy import lazy


def test_nothing_loads_before_the_first_look() -> None:
    code = (
        "import sys; from searchlab.lazy import lazy; fractions = lazy('wave');"
        "assert 'wave' not in sys.modules; fractions.open; assert 'wave' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_stand_in_gives_what_the_module_has() -> None:
    assert lazy("math").floor(2.5) == 2


def test_a_missing_library_says_so_at_the_first_look() -> None:
    absent = lazy("no_such_library_of_ours")
    with pytest.raises(ModuleNotFoundError, match="no_such_library_of_ours"):
        absent.anything


HIDDEN = """
import sys
from searchlab import lazy
if sys.argv[1] == "ours":
    lazy.alone()
with lazy.absent("wave"):
    try:
        import wave
        print("seen")
    except ImportError:
        print("hidden")
import wave
"""


@pytest.mark.parametrize(("whose", "expected"), [("ours", "hidden"), ("theirs", "seen")])
def test_a_library_is_hidden_for_a_while_and_only_in_processes_of_our_own(whose: str, expected: str) -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN, whose], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [expected]
