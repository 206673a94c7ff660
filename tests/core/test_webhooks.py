"""Notifications of registries: the examples of each vendor's documentation, what is no push, and what is nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.problems import Invalid, Problem
from grandcentral.core.references import TAG, Reference
from grandcentral.core.webhooks import FORMATS, LONGEST, MANIFESTS, MOST, authentic, parse

DIGEST = "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf"
BLOB = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def read(format: str, document: Any, **fields: str) -> tuple[Reference, ...]:
    """``fields`` are header fields, with "_" for "-"."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return parse(FORMATS[format], named, json.dumps(document).encode())


def problem(format: str, document: Any, **fields: str) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        read(format, document, **fields)
    (found,) = caught.value.problems
    return found.place, found.text


# -- distribution ---------------------------------------------------------------------------------------------------------


def event(action: str = "push", **target: Any) -> dict[str, Any]:
    """As distribution's manual shows it. A member of the target that is None is left out."""
    members = {
        "mediaType": MANIFESTS[0],
        "digest": DIGEST,
        "size": 708,
        "length": 708,
        "repository": "hello-world",
        "url": f"http://192.168.100.227:5000/v2/hello-world/manifests/{DIGEST}",
        "tag": "latest",
        **target,
    }
    return {
        "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
        "timestamp": "2016-03-09T14:44:26.402973972-08:00",
        "action": action,
        "target": {name: value for name, value in members.items() if value is not None},
        "request": {"id": "6df24a34", "addr": "192.168.64.11:42961", "host": "registry.internal:5000", "method": "PUT"},
        "actor": {},
        "source": {"addr": "xtal.local:5000", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"},
    }


PUSHED = Reference("192.168.100.227:5000", "hello-world", "latest", DIGEST)


@pytest.mark.parametrize("media_type", MANIFESTS)
def test_an_image_or_an_index_that_got_a_tag_was_pushed(media_type: str) -> None:
    assert read("distribution", {"events": [event(mediaType=media_type)]}) == (PUSHED,)


@pytest.mark.parametrize(
    "other",
    [
        event("pull"),  # our own question for the digest is one
        event("mount"),
        event("delete", tag=None, url=None, mediaType=None),
        event(mediaType=BLOB, tag=None),
        event(mediaType=BLOB),
        event(tag=None),  # by digest
        event(tag=""),
        {"action": "replicate"},
        {},
        None,
        7,
    ],
)
def test_what_else_a_registry_tells_is_no_push(other: Any) -> None:
    assert read("distribution", {"events": [other]}) == ()
    assert read("distribution", {"events": [other, event(), other]}) == (PUSHED,)


def test_an_envelope_may_hold_several_pushes_or_none() -> None:
    assert read("distribution", {"events": []}) == ()
    found = read("distribution", {"events": [event(tag="one"), event(tag="two")]})
    assert [pushed.tag for pushed in found] == ["one", "two"]


def test_a_registry_is_known_by_the_host_of_its_urls_or_by_the_one_it_was_asked_for() -> None:
    (found,) = read("distribution", {"events": [event(url="https://Registry.Example.com/v2/x/manifests/y")]})
    assert found.domain == "registry.example.com"
    for url in ("/v2/hello-world/manifests/x", None, 7, "http://[::1/"):
        (found,) = read("distribution", {"events": [event(url=url)]})
        assert found.domain == "registry.internal:5000"


def test_a_digest_that_is_none_is_left_out() -> None:
    for digest in (None, "latest", 7, [DIGEST]):
        (found,) = read("distribution", {"events": [event(digest=digest)]})
        assert found.digest is None


@pytest.mark.parametrize("host", ["my_registry:5000", "user@registry:5000", "[fe80::1%25eth0]:5000"])
def test_a_registry_whose_images_nobody_can_name_keeps_no_other_from_being_heard(host: str) -> None:
    """It would say the same until it is taken, and nothing after it."""
    unheard = event(url=f"http://{host}/v2/hello-world/manifests/{DIGEST}")
    assert read("distribution", {"events": [unheard, event()]}) == (PUSHED,)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "the body"),
        ({}, "events"),
        ({"events": {}}, "events"),
        ({"events": [event(), {"action": "push"}]}, "events[1].target"),
        ({"events": [event(repository=None)]}, "events[0].target.repository"),
        ({"events": [event(repository="Not A Repository")]}, "events[0].target.repository"),
        ({"events": [event(repository=["x"])]}, "events[0].target.repository"),
        ({"events": [event(tag="no tag")]}, "events[0].target.repository"),
        ({"events": [event(tag=f"x@{DIGEST}")]}, "events[0].target.repository"),
        ({"events": [event(tag=7)]}, "events[0].target.tag"),
        ({"events": [{**event(url=None), "request": {}}]}, "events[0].request.host"),
        ({"events": [{}] * (MOST + 1)}, "events"),
    ],
)
def test_a_push_that_cannot_be_understood_is_refused_with_its_place(document: Any, place: str) -> None:
    assert problem("distribution", document)[0] == place


