"""The grammar of search spaces: each form gives one kind of domain, and every fault its place."""

from __future__ import annotations

import pytest

from searchlab.config import node_of
from searchlab.config.reader import read_text
from searchlab.errors import Mark, SpecErrors
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Space
from searchlab.space.grammar import parse
from searchlab.space.writing import grammar_of


def space_of(text: str) -> Space:
    return parse(read_text(text, "f"))


def faults(text: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        space_of(text)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("max", Fixed("max")),
        ("0.5", Fixed(0.5)),
        ("null", Fixed(None)),
        ("[16, 32]", Choice((16, 32))),
        ("[16]", Fixed(16)),
        ("[0, 0.5]", Choice((0.0, 0.5))),
        ("[null, 1.0]", Choice((None, 1.0))),
        ("[true, false]", Choice((True, False))),
        ("{low: 1, high: 4}", Int(1, 4)),
        ("{low: 1, high: 4.0}", Float(1.0, 4.0)),
        ("{low: 0, high: 1, step: 0.25}", Float(0.0, 1.0, 0.25)),
        ("{low: 8, high: 64, step: 8, default: 16}", Int(8, 64, 8, default=16)),
        ("{low: 16, high: 256, log: true}", Int(16, 256, log=True)),
        ("{low: 1e-4, high: 1e-1, log: true, default: 1e-3}", Float(1e-4, 0.1, log=True, default=1e-3)),
        ("{low: 0.0, high: 0.6, step: 0.1}", Float(0.0, 0.6, 0.1)),
        ("{low: 0.0, high: 1.0, default: 1}", Float(0.0, 1.0, default=1.0)),
        ("{choices: [relu, tanh], default: tanh}", Choice(("relu", "tanh"), "tanh", True)),
        ("{choices: [null, 1.0], default: null}", Choice((None, 1.0), None, True)),
    ],
)
def test_each_form_is_one_domain(text: str, domain: object) -> None:
    (parameter,) = space_of(f"training: {{x: {text}}}").parameters
    assert repr(parameter.domain) == repr(domain)  # repr: 1 is not 1.0 and not true
    assert parameter.mark == Mark("f", 1, 12)


def test_members_own_their_options() -> None:
    space = space_of("optimizer:\n  adam: {rate: 0.1}\n  sgd:\n  default: sgd\n")
    assert space.parameters == (
        Parameter("optimizer", Choice(("adam", "sgd"), "sgd", True)),
        Parameter("optimizer.adam.rate", Fixed(0.1), Condition("optimizer", ("adam",))),
    )


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("adam", Fixed("adam")),
        ("[adam]", Fixed("adam")),
        ("[adam, sgd]", Choice(("adam", "sgd"))),
        ("{adam: }", Fixed("adam")),
    ],
)
def test_a_selector_is_a_name_a_list_or_a_mapping(text: str, domain: object) -> None:
    (parameter,) = space_of(f"optimizer: {text}").parameters
    assert parameter.domain == domain


def test_layers_depend_on_their_count() -> None:
    space = space_of("model: {cnn: {width: {per_layer: [1, 2]}, depth: {low: 2, high: 4}}}")
    cnn = Condition("model", ("cnn",))
    assert [(p.name, p.condition) for p in space.parameters[1:]] == [
        ("model.cnn.depth", cnn),
        ("model.cnn.width.1", cnn),
        ("model.cnn.width.2", cnn),
        ("model.cnn.width.3", Condition("model.cnn.depth", (3, 4))),
        ("model.cnn.width.4", Condition("model.cnn.depth", (4,))),
    ]


def test_layers_of_a_fixed_count_are_not_conditional() -> None:
    space = space_of("model: {cnn: {depth: 3, width: {per_layer: [1, 2]}}}")
    assert not space.is_conditional
    assert space.names[2:] == ("model.cnn.width.1", "model.cnn.width.2", "model.cnn.width.3")


def test_a_family_may_count_its_layers_by_another_name() -> None:
    node = read_text("model: {tcn: {blocks: [1, 2], width: {per_layer: 3}}}", "f")
    assert parse(node, count_of=lambda *_: "blocks").names[-1] == "model.tcn.width.2"


