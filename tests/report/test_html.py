"""Elements and documents in which text stays text."""

import base64
import hashlib
import json

import pytest
from report.plans import HOSTILE

from mmm_jax.report import html

NASTY = [
    HOSTILE,
    "</script><!--",
    '"><img src=x onerror=alert(1)>',
    "{{data}}",
    "a & b",
    "\u2028\u2029",
    "' onfocus='x",
    "\\u003c",
]


@pytest.mark.parametrize("text", NASTY)
def test_text_and_attributes_are_escaped(text):
    made = html.tag("p", text, title=text)
    assert made.count("<") == 2
    assert made.count('"') == 2
    assert "'" not in made


@pytest.mark.parametrize("text", NASTY)
def test_json_in_a_script_neither_ends_it_nor_changes(text):
    packed = html.script_json({text: [text]})
    assert not set(packed) & set("<>&\u2028\u2029")
    assert json.loads(packed) == {text: [text]}


def test_names_within_values_are_not_filled_in():
    assert html.filled("{{a}}-{{b}}", {"a": "{{b}}", "b": "2"}) == "{{b}}-2"
    with pytest.raises(KeyError):
        html.filled("{{unknown}}", {})


def test_attributes():
    made = html.tag("input", class_="a", data_name=3, hidden=True, disabled=False, title=None)
    assert made == '<input class="a" data-name="3" hidden>'
    assert html.tag("p", html.tag("b", "x"), "<") == "<p><b>x</b>&lt;</p>"


def test_hashes_are_those_of_a_content_security_policy():
    expected = base64.b64encode(hashlib.sha256("é".encode()).digest()).decode()
    assert html.content_hash("é") == f"sha256-{expected}"