def test_what_is_no_json_is_refused_with_the_remedy() -> None:
    for body in (b"", b"payload=%7B%7D", b"\xff\xfe\x00", b"[" * 100_000, b"{" * 100_000, b"9" * 10_000):
        with pytest.raises(Invalid) as caught:
            parse(FORMATS["github"], {}, body)
        assert "application/json" in str(caught.value)


def test_what_is_too_long_is_refused_unread() -> None:
    with pytest.raises(Invalid, match=str(LONGEST)):
        parse(FORMATS["distribution"], {}, b" " * (LONGEST + 1))


# -- Docker Hub -----------------------------------------------------------------------------------------------------------


def hub(**repository: Any) -> dict[str, Any]:
    return {
        "callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
        "push_data": {"pushed_at": 1417566161, "pusher": "trustedbuilder", "tag": "latest"},
        "repository": {
            "name": "testhook",
            "namespace": "svendowideit",
            "owner": "svendowideit",
            "repo_name": "svendowideit/testhook",
            "status": "Active",
            **repository,
        },
    }


def test_docker_hub_names_the_repository_and_the_tag() -> None:
    assert read("docker-hub", hub()) == (Reference("docker.io", "svendowideit/testhook", "latest"),)


def test_docker_hub_without_its_parts_is_refused() -> None:
    assert problem("docker-hub", {"repository": {"repo_name": "a/b"}}) == ("push_data", "is missing")
    assert problem("docker-hub", hub(repo_name="A B"))[0] == "repository.repo_name"


# -- GitHub ---------------------------------------------------------------------------------------------------------------


def package(event: str = "registry_package", action: str = "published", tag: str = "", **version: Any) -> dict[str, Any]:
    """What matters of the examples that GitHub publishes; they have no tag, as one image of an index has none."""
    return {
        "action": action,
        event: {
            "name": "hello-world-npm",
            "namespace": "Codertocat/hello-world",
            "ecosystem": "docker",
            "package_type": "npm",
            "package_version": {
                "container_metadata": {
                    "tag": {"name": tag, "digest": "sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"},
                    "labels": {"all_labels": {"org.opencontainers.image.version": "nightly"}},
                },
                "package_url": f"ghcr.io/Codertocat/hello-world:{tag}",
                **version,
            },
            "registry": {"name": "GitHub CONTAINER registry", "type": "CONTAINER"},
        },
    }


@pytest.mark.parametrize("event", ["registry_package", "package"])
@pytest.mark.parametrize("action", ["published", "updated"])
def test_github_tells_of_images_with_tags(event: str, action: str) -> None:
    found = read("github", package(event, action, "Main"), x_github_event=event)
    digest = "sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"
    assert found == (Reference("ghcr.io", "codertocat/hello-world", "Main", digest),)


@pytest.mark.parametrize(
    ("event", "document"),
    [
        ("registry_package", package()),
        ("registry_package", package(action="deleted", tag="main")),
        ("package", {"action": "published", "package": {"package_version": {"container_metadata": None}}}),
        ("package", {"action": "published", "package": {"package_version": {}}}),
        ("package", {"action": "published", "package": {"package_version": None}}),
        ("package", package("package", container_metadata={"tag": None})),
        ("package", package("package", container_metadata={})),
        ("ping", {"zen": "Non-blocking is better than blocking.", "hook_id": 1}),
        ("push", {"ref": "refs/heads/main"}),
        ("", package(tag="main")),
    ],
)
def test_what_else_github_tells_is_no_push(event: str, document: Any) -> None:
    assert read("github", document, x_github_event=event) == ()


