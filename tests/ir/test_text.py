"""Programs print readably, and parse back to the same nodes."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoconv.errors import ArgumentError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, origin
from isoconv.ir.ops import make
from isoconv.ir.sizes import maximum, name
from isoconv.ir.text import parse, show

N, L = name("n"), name("L")


def tensor(label, *shape, dtype="float32"):
    return make("input", name=label, shape=shape, dtype=dtype)


def test_a_program_reads_like_this():
    x, w, unread = tensor("x", N, L, 3), tensor("w", 3, 3, 8), tensor("state", 2)
    with origin("model/conv1d"):
        y = make("conv", x, w, face="y", axes=(Axis(3, low=1),), groups=1, sizes=(L,))
    level = make("full", value=-0.75, shape=(1, 1, 1), dtype="float32")
    text = show(Graph((w, unread, x), (make("max", y, level), y)))
    assert text == (
        "inputs %2, %0, %1\n"
        '%0 = input {dtype="float32", name="state", shape=[2]} : float32[2]\n'
        '%1 = input {dtype="float32", name="x", shape=[n, L, 3]} : float32[n, L, 3]\n'
        '%2 = input {dtype="float32", name="w", shape=[3, 3, 8]} : float32[3, 3, 8]\n'
        '%3 = conv(%1, %2) {axes=[axis(3, low=1)], face="y", groups=1, sizes=[L]}'
        " : float32[n, L - 1, 8]  # model/conv1d\n"
        '%4 = full {dtype="float32", shape=[1, 1, 1], value=-0.75} : float32[1, 1, 1]\n'
        "%5 = max(%3, %4) : float32[n, L - 1, 8]\n"
        "return %5, %3\n"
    )
    assert show(parse(text)) == text


def full(value, *shape):
    return make("full", value=value, shape=shape, dtype="float64")


def leaf(**attrs):
    return make("input", **{"name": "x", "shape": (), "dtype": "float64", **attrs})


VALUES = {
    "numbers": full(0.1),
    "an integer": full(3),
    "a truth": full(True),
    "negative zero": full(-0.0),
    "infinity": full(math.inf),
    "minus infinity": full(-math.inf),
    "a tiny number": full(-5e-324),
    "a huge number": full(1e300),
    "no axes": full(1.0),
    "an empty size": full(1.0, 0, 5),
    "strings": leaf(name='a "b" \\ #, % ü\n\u2028'),
    "names like words of the language": leaf(name="return inputs", shape=(name("shape"), 2)),
    "expressions": leaf(
        shape=(
            2 * N * L - N + 3,
            -(L // 2) + 9,
            (N * 5 + L) // 3,
            maximum(N - 7, L // 4) * N,
            L // N,
        )
    ),
    "a window": make(
        "pool_max", leaf(shape=(N, L, 2)), axes=(Axis(3, 2, 4, (-L) // 3, maximum(N, 2) - 1),)
    ),
    "a logical word": make("and", *[leaf(dtype="bool")] * 2),
}


@pytest.mark.parametrize("node", VALUES.values(), ids=VALUES)
def test_every_kind_of_value_comes_back(node):
    graph = Graph(node.inputs[:1] or ((node,) if node.op == "input" else ()), (node,))
    again = parse(show(graph))
    assert again == graph
    assert again.outputs[0] is node


def test_nan_comes_back():
    node = full(math.nan)
    assert parse(show(Graph((), (node,)))).outputs == (node,)


@given(st.floats(), st.text())
def test_any_number_and_any_string_come_back(number, text):
    graph = Graph((leaf(name=text),), (full(number), leaf(name=text)))
    assert show(parse(show(graph))) == show(graph)
    if not math.isnan(number):
        assert parse(show(graph)) == graph


def test_blank_lines_and_comments_are_skipped():
    graph = Graph((), (full(2.0),))
    assert parse("# a program\n\n" + show(graph).replace("\n", "  # said\n\n")) == graph


GOOD = 'inputs\n%0 = full {dtype="float32", shape=[2], value=1.0} : float32[2]\nreturn %0\n'
WRONG = {
    "another shape": ("float32[2]", "float32[3]", "line 2: full: its shape"),
    "another dtype": (": float32", ": float64", "line 2: full: its dtype"),
    "no such dtype": (": float32", ": float16", "line 2.*got float16"),
    "no such operation": ("full", "cube", "line 2: cube: no such operation"),
    "a missing attribute": (", value=1.0", "", "line 2: full: the attributes"),
    "a string left open": ('"float32"', '"float32', "line 2"),
    "an operand that is not there": ("full {", "full(%1) {", "line 2.*%1 before its line"),
    "a bracket left open": ("[2],", "[2}", r"line 2.*expected '\]'; got }"),
    "code": ("1.0", "__import__('os')", "line 2"),
    "a reserved word": ("[2]", "[max]", "line 2"),
    "a wrong window": ("value=1.0", "value=axis(0)", "line 2"),
    "a division by zero": ("[2]", "[floor(n, 0)]", "line 2"),
    "something behind": ("return %0", "return %0 %0", "line 3.*got %0"),
    "no outputs": ("return %0", "", "no return"),
    "an unknown output": ("return %0", "return %7", "no %7"),
    "an input that is none": ("inputs", "inputs %0", "full: listed as an input"),
    "another language": ("inputs", "def f():", "line 1.*got def"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(old, new, message):
    assert parse(GOOD)
    with pytest.raises(ArgumentError, match=message):
        parse(GOOD.replace(old, new))


@given(st.text(alphabet='%0123 =full(){}[],:"float32axis-+*.e\n#'))
def test_no_text_does_worse_than_be_refused(text):
    with suppress(ArgumentError):
        parse(GOOD + text)
