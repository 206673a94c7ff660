"""Image references as people write them, and templates with a version in the tag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.references import TAG, Reference, Template, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference", "host"),
    [
        ("nginx", Reference("docker.io", "library/nginx"), "registry-1.docker.io"),
        ("nginx:1.27", Reference("docker.io", "library/nginx", "1.27"), "registry-1.docker.io"),
        ("team/app:1", Reference("docker.io", "team/app", "1"), "registry-1.docker.io"),
        ("docker.io/nginx", Reference("docker.io", "library/nginx"), "registry-1.docker.io"),
        ("index.docker.io/team/app", Reference("docker.io", "team/app"), "registry-1.docker.io"),
        ("registry.test/app", Reference("registry.test", "app"), "registry.test"),
        ("registry.test:5000/a/b/c:x", Reference("registry.test:5000", "a/b/c", "x"), "registry.test:5000"),
        ("localhost/app:x", Reference("localhost", "app", "x"), "localhost"),
        ("localhost:5000/app", Reference("localhost:5000", "app"), "localhost:5000"),
        ("127.0.0.1:5000/app", Reference("127.0.0.1:5000", "app"), "127.0.0.1:5000"),
        ("[::1]:5000/app:x", Reference("[::1]:5000", "app", "x"), "[::1]:5000"),
        (f"registry.test/app@{DIGEST}", Reference("registry.test", "app", "latest", DIGEST), "registry.test"),
        (f"registry.test/app:x@{DIGEST}", Reference("registry.test", "app", "x", DIGEST), "registry.test"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, reference: Reference, host: str) -> None:
    assert parse(text) == reference
    assert reference.host == host
    assert parse(str(reference)).digest == reference.digest
    assert reference.digest or parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx:1", "nginx:1"),
        ("index.docker.io/team/app", "team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("registry.test:5000/library/app:v1", "registry.test:5000/library/app:v1"),
        (f"registry.test/app:x@{DIGEST}", f"registry.test/app@{DIGEST}"),
    ],
)
def test_a_reference_is_written_as_engines_write_it(text: str, said: str) -> None:
    assert str(parse(text)) == said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "''"),
        ("registry.test/App", "'App'"),
        ("registry.test/a//b", "'a//b'"),
        ("registry.test/app:", "''"),
        ("registry.test/app:a b", "'a b'"),
        ("registry.test/app:" + "x" * 129, "x" * 129),
        ("registry.test/app@sha256:abc", "'sha256:abc'"),
        ("registry.test:port/app", "'registry.test:port'"),
        ("https://registry.test/app", "'https:'"),
        ("user@registry.test/app", "'registry.test/app'"),
        ("registry.test/../app", "'../app'"),
        ("-registry.test/app", "'-registry.test'"),
    ],
)
def test_what_is_no_reference_is_refused_by_its_wrong_part(text: str, part: str) -> None:
    with pytest.raises(ValueError, match="image") as caught:
        parse(text)
    assert part in str(caught.value)


def test_a_template_has_the_version_in_its_tag() -> None:
    template = Template.parse("registry.test:5000/app:sha-{version}-slim")
    assert template.fill("db139cf") == Reference("registry.test:5000", "app", "sha-db139cf-slim")
    assert template.image("db139cf") == "registry.test:5000/app:sha-db139cf-slim"
    assert template.name("sha-db139cf-slim") == "db139cf"


@pytest.mark.parametrize("tag", ["db139cf", "sha-db139cf", "sha--slim", "sha-slim", "latest", "sha-db139cf-slim2"])
def test_the_tag_of_something_else_is_no_version(tag: str) -> None:
    assert Template.parse("registry.test/app:sha-{version}-slim").name(tag) is None


@pytest.mark.parametrize(
    "text",
    [
        "registry.test/{version}",
        "registry.test/{version}:latest",
        "{version}.registry.test/app:latest",
        "registry.test:{version}/app",
        "registry.test/app:{version}-{version}",
        f"registry.test/app:{{version}}@{DIGEST}",
        "registry.test/app@sha256:{version}",
        "registry.test/app:-{version}",
    ],
)
def test_a_version_anywhere_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="image"):
        Template.parse(text)


def test_a_template_without_a_version_is_the_same_image_for_all() -> None:
    template = Template.parse(f"nginx@{DIGEST}")
    assert not template.varies
    assert template.fill("alice") == template.fill("../..") == Reference("docker.io", "library/nginx", "latest", DIGEST)
    assert template.name("latest") is None


@given(name=st.text(min_size=1, max_size=140))
def test_nothing_but_a_tag_comes_out_of_a_name(name: str) -> None:
    filled = Template.parse("registry.test/app:sha-{version}").fill(name)
    assert filled is None or (TAG.fullmatch(filled.tag) and (filled.domain, filled.repository) == ("registry.test", "app"))


@given(
    name=st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    before=st.sampled_from(["", "sha-", "v"]),
    after=st.sampled_from(["", "-x"]),
)
def test_the_name_of_a_filled_tag_is_the_name(name: str, before: str, after: str) -> None:
    template = Template.parse(f"registry.test/app:{before}{{version}}{after}")
    filled = template.fill(name)
    assert filled is None or template.name(filled.tag) == name