def test_a_package_without_its_parts_is_refused() -> None:
    place = "registry_package.package_version.package_url"
    assert problem("github", package(tag="main", package_url=None), x_github_event="registry_package")[0] == place
    assert problem("github", {"action": "published", "package": 7}, x_github_event="package")[0] == "package"


# -- GitLab ---------------------------------------------------------------------------------------------------------------


def test_gitlabs_registry_sends_what_distribution_sends() -> None:
    url = f"https://registry.gitlab.example.com/v2/group/app/manifests/{DIGEST}"
    found = read("gitlab", {"events": [event("pull"), event(repository="group/app", url=url)]})
    assert found == (Reference("registry.gitlab.example.com", "group/app", "latest", DIGEST),)


@pytest.mark.parametrize("kind", ["push", "tag_push", "pipeline", "build"])
def test_the_events_of_a_gitlab_project_are_no_pushes_of_images(kind: str) -> None:
    document = {"object_kind": kind, "ref": "refs/heads/main", "events": [event()]}
    assert read("gitlab", document, x_gitlab_event="Push Hook") == ()


# -- Harbor ---------------------------------------------------------------------------------------------------------------


def harbor(tag: str, resource_url: str, digest: str, kind: str = "PUSH_ARTIFACT") -> dict[str, Any]:
    resource = {"digest": digest, "tag": tag, "resource_url": resource_url}
    repository = {
        "name": "debian",
        "namespace": "test-webhook",
        "repo_full_name": "test-webhook/debian",
        "repo_type": "private",
    }
    return {
        "type": kind,
        "occur_at": 1586922308,
        "operator": "admin",
        "event_data": {"resources": [resource], "repository": {"date_created": 1586922308, **repository}},
    }


def cloud_event(document: dict[str, Any], kind: str = "harbor.artifact.pushed") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "66e18103-09c1-41f6-982f-37df223f3eeb",
        "requestid": "51c0b694-0168-4f3c-b0db-282565455d7b",
        "source": "/projects/2/webhook/policies/15",
        "type": kind,
        "datacontenttype": "application/json",
        "time": "2023-04-03T06:04:46Z",
        "data": document["event_data"],
        "operator": "harbor-jobservice",
    }


HARBOR = "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8"


def test_harbor_tells_of_artifacts_in_two_ways() -> None:
    document = harbor("latest", "hub.harbor.com/test-webhook/debian:latest", HARBOR)
    pushed = Reference("hub.harbor.com", "test-webhook/debian", "latest", HARBOR)
    assert read("harbor", document) == read("harbor", cloud_event(document)) == (pushed,)


def test_what_is_pushed_to_harbor_by_digest_has_no_tag() -> None:
    document = harbor(HARBOR, f"localhost/harbor/alpine@{HARBOR}", HARBOR)
    assert read("harbor", document) == read("harbor", cloud_event(document)) == ()


@pytest.mark.parametrize("kind", ["PULL_ARTIFACT", "DELETE_ARTIFACT", "SCANNING_COMPLETED", "harbor.artifact.pulled"])
def test_what_else_harbor_tells_is_no_push(kind: str) -> None:
    document = harbor("latest", "hub.harbor.com/test-webhook/debian:latest", HARBOR, kind)
    assert read("harbor", document) == read("harbor", cloud_event(document, kind)) == ()


def test_an_artifact_without_its_parts_is_refused() -> None:
    assert problem("harbor", {"type": "PUSH_ARTIFACT"}) == ("event_data", "is missing")
    assert problem("harbor", {"type": "harbor.artifact.pushed", "data": {"resources": 7}})[0] == "data.resources"
    assert problem("harbor", harbor("latest", "no url at all", HARBOR))[0] == "event_data.resources[0].resource_url"


# -- who sent it ----------------------------------------------------------------------------------------------------------


def test_githubs_example_of_a_signature() -> None:
    """docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"."""
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert authentic(FORMATS["github"], {"x-hub-signature-256": signature}, {}, body, secret)
    assert not authentic(FORMATS["github"], {"x-hub-signature-256": signature}, {}, body + b" ", secret)
    assert not authentic(FORMATS["github"], {"x-hub-signature-256": signature[:-1] + "8"}, {}, body, secret)
    assert not authentic(FORMATS["github"], {"x-hub-signature-256": signature.partition("=")[2]}, {}, body, secret)


