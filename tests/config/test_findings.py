"""Where in a TOML text a key is."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.config.effective import toml
from grandcentral.config.findings import Findings, dotted, lines
from grandcentral.core.problems import Problem

TEXT = '''\
# [not.a.table]
top = 1
[gateway]  # [comment]
listen = [
  "tcp:80",    # a = 1
  "[x]",
]
state = """
[not]
a = "b"
"""
other = \'\'\'
c = 1\'\'\'
ready = { http = "/", within = "1s" }
after.dotted."quoted key" = 1
[registries."registry.example.com:5000"]
"insecure" = true
[ apps . docs ]
'h' = "a\\"]b"
z = 1
[[apps.docs.requests]]
path = "/[[a]]"
[[ apps . docs . requests ]]  # [[again]]
path = 1
modes = [["x"], [
]]
[apps."[x]"]
y = 1
'''


def test_every_table_and_key_has_its_line() -> None:
    assert lines(TEXT) == {
        ("top",): 2,
        ("gateway",): 3,
        ("gateway", "listen"): 4,
        ("gateway", "state"): 8,
        ("gateway", "other"): 12,
        ("gateway", "ready"): 14,
        ("gateway", "after", "dotted", "quoted key"): 15,
        ("registries", "registry.example.com:5000"): 16,
        ("registries", "registry.example.com:5000", "insecure"): 17,
        ("apps", "docs"): 18,
        ("apps", "docs", "h"): 19,
        ("apps", "docs", "z"): 20,
        ("apps", "docs", "requests"): 21,
        ("apps", "docs", "requests", 1): 21,
        ("apps", "docs", "requests", 1, "path"): 22,
        ("apps", "docs", "requests", 2): 23,
        ("apps", "docs", "requests", 2, "path"): 24,
        ("apps", "docs", "requests", 2, "modes"): 25,
        ("apps", "[x]"): 27,
        ("apps", "[x]", "y"): 28,
    }


def test_windows_line_ends_count_once() -> None:
    assert lines(TEXT.replace("\n", "\r\n")) == lines(TEXT)


def test_a_problem_inside_is_placed_at_what_is_around_it_and_problems_are_in_the_order_of_lines() -> None:
    findings = Findings("x.toml", lines(TEXT), {("limits", "max"): "environment: MAX"})
    findings.wrong(("apps", "docs", "z"), "last")
    findings.wrong(("gateway", "ready", "within"), "inside")
    findings.take(("gateway", "state"), [Problem("other.yaml:3", "elsewhere")])
    findings.doubtful(("limits", "max"), "from outside")
    findings.wrong(("nowhere",), "without line")
    assert [str(problem) for problem in findings.all] == [
        "environment: MAX: warning: from outside",
        "x.toml: nowhere: without line",
        "other.yaml:3: elsewhere",
        "x.toml:14: gateway.ready.within: inside",
        "x.toml:20: apps.docs.z: last",
    ]
    assert findings.fatal


def test_warnings_alone_are_not_fatal() -> None:
    findings = Findings("x.toml")
    assert not findings.fatal
    findings.doubtful(("a",), "hm")
    assert not findings.fatal


def test_names_are_quoted_where_toml_needs_it() -> None:
    assert dotted(("registries", "a.b", "x_1")) == 'registries."a.b".x_1'
    assert dotted(("apps", "a", "requests", 2, "path")) == "apps.a.requests[2].path"


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
leaves = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**63), 2**63 - 1) | st.booleans()
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(keys, values, max_size=6), keys)
def test_whatever_the_keys_and_values_are(section: dict[str, object], name: str) -> None:
    text = "\n".join([f"[apps.{toml(name)}]", *(f"{toml(key)} = {toml(value)}" for key, value in section.items())])
    assert tomllib.loads(text) == {"apps": {name: section}}
    found = lines(text)
    assert found == {("apps", name): 1} | {("apps", name, key): number for number, key in enumerate(section, 2)}
