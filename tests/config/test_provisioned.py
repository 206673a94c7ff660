"""Apps whose names are provisioned: hosts, what they do not go together with, and what their templates can name."""

from __future__ import annotations

from pathlib import Path

import pytest

from grandcentral.config import effective
from grandcentral.config.connections import connection
from grandcentral.core import compose, provisions
from grandcentral.core.model import IdlePolicy

from .support import configure, problems
from .test_apps import COMPOSE, DAY, GIT, IMAGE, STATIC, app, table

HOSTS = {"host": "{app}.{user}.hoodies.example.com"}
PROVISIONED = {"provisioned": "true", "version": ""}
VOLUME = "services: {web: {image: i, volumes: ['data:/data']}}\nvolumes: {data: {}}\n"


def open_to_callers(text: str, more: str = "") -> str:
    return f"{text}[provision]\nsecret_file = 'token'\n{more}"


@pytest.fixture(autouse=True)
def template(place: Path) -> None:
    (place / "shop.compose.yaml").write_text(VOLUME)


@pytest.mark.parametrize("parts", [(COMPOSE, HOSTS), (GIT, HOSTS)], ids=["compose", "git"])
@pytest.mark.parametrize("host", ["{app}.{user}.example.com", "{app}.of.{user}-x.example.com", "{user}.example.com"])
def test_its_names_are_those_of_users_and_of_their_apps(place: Path, parts: tuple[dict[str, str], ...], host: str) -> None:
    found = app(place, *parts, **PROVISIONED, host=f"'{host}'")
    assert (found.provisioned, found.version, found.hosts) == (True, "name", (host,))
    assert provisions.has_appnames(found) is ("{app}" in host)
    assert problems(place, open_to_callers(table(*parts, **PROVISIONED, host=f"'{host}'"))) == []


def test_one_variable_is_the_user_whatever_it_is_called(place: Path) -> None:
    found = app(place, COMPOSE, **PROVISIONED, host="['{version}.example.com', '{user}.example.org']")
    assert provisions.key_of(found, "alice", "").name == "alice"


def test_an_image_is_one_for_all(place: Path) -> None:
    found = app(place, IMAGE, HOSTS, **PROVISIONED, image="'r.example.com/hoodie:1'")
    assert (found.image, found.provisioned) == ("r.example.com/hoodie:1", True)


def test_without_the_word_nothing_is_provisioned(place: Path) -> None:
    assert not app(place, GIT).provisioned
    assert not app(place, GIT, provisioned="false").provisioned


@pytest.mark.parametrize(
    ("parts", "more", "problem"),
    [
        (COMPOSE, {}, 'apps.app.host: "shop.example.com" has no place for the user, and the app is provisioned: write one'),
        (COMPOSE, {"host": "'*.example.com'"}, 'apps.app.host: "*.example.com" has no place for the user'),
        (COMPOSE, {"host": "'{user}.{app}.a.test'"}, 'apps.app.host: "{user}.{app}.a.test" has the user before the app, and'),
        (COMPOSE, {"host": "'{app}.{team}.a.test'"}, 'apps.app.host: "{app}.{team}.a.test" has other variables than {app} and'),
        (COMPOSE, {"host": "'{app}.a.test'"}, 'apps.app.host: "{app}.a.test" has other variables than {app} and {user}: write'),
        (COMPOSE, {"host": "['{user}.a.test', '{app}.{user}.b.test']"}, "apps.app.host: some have a place for the user's app"),
        ((COMPOSE, HOSTS), {"version": "'name'"}, "apps.app.version: means nothing together with provisioned, for names are"),
        ((COMPOSE, HOSTS), {"prewarm": "'pull'"}, "apps.app.prewarm: means nothing together with provisioned, for no push"),
        ((COMPOSE, HOSTS), {"warm": "'main'"}, "apps.app.warm: means nothing together with provisioned: remove it"),
        ((COMPOSE, HOSTS), {"provisioned": "1"}, "apps.app.provisioned: must be true or false, not a number"),
        ((IMAGE, HOSTS), {}, 'apps.app.image: "r.example.com/i:{version}" has a place for a version, and the app has none'),
        (STATIC, {}, "apps.app.provisioned: means nothing together with upstream: remove one of them"),
    ],
)
def test_what_does_not_go_together_is_said_with_its_remedy(
    place: Path, parts: dict[str, str] | tuple[dict[str, str], ...], more: dict[str, str], problem: str
) -> None:
    text = table(*(parts if isinstance(parts, tuple) else (parts,)), **{**PROVISIONED, **more})
    key = problem.partition(": ")[0].rpartition(".")[2]
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"{key} ="))
    found = problems(place, text)
    assert [one for one in found if one.startswith(f"gateway.toml:{line}: {problem}")], found