SECRET = "s3cret-tökén"
SENT = SECRET.encode().decode("latin-1")  # as a field's bytes are decoded


@pytest.mark.parametrize(
    ("format", "fields", "query"),
    [
        ("distribution", {"authorization": f"Bearer {SENT}"}, {}),
        ("docker-hub", {}, {"secret": SECRET}),
        ("gitlab", {"x-gitlab-token": SENT}, {}),
        ("gitlab", {"authorization": SENT}, {}),
        ("gitlab", {"authorization": f"Bearer {SENT}"}, {}),
        ("harbor", {"authorization": SENT}, {}),
        ("harbor", {"authorization": f"Bearer {SENT}"}, {}),
    ],
)
def test_a_sender_shows_the_secret_in_one_place(format: str, fields: dict[str, str], query: dict[str, str]) -> None:
    assert authentic(FORMATS[format], fields, query, b"{}", SECRET)
    assert not authentic(FORMATS[format], fields, query, b"{}", SECRET + "!")
    wrong = [{name: value + "!" for name, value in given.items()} for given in (fields, query)]
    assert not authentic(FORMATS[format], wrong[0], wrong[1], b"{}", SECRET)


@pytest.mark.parametrize("format", FORMATS)
def test_a_sender_who_shows_nothing_is_a_stranger(format: str) -> None:
    assert not authentic(FORMATS[format], {}, {}, b"{}", SECRET)
    everything = dict.fromkeys(("authorization", "x-gitlab-token", "x-hub-signature-256"), "\u2028é")
    assert not authentic(FORMATS[format], everything, {"secret": "\ud800"}, b"{}", SECRET)


@pytest.mark.parametrize("format", sorted(FORMATS.keys() - {"docker-hub"}))
def test_the_url_is_no_place_for_a_secret_that_can_be_sent_otherwise(format: str) -> None:
    assert not authentic(FORMATS[format], {}, {"secret": SECRET}, b"{}", SECRET)


# -- anything ---------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    """events action target tag mediaType repository url digest request host push_data repo_name package registry_package
    package_version container_metadata name package_url type event_data data resources resource_url""".split()  # noqa: SIM905
)
WORDS = st.sampled_from(
    ["push", "published", "PUSH_ARTIFACT", "harbor.artifact.pushed", "latest", "a/b", "registry.test/a", DIGEST, *MANIFESTS]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS
DOCUMENTS = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner), max_leaves=40
)


def check(format: str, body: bytes, event: str) -> None:
    """It is understood or refused; nothing else can come of it."""
    refused: tuple[Problem, ...] = ()
    found: tuple[Reference, ...] = ()
    try:
        found = parse(FORMATS[format], {"x-github-event": event}, body)
    except Invalid as invalid:
        refused = invalid.problems
    assert all(TAG.fullmatch(pushed.tag) and pushed.repository for pushed in found)
    assert all(problem.place and problem.text for problem in refused)


@given(st.sampled_from(sorted(FORMATS)), DOCUMENTS, st.sampled_from(["package", "registry_package", "ping"]))
def test_any_document_is_understood_or_refused(format: str, document: Any, event: str) -> None:
    check(format, json.dumps(document).encode(), event)


@given(st.sampled_from(["distribution", "github", "harbor", "docker-hub"]), st.data())
def test_a_push_with_anything_in_one_of_its_places_is_understood_or_refused(format: str, data: st.DataObject) -> None:
    document: Any = {
        "distribution": {"events": [event()]},
        "github": package(tag="main"),
        "harbor": harbor("latest", "hub.harbor.com/test-webhook/debian:latest", HARBOR),
        "docker-hub": hub(),
    }[format]
    inside = document
    while isinstance(inside, dict | list) and inside:
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if not isinstance(inside[key], dict | list) or data.draw(st.booleans()):
            inside[key] = data.draw(DOCUMENTS)
            break
        inside = inside[key]
    check(format, json.dumps(document).encode(), "registry_package")


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(format: str, body: bytes) -> None:
    check(format, body, "package")
