"""One [apps.NAME] table: which backend it is for, what goes together, and what it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from grandcentral.core.compose import SAMPLE
from grandcentral.core.model import App, Door, Endpoint, IdlePolicy, ReadyPolicy
from grandcentral.core.procfile import CommandTemplate

from .support import configure, problems

DAY = 86400.0
STATIC = {"host": "docs.example.com", "upstream": "127.0.0.1:9001"}
GIT = {"host": "{version}.example.com", "version": "git-hash", "git": "src/myrepo", "command": "./serve"}
IMAGE = {"host": "{version}.example.com", "version": "name", "image": "r.example.com/i:{version}", "serves": "web:3000"}
COMPOSE = {"host": "shop.example.com", "compose": "shop.compose.yaml", "serves": "web:3000"}


def table(*parts: dict[str, str], **more: str) -> str:
    """An [apps.app] table of the parts; of ``more``, the values are TOML, and "" takes a key away."""
    keys = {key: f"'{value}'" for part in parts for key, value in part.items()} | more
    return "[apps.app]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value)


def app(place: Path, *parts: dict[str, str], **more: str) -> App:
    [found] = configure(place, table(*parts, **more)).apps
    return found


@pytest.mark.parametrize(("parts", "backend"), [(STATIC, "static"), (GIT, "process"), (IMAGE, "docker"), (COMPOSE, "docker")])
def test_the_backend_follows_from_what_the_app_is_made_of(place: Path, parts: dict[str, str], backend: str) -> None:
    assert app(place, parts).backend == backend


def test_several_hosts(place: Path) -> None:
    found = app(place, STATIC, host='["docs.example.com", "Docs.Example.ORG.", "*.docs.example.com"]')
    assert found.hosts == ("docs.example.com", "docs.example.org", "*.docs.example.com")


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("127.0.0.1:80", Endpoint("127.0.0.1", 80)),
        ("[::1]:80", Endpoint("::1", 80)),
        ("localhost:9001", Endpoint("localhost", 9001)),
    ],
)
def test_an_upstream_is_a_host_and_a_port(place: Path, written: str, endpoint: Endpoint) -> None:
    assert app(place, STATIC, upstream=f'"{written}"').upstream == endpoint


def test_a_procfile_is_the_default_of_a_repository(place: Path) -> None:
    assert app(place, GIT, command="").template == CommandTemplate(None, "Procfile", "web")
    assert app(place, GIT, command="", procfile='"ops/Procfile"', serves='"api"').template == CommandTemplate(
        None, "ops/Procfile", "api"
    )
    assert app(place, GIT, serves='"api"', environment='{ A = "1" }').template == CommandTemplate(
        {"api": "./serve"}, serves="api", environment={"A": "1"}
    )


def test_an_image_by_itself_is_a_stack_of_one_container(place: Path) -> None:
    found = app(place, IMAGE, environment='{ WHERE = "${HOST}", COUNT = 3 }')
    assert found.template is not None
    spec = found.template.render(SAMPLE)
    [service] = spec.services
    assert (spec.serves, spec.port, service.image, service.ports) == ("web", 3000, SAMPLE["IMAGE"], (3000,))
    assert service.environment["WHERE"] == SAMPLE["HOST"]
    assert service.environment["COUNT"] == "3"
    assert service.environment["GRANDCENTRAL_URL"] == SAMPLE["URL"]


def test_an_image_without_versions_is_started_as_it_is_written(place: Path) -> None:
    found = app(place, IMAGE, host='"a.example.com"', version="", image='"docker.io/library/nginx:1.27"')
    assert found.template is not None
    assert found.template.render({**SAMPLE, "IMAGE": ""}).service("web").image == "docker.io/library/nginx:1.27"


def test_a_tag_is_put_behind_the_image(place: Path) -> None:
    assert (
        app(place, IMAGE, image='"r.example.com:5000/a/i"', tag='"sha-{version}"').image
        == "r.example.com:5000/a/i:sha-{version}"
    )


def test_names_of_two_variables(place: Path) -> None:
    assert app(place, IMAGE, host='"{app}.{user}.hoodies.example.com"').version == "name"


@pytest.mark.parametrize(
    ("ready", "policy"),
    [
        ('"/up"', ReadyPolicy("/up")),
        ('"tcp"', ReadyPolicy(None)),
        ('{ http = "/up?deep=1", within = "5s", below = 400 }', ReadyPolicy("/up?deep=1", 5.0, 400)),
        ('{ tcp = true, within = "1m" }', ReadyPolicy(None, 60.0)),
        ("{ below = 300 }", ReadyPolicy("/", below=300)),
        ("", ReadyPolicy()),
    ],
)
def test_ready(place: Path, ready: str, policy: ReadyPolicy) -> None:
    assert app(place, GIT, ready=ready).ready == policy


@pytest.mark.parametrize(
    ("idle", "policy"),
    [
        ('"1h"', IdlePolicy(None, 3600.0)),
        ('"never"', IdlePolicy(None, None, 7 * DAY)),
        ('{ pause = "5m" }', IdlePolicy(300.0, 1800.0)),
        ('{ pause = "5m", stop = "never" }', IdlePolicy(300.0, None)),
        ('{ pause = "5m", stop = "1h", remove = "2d", max_age = "1d" }', IdlePolicy(300.0, 3600.0, 2 * DAY, DAY)),
        ('{ forget = "90d" }', IdlePolicy(forget=90 * DAY)),
        ('{ remove = "never" }', IdlePolicy(None, 1800.0, None)),
        ("", IdlePolicy()),
    ],
)
def test_idle(place: Path, idle: str, policy: IdlePolicy) -> None:
    assert app(place, GIT, idle=idle).idle == policy


def test_an_address_is_the_engines_unless_the_app_has_its_own(place: Path) -> None:
    published = '[docker]\naddress = "published"\n'
    [own] = configure(place, published + table(COMPOSE, address='"container"')).apps
    [common] = configure(place, published + table(COMPOSE)).apps
    assert (own.address, common.address) == ("container", "published")


def test_start_within(place: Path) -> None:
    assert app(place, GIT).start_within == 600.0
    assert app(place, GIT, start_within='"1h"').start_within == 3600.0


class TestPorts:
    def test_an_app_needs_no_host_if_it_has_a_port_and_need_not_speak_http_then(self, place: Path) -> None:
        found = app(place, GIT, host="", listen='"postgresql:5432:interface=127.0.0.1"')
        assert found.doors == (Door("postgresql", "tcp:5432:interface=127.0.0.1", "app"),)
        assert (found.hosts, found.ready.http) == ((), None)
        assert app(place, GIT, host="", listen='"redis:6379"', ready='"/up"').ready.http == "/up"
        assert app(place, GIT, listen='"redis:6379"').ready.http == "/"

    def test_all_doors_are_listened_on(self, place: Path) -> None:
        configuration = configure(place, table(COMPOSE, listen='["tcp:2525", "tcp:2526"]'))
        assert [door.endpoint for door in configuration.doors] == ["tcp:8080", "tcp:2525", "tcp:2526"]

    def test_two_apps_cannot_have_one_port(self, place: Path) -> None:
        both = table(COMPOSE, listen='"tcp:2525"') + table(COMPOSE, host='"b.example.com"', listen='"tcp:2525"').replace(
            "[apps.app]", "[apps.other]"
        )
        [problem] = problems(place, both)
        assert 'apps.other.listen: "tcp:2525" cannot be listened on beside "tcp:2525": choose another' in problem


# -- what does not go together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "more", "problem"),
    [
        ({}, {"host": "'a.example.com'"}, "apps.app: does not say what it is: add upstream"),
        (STATIC, {"host": ""}, "apps.app: needs a host, or a port: add host = "),
        (STATIC, {"git": "'src/myrepo'"}, "apps.app.git: means nothing together with upstream: remove one of them"),
        (STATIC, {"idle": "'5m'"}, "apps.app.idle: means nothing together with upstream"),
        (STATIC, {"version": "'name'"}, "apps.app.version: means nothing together with upstream"),
        (STATIC, {"host": "'{version}.example.com'"}, 'apps.app.host: "{version}.example.com" has a variable, and an'),
        (STATIC, {"upstream": "'nix'"}, 'apps.app.upstream: "nix" is not a host and a port'),
        (STATIC, {"upstream": "'a:0'"}, 'apps.app.upstream: "a:0" is not a host and a port'),
        (STATIC, {"upstream": "9001"}, 'apps.app.upstream: must be a string, such as "127.0.0.1:9001", not a number'),
        (STATIC, {"host": "'a.example.com:80'"}, 'apps.app.host: "a.example.com:80" has a port'),
        (STATIC, {"host": "[]"}, "apps.app.host: is empty"),
        (GIT, {"image": "'r/i:{version}'"}, "apps.app.image: means nothing together with git: remove one of them"),
        (GIT, {"allow": "['privileged']"}, "apps.app.allow: means nothing together with git"),
        (GIT, {"version": "'name'"}, 'apps.app.version: must be "git-hash" for an app out of a Git repository'),
        (GIT, {"version": ""}, 'apps.app.version: must be "git-hash" for an app out of a Git repository'),
        (GIT, {"host": "'a.example.com'"}, 'apps.app.host: "a.example.com" has no place for the version'),
        (GIT, {"host": "'*.example.com'"}, 'apps.app.host: "*.example.com" has no place for the version'),
        (GIT, {"host": "'{a}.{b}.example.com'"}, 'apps.app.host: "{a}.{b}.example.com" has 2 variables, and a git hash is one'),
        (GIT, {"procfile": "'Procfile'"}, "apps.app.command: cannot be given together with procfile: remove one of them"),
        (GIT, {"serves": "'web:3000'"}, "apps.app.serves: has a port, but a process is told its port in $PORT"),
        (GIT, {"git": "'src'"}, "apps.app.git: src is not a Git repository"),
        (GIT, {"git": "'nowhere'"}, "apps.app.git: nowhere is not a Git repository"),
        (GIT, {"environment": "{ A = '${' }"}, "apps.app.environment.A: "),
        (GIT, {"environment": "{ 'A B' = '1' }"}, 'apps.app.environment: "A B" is not a name of an environment variable'),
        (GIT, {"environment": "{ A = true }"}, "apps.app.environment: A must be a string, not true or false: put it in quotes"),
        (GIT, {"environment": "'A=1'"}, 'apps.app.environment: must be a table, such as { LANG = "C.UTF-8" }, not a string'),
        (IMAGE, {"image": "'r/i:{version}'", "tag": "'{version}'"}, 'apps.app.tag: "r/i:{version}" has a tag already'),
        (
            IMAGE,
            {"image": "'r/i'"},
            'apps.app.image: "r/i" needs {version} in its tag, once: write one such as "r/i:{version}"',
        ),
        (
            IMAGE,
            {"image": "'r/i:{version}-{version}'"},
            'apps.app.image: "r/i:{version}-{version}" needs {version} in its tag, once',
        ),
        (IMAGE, {"image": "'r/i-{version}:latest'"}, 'apps.app.image: "r/i-{version}:latest" needs {version} in its tag, once'),
        (IMAGE, {"image": "'R/I:{hash}'"}, 'apps.app.image: "R/I:{hash}" is not a reference of an image'),
        (
            IMAGE,
            {"version": "", "host": "'a.example.com'"},
            'apps.app.image: "r.example.com/i:{version}" has a place for a version',
        ),
        (IMAGE, {"version": ""}, 'apps.app.host: "{version}.example.com" has a variable, and the app has no versions'),
        (IMAGE, {"version": "'sha'"}, 'apps.app.version: "sha" is not one of "git-hash", "name"'),
        (IMAGE, {"serves": ""}, "apps.app: needs serves, the service that answers requests and its port"),
        (IMAGE, {"serves": "'web'"}, 'apps.app.serves: has no port: write one such as serves = "web:3000"'),
        (IMAGE, {"serves": "'web:70000'"}, "apps.app.serves: 70000 is not a port"),
        (IMAGE, {"serves": "'a b'"}, 'apps.app.serves: "a b" is no service'),
        (IMAGE, {"allow": "['privileged']"}, "apps.app.allow: is about Compose files, and there is none: remove it"),
        (COMPOSE, {"compose": "'nowhere.yaml'"}, "apps.app.compose: nowhere.yaml cannot be read: No such file or directory"),
        (COMPOSE, {"tag": "'{version}'"}, "apps.app.tag: is the tag of image, and there is none: add image"),
        (
            COMPOSE,
            {"version": "'name'", "host": "'{version}.a.test'"},
            "apps.app.version: needs an image, for a version exists if",
        ),
        (COMPOSE, {"allow": "'everything'"}, 'apps.app.allow: "everything" is not one of "bind-mounts", "cap-add"'),
        (COMPOSE, {"address": "'public'"}, 'apps.app.address: "public" is not one of "container", "published"'),
        (COMPOSE, {"listen": "'postgresql:5432'"}, 'apps.app.listen: "postgresql:5432" leads to one stack of many by the user'),
        (COMPOSE, {"listen": "'mysql:3306'"}, 'apps.app.listen: "mysql:3306": what an app can listen for is postgresql, redis'),
        (COMPOSE, {"listen": "'tcp:8080'"}, 'apps.app.listen: "tcp:8080" cannot be listened on beside "tcp:8080"'),
        (STATIC, {"listen": "'redis:6379'"}, 'apps.app.listen: "redis:6379" leads to a stack for each user name, and an'),
        (GIT, {"listen": "'tcp:2525'"}, 'apps.app.listen: "tcp:2525" leads to one stack, and the app has many: write one'),
        (
            GIT,
            {"host": "", "listen": "'redis:6379'", "requests": "{ path = '/x', wakes = true }"},
            "apps.app.requests: is about requests of HTTP, and the app has no host",
        ),
        (COMPOSE, {"comopse": "'x'"}, 'apps.app.comopse: is no key of the configuration; did you mean "compose"?'),
        (GIT, {"idle": "{ pause = '1h', stop = '5m' }"}, "apps.app.idle: pauses no sooner than it stops"),
        (GIT, {"idle": "{ pause = '1h' }"}, "apps.app.idle: pauses no sooner than it stops"),
        (GIT, {"idle": "'soon'"}, 'apps.app.idle.stop: "soon" is not a duration'),
        (GIT, {"idle": "5"}, 'apps.app.idle: must be a string, such as "30m", not a number'),
        (GIT, {"ready": "'up'"}, 'apps.app.ready: "up" is neither "tcp" nor the path of a URL such as "/up"'),
        (GIT, {"ready": "{ http = 'up' }"}, 'apps.app.ready.http: "up" is not the path of a URL'),
        (GIT, {"ready": "{ tcp = true, http = '/' }"}, "apps.app.ready: asks for tcp and for an HTTP answer"),
        (GIT, {"ready": "{ below = 700 }"}, "apps.app.ready.below: must be a whole number from 101 to 600, not 700"),
        (GIT, {"ready": "{ wthin = '1s' }"}, 'apps.app.ready.wthin: is no key of the configuration; did you mean "within"?'),
        (GIT, {"start_within": "'0s'"}, "apps.app.start_within: must be longer than 0"),
    ],
)
def test_each_contradiction_is_said_once_with_its_remedy(
    place: Path, parts: dict[str, str], more: dict[str, str], problem: str
) -> None:
    text = table(parts, **more)
    lines = text.splitlines()
    key = problem.partition(": ")[0].split(".")[2:3]
    line = next((number for number, line in enumerate(lines, 1) if key and line.startswith(f"{key[0]} =")), 1)
    found = problems(place, text)
    assert [one for one in found if one.startswith(f"gateway.toml:{line}: {problem}")], found
    assert len(found) == len(set(found))


def test_a_missing_service_of_a_template_is_a_problem_of_that_file(place: Path) -> None:
    [problem] = problems(place, table(COMPOSE, serves='"wbe:3000"'))
    assert problem.startswith("shop.compose.yaml: ")
    assert "web" in problem


def test_what_a_template_ignores_is_a_warning_of_the_configuration(place: Path) -> None:
    (place / "shop.compose.yaml").write_text("version: '3'\nservices: {web: {image: i}}\n")
    [warning] = configure(place, table(COMPOSE)).warnings
    assert warning.warning
    assert warning.place.startswith(f"{place}/shop.compose.yaml:1")


def test_files_of_a_template_are_beside_it(place: Path) -> None:
    (place / "stacks").mkdir()
    (place / "stacks/web.env").write_text("A=1\n")
    (place / "stacks/compose.yaml").write_text("services: {web: {image: i, env_file: web.env}}\n")
    template = app(place, COMPOSE, compose='"stacks/compose.yaml"').template
    assert template is not None
    assert template.render(SAMPLE).service("web").environment["A"] == "1"


def test_what_allow_names_is_allowed(place: Path) -> None:
    (place / "shop.compose.yaml").write_text("services: {web: {image: i, privileged: true}}\n")
    assert "privileged" in problems(place, table(COMPOSE))[0]
    assert problems(place, table(COMPOSE, allow='["privileged"]')) == []


@pytest.mark.parametrize("name", ["Shop", "a/b", "a.b", "-a", "x" * 64])
def test_a_name_of_an_app_can_be_part_of_a_key_and_a_label(place: Path, name: str) -> None:
    [problem] = problems(place, table(STATIC).replace("[apps.app]", f'[apps."{name}"]'))
    assert f'"{name}" is no name for an app' in problem


def test_two_apps_cannot_claim_one_host(place: Path) -> None:
    text = table(GIT) + table(IMAGE).replace("[apps.app]", "[apps.other]").replace(
        "{version}.example.com", "{commit}.Example.com"
    )
    assert problems(place, text) == [
        'gateway.toml:7: apps.other.host: "{commit}.example.com" is claimed already, by apps.app: remove one of them'
    ]
