"""What a notebook shows of models and answers: tables of the same words as the text."""

import re
from html import unescape

import pytest

import isoconv as ic
from isoconv import layers


def branching():
    x = ic.Input((9, 2), name="x")
    a = layers.Conv1D(3, 3, padding="same", name="a")(x)
    return ic.Model(x, layers.Add(name="sum")([a, layers.Dense(3, name="b")(x)]), name="two")


SHOWN = {
    "a chain": (
        lambda: ic.Sequential([ic.Input((9, 2)), layers.Conv1D(3, 3, name="a")], name="one"),
        ["one", "a (Conv1D)", "(None, 7, 3)", "21", "Total params: 21 (84.00 B)"],
    ),
    "branches": (branching, ["two", "sum (Add)", "a[0][0], b[0][0]", "30"]),
    "equal": (
        lambda: ic.equivalent("Conv1D(2, 1)", "Dense(2)", (4, 3)),
        ["equal: a and b are equal", "Conv1D(2, 1)", "Dense(2)"],
    ),
    "different": (
        lambda: ic.equivalent("Conv1D(2, 3)", "Conv1D(2, 2, padding='causal')", (4, 3)),
        ["different: a and b are different", "a gives"],
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_html_says_what_the_text_says(name):
    make, expected = SHOWN[name]
    page = make()._repr_html_()
    words = unescape(re.sub(r"<[^>]+>", "|", page))
    assert [each for each in expected if each not in words] == []
    assert page.count("<tr>") == page.count("</tr>") >= 2


def test_names_are_no_markup():
    model = ic.Sequential([ic.Input((2,)), layers.Dense(1, name="b")], name="<b>&")
    assert "<b>&" not in model._repr_html_()
    assert "&lt;b&gt;&amp;" in model._repr_html_()