def test_what_users_keep_is_not_removed_for_being_old_unless_that_is_said(place: Path) -> None:
    assert app(place, GIT, HOSTS, **PROVISIONED).idle == IdlePolicy(None, 1800.0, None)
    assert app(place, GIT, HOSTS, **PROVISIONED, idle="'5m'").idle == IdlePolicy(None, 300.0, None)
    assert app(place, GIT, HOSTS, **PROVISIONED, idle="{ remove = '90d' }").idle.remove == 90 * DAY
    assert app(place, GIT).idle.remove == 7 * DAY


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (VOLUME, False),
        ("services: {web: {image: i}}", True),
        (VOLUME.replace("{data: {}}", "{data: {x-grandcentral: {disposable: true}}}"), True),
    ],
)
def test_a_template_that_keeps_nothing_is_told_of(place: Path, template: str, told: bool) -> None:
    (place / "shop.compose.yaml").write_text(template)
    found = problems(place, open_to_callers(table(COMPOSE, HOSTS, **PROVISIONED)))
    assert [one for one in found if "apps.app.provisioned: " in one and "users lose their data" in one] == found
    assert bool(found) is told


def test_a_template_can_name_its_user_and_one_that_is_not_provisioned_cannot(place: Path) -> None:
    (place / "shop.compose.yaml").write_text(
        "services: {web: {image: i, volumes: ['data:/data'], environment: {A: '${USER} ${EMAIL} ${APPNAME} ${PASSWORD:?}'}}}\n"
        "volumes: {data: {}}\n"
    )
    assert problems(place, open_to_callers(table(COMPOSE, HOSTS, **PROVISIONED))) == []
    found = app(place, COMPOSE, HOSTS, **PROVISIONED).template
    assert found is not None
    service = found.render({**compose.SAMPLE, **provisions.SAMPLE}).service("web")
    assert service.environment["A"] == f"alice alice@example.com shop {'0' * 32}"
    assert service.environment["GRANDCENTRAL_PASSWORD"] == "0" * 32
    assert [one for one in problems(place, table(COMPOSE)) if "PASSWORD" in one]


def test_every_variable_is_in_the_reference() -> None:
    assert provisions.SAMPLE.keys() == compose.PROVISIONED.keys()


# -- [provision] --------------------------------------------------------------------------------------------------------


def test_who_may_provision_shows_a_secret_or_the_token(place: Path) -> None:
    text = table(GIT, HOSTS, **PROVISIONED)
    [warning] = problems(place, text)
    assert "nobody can provision anything without a secret: add [provision] secret_file" in warning
    assert problems(place, text + "[admin]\ntoken_file = 'token'\n") == []
    found = configure(place, open_to_callers(text, "listen = 'tcp:8082'\n")).provision
    assert (found.secret, found.listen) == ("open sesame", "tcp:8082")
    assert "open sesame" not in repr(found)


def test_a_secret_for_nothing_is_told_of(place: Path) -> None:
    [secret, listen] = problems(place, open_to_callers(table(GIT), "listen = 'tcp:8082'\n"))
    assert "provision.secret_file: warning: is of no use, for no app is provisioned" in secret
    assert "provision.listen: warning: is of no use" in listen


def test_callers_elsewhere_have_a_listener_to_themselves(place: Path) -> None:
    text = open_to_callers(table(GIT, HOSTS, **PROVISIONED), "listen = 'tcp:8081'\n")
    [problem] = problems(place, text)
    assert 'provision.listen: "tcp:8081" cannot be listened on beside' in problem


def test_the_secret_is_masked_where_the_configuration_is_shown(place: Path) -> None:
    text = f"{table(GIT, HOSTS, **PROVISIONED)}[provision]\nsecret = 'hush'\n"
    shown = effective(configure(place, text))
    assert "hush" not in shown
    assert "provisioned = true" in shown


# -- where clients of an app's own port connect to ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "password", "url"),
    [
        ("postgresql:5432", "pw", "postgresql://alice:pw@db.example.com:5432/alice"),
        ("postgresql:5432", None, "postgresql://alice@db.example.com:5432/alice"),
        ("postgresql:5433:interface=0.0.0.0", None, "postgresql://alice@db.example.com:5433/alice"),
        ("postgresql:5432:interface=10.0.0.1", None, "postgresql://alice@10.0.0.1:5432/alice"),
        ("redis:6379:interface=\\:\\:1", "pw", "redis://alice:pw@[::1]:6379/"),
    ],
)
def test_a_connection_says_who_and_where(place: Path, listen: str, password: str | None, url: str) -> None:
    found = app(place, COMPOSE, **PROVISIONED, host="", listen=f"'{listen}'")
    assert not provisions.has_appnames(found)
    assert connection(found, "alice", password, "db.example.com") == url


def test_an_app_without_a_port_of_its_own_has_none(place: Path) -> None:
    assert connection(app(place, COMPOSE, HOSTS, **PROVISIONED), "alice.shop", None, "db.example.com") is None