def test_the_place_of_a_parameter_does_not_make_another_space() -> None:
    one, other = space_of("model: cnn\ntask: {a: 1}"), space_of("model:   cnn\n\n\ntask:\n  a: 1")
    assert one == other
    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{low: 3, high: 1}", "f:1:26: the range of x must have low < high, but is [3, 1]."),
        ("{low: 1, high: 1}", "f:1:26: the range of x must have low < high, but is [1, 1]."),
        ("{low: 0, high: 1, log: true}", "f:1:17: a log range must lie above 0, but that of x begins at 0."),
        ("{low: 0, high: 10, step: 3}", "f:1:36: the step of x must be above 0 and divide 10 - 0, but is 3."),
        ("{low: 0, high: 10, step: 0}", "f:1:36: the step of x must be above 0 and divide 10 - 0, but is 0."),
        ("{low: 0, high: 10, step: -5}", "f:1:36: the step of x must be above 0 and divide 10 - 0, but is -5."),
        ("{low: 1, high: 9, step: 2, log: true}", "f:1:35: x can have 'log' or 'step', not both."),
        ("{low: .nan, high: 1.0}", "f:1:17: 'low' of x must be a finite number, not nan."),
        ("{low: 0.0, high: .inf}", "f:1:28: 'high' of x must be a finite number, not inf."),
        ("{low: true, high: 3}", "f:1:17: 'low' of x must be a finite number, not true."),
        ("{low: a, high: 3}", "f:1:17: 'low' of x must be a finite number, not 'a'."),
        ("{low: 1}", "f:1:11: the range of x must have 'high' too."),
        ("{low: 1, high: 3, log: yes}", "f:1:34: 'log' of x must be true or false, not 'yes'."),
        (
            "{low: 1, high: 3, stp: 1}",
            "f:1:29: no key of x is called 'stp'. Did you mean 'step'? Known: low, high, step, log, default.",
        ),
        ("{low: -1e308, high: 1e308}", "f:1:31: the range of x is too wide."),
        ("{low: 0, high: 9007199254740994}", "f:1:26: the range of x is too wide."),
        ("{low: 1e-300, high: 1e300, step: 1e-300}", "f:1:44: the step of x is too small for its range."),
        ("{low: 0.0, high: 1.0, default: 3}", "f:1:42: the default of x must lie in [0.0, 1.0], but is 3."),
        ("{low: 0, high: 9, default: 2.5}", "f:1:38: the default of x must be a whole number, not 2.5."),
        (
            "{low: 0, high: 10, step: 2, default: 3}",
            "f:1:48: the default of x must be 0 plus a multiple of 2, but is 3.",
        ),
        ("[]", "f:1:11: x has no choices; list at least one value."),
        ("[1, 2, 1]", "f:1:18: 1 stands twice among the choices of x."),
        ("[1, 1.0]", "f:1:15: 1.0 stands twice among the choices of x."),
        ("[1, [2]]", "f:1:15: a choice of x must be a single value, not a list."),
        ("[{a: 1}, 2]", "f:1:12: a choice of x must be a single value, not a mapping."),
        ("[1.0, .nan]", "f:1:17: a choice of x must be a finite number, not nan."),
        (
            "[1, a, true]",
            "f:1:11: the choices of x must be of one kind (all numbers, all words, …), but are 1, 'a', true.",
        ),
        (
            "{choices: [a, b], default: c}",
            "f:1:38: the default of x must be one of its choices ('a', 'b'), not 'c'.",
        ),
        ("{choices: a}", "f:1:21: the choices of x must be a list, not 'a'."),
        (".inf", "f:1:11: x must be a finite number, not inf."),
        (
            "{lo: 1, hi: 2}",
            "f:1:11: x must be a value, a list of choices, a range {low: …, high: …} or {choices: […], default: …}, "
            "not a mapping (lo, hi).",
        ),
        ("{per_layer: 3}", "f:1:8: task.x cannot be per layer: only a model has layers."),
    ],
)
def test_a_faulty_domain_is_refused_at_its_place(text: str, message: str) -> None:
    """G4."""
    assert faults(f"task: {{x: {text}}}") == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modell: cnn", "f:1:1: no section of a search space is called 'modell'. Did you mean 'model'?"),
        ("model: 3", "f:1:8: model must be a name, a list of names or a mapping of names to options, not 3."),
        ("model: {}", "f:1:8: model must be a name"),
        ("model: [cnn, cnn]", "f:1:14: 'cnn' stands twice"),
        ("model: [cnn, 3]", "f:1:8: model must be a name"),
        ("model: os.system", "f:1:8: 'os.system' cannot be the name of a model."),
        ("model: {cnn: 3}", "f:1:14: model.cnn must be a mapping of options, not 3."),
        ("model: {cnn: {a.b: 3}}", "f:1:15: 'a.b' cannot be the name of an option of model.cnn."),
        ("model: {cnn: , mlp: , default: mpl}", "f:1:32: no member of model is called 'mpl'. Did you mean 'mlp'?"),
        ("training: [1]", "f:1:11: training must be a mapping of options, not a list."),
        ("[1]", "f:1:1: a search space must be a mapping of"),
        ("model: {c: {w: {per_layer: 3}}}", "f:1:13: w is per layer, so 'depth' must be given beside it."),
        (
            "model: {c: {depth: {low: 0, high: 3}, w: {per_layer: 3}}}",
            "f:1:13: w is per layer, so depth must be whole numbers from 1 to 64.",
        ),
        ("model: {c: {depth: [1, 65], w: {per_layer: 3}}}", "f:1:13: w is per layer, so depth must be"),
        ("model: {c: {depth: 2, w: {per_layer: [], low: 1}}}", "f:1:38: w has no choices"),
    ],
)
def test_a_faulty_section_is_refused_at_its_place(text: str, message: str) -> None:
    assert faults(text)[0].startswith(message)


def test_all_faults_come_at_once() -> None:
    text = "model: {cnn: {a: [], b: {low: 2, high: 1}}}\noptimzer: 3\ntask: {c: .nan}\nschedule: 3\n"
    assert [fault.split(":")[1] for fault in faults(text)] == ["1", "1", "2", "3", "4"]


WHOLE = """
model:
  cnn:
    depth: {low: 1, high: 3, default: 2}
    width: {per_layer: {low: 8, high: 64, log: true, default: 16}}
    pool: max
  mlp: {units: [16, 32], rate: {low: 0.0, high: 0.6, step: 0.1}}
  default: mlp
optimizer: adam
schedule: [constant, cosine]
training: {batch_size: {choices: [32, 64], default: 64}, clip: [null, 1.0]}
"""


def test_a_space_can_be_written_and_read_again() -> None:
    space = space_of(WHOLE)
    assert parse(node_of(grammar_of(space), Mark("again"))) == space
