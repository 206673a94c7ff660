"""Logins: of the configuration, of the Docker configuration file, of its helpers (which are real processes here)."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from grandcentral.errors import RegistryUnavailable
from grandcentral.versions.credentials import DockerConfig, Login, docker_config_path, login, nobody


class Home:
    """A directory with a Docker configuration and credential helpers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": str(path)}
        self.config = DockerConfig(reactor, path / "config.json", self.environment)

    def write(self, **document: object) -> None:
        (self.path / "config.json").write_text(json.dumps(document))

    def helper(self, name: str, body: str) -> None:
        """A helper in Python: ``server`` is what it was asked for, and ``path`` this directory."""
        program = self.path / f"docker-credential-{name}"
        start = f"#!{sys.executable}\nimport json, os, sys, time\nserver = sys.stdin.read()\npath = {str(self.path)!r}\n"
        program.write_text(start + body)
        program.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def auth(text: str) -> dict[str, str]:
    return {"auth": b64encode(text.encode()).decode()}


@pytest_twisted.ensureDeferred
async def test_nobody_is_nobody_and_a_login_is_itself() -> None:
    assert await nobody("registry.test") is None
    assert await login("me", "secret")("registry.test") == Login("me", "secret")


def test_a_login_is_basic_as_the_rfc_has_it_and_never_shown() -> None:
    """The example of RFC 7617 section 2."""
    who = Login("Aladdin", "open sesame", "a token")
    assert who.basic == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert "open sesame" not in repr(who)
    assert "a token" not in repr(who)


def test_the_file_is_where_docker_looks_for_it() -> None:
    assert docker_config_path({"HOME": "/home/me"}) == Path("/home/me/.docker/config.json")
    assert docker_config_path({"HOME": "/home/me", "DOCKER_CONFIG": "/etc/d"}) == Path("/etc/d/config.json")


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_not_there_holds_no_logins(home: Home) -> None:
    assert await home.config("registry.test") is None


@pytest_twisted.ensureDeferred
async def test_a_login_is_found_by_its_registry(home: Home) -> None:
    home.write(auths={"registry.test:5000": auth("me:pass:word"), "other.test": auth("him:x")})
    assert await home.config("registry.test:5000") == Login("me", "pass:word")
    assert await home.config("registry.test") is None


@pytest.mark.parametrize("server", ["registry.test", "https://registry.test", "https://registry.test/v2/", "http://registry.test/"])
@pytest_twisted.ensureDeferred
async def test_a_registry_may_be_written_as_a_url(home: Home, server: str) -> None:
    home.write(auths={server: auth("me:x")})
    assert await home.config("registry.test") == Login("me", "x")


@pytest_twisted.ensureDeferred
async def test_docker_hub_is_filed_under_its_old_name(home: Home) -> None:
    home.write(auths={"https://index.docker.io/v1/": auth("me:x")})
    assert await home.config("docker.io") == Login("me", "x")


@pytest_twisted.ensureDeferred
async def test_an_identity_token_and_a_pair_in_the_open_are_read(home: Home) -> None:
    home.write(auths={
        "token.test": {**auth("me:"), "identitytoken": "abc"},
        "bare.test": {"identitytoken": "def"},
        "open.test": {"username": "me", "password": "x"},
        "empty.test": {},
    })  # fmt: skip
    assert await home.config("token.test") == Login("me", "", "abc")
    assert await home.config("bare.test") == Login("", "", "def")
    assert await home.config("open.test") == Login("me", "x")
    assert await home.config("empty.test") is None


@pytest_twisted.ensureDeferred
async def test_a_new_login_needs_no_restart(home: Home) -> None:
    assert await home.config("registry.test") is None
    home.write(auths={"registry.test": auth("me:x")})
    assert await home.config("registry.test") == Login("me", "x")


NOT_BASE64, NO_COLON = (json.dumps({"auths": {"registry.test": {"auth": text}}}) for text in ("%%%", "bm8="))


@pytest.mark.parametrize("content", ["{", "[]", NOT_BASE64, NO_COLON])
@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_read_is_named(home: Home, content: str) -> None:
    (home.path / "config.json").write_text(content)
    with pytest.raises(RegistryUnavailable, match=r"config\.json"):
        await home.config("registry.test")


# -- helpers ------------------------------------------------------------------------------------------------------------

ANSWER = 'print(json.dumps({"ServerURL": server, "Username": "me", "Secret": "for " + server}))\n'


@pytest_twisted.ensureDeferred
async def test_the_general_helper_is_asked_by_name_of_the_server(home: Home) -> None:
    home.helper("store", ANSWER)
    home.write(credsStore="store")
    assert await home.config("registry.test:5000") == Login("me", "for registry.test:5000")
    assert await home.config("docker.io") == Login("me", "for https://index.docker.io/v1/")


@pytest_twisted.ensureDeferred
async def test_a_registrys_own_helper_comes_first(home: Home) -> None:
    home.helper("own", ANSWER)
    home.helper("store", "sys.exit(1)\n")
    home.write(credHelpers={"registry.test": "own"}, credsStore="store", auths={"registry.test": auth("him:x")})
    assert await home.config("registry.test") == Login("me", "for registry.test")


@pytest_twisted.ensureDeferred
async def test_a_helper_that_knows_nothing_leaves_it_to_the_file(home: Home) -> None:
    home.helper("store", 'print("credentials not found in native keychain")\nsys.exit(1)\n')
    home.write(credsStore="store", auths={"registry.test": auth("me:x"), "empty.test": {}})
    assert await home.config("registry.test") == Login("me", "x")
    assert await home.config("empty.test") is None


@pytest_twisted.ensureDeferred
async def test_a_token_of_a_helper_is_an_identity_token(home: Home) -> None:
    home.helper("store", 'print(json.dumps({"Username": "<token>", "Secret": "abc"}))\n')
    home.write(credsStore="store")
    assert await home.config("registry.test") == Login("", identity_token="abc")


@pytest.mark.parametrize("body", ["sys.exit(3)\n", 'print("nonsense")\n', "print('{}')\n", "os.kill(os.getpid(), 9)\n"])
@pytest_twisted.ensureDeferred
async def test_a_helper_that_fails_is_named_and_what_it_said_is_not(home: Home, body: str) -> None:
    home.helper("store", 'print("hunter2")\n' + body)
    home.write(credsStore="store")
    with pytest.raises(RegistryUnavailable, match="docker-credential-store") as caught:
        await home.config("registry.test")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "../store", "store; rm"])
@pytest_twisted.ensureDeferred
async def test_a_helper_that_is_no_program_on_the_path_is_named(home: Home, name: str) -> None:
    home.helper("store", ANSWER)
    home.write(credsStore=name)
    with pytest.raises(RegistryUnavailable, match="not on the PATH"):
        await home.config("registry.test")


@pytest_twisted.ensureDeferred
async def test_a_helper_that_never_answers_is_killed_when_we_give_up(home: Home) -> None:
    home.helper("store", "open(path + '/pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    home.write(credsStore="store")
    asked = home.config("registry.test")
    pid = await until(lambda: (home.path / "pid").exists() and (home.path / "pid").read_text())
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked
    assert await until(lambda: not os.path.exists(f"/proc/{pid}"))


async def until(fact: object, seconds: float = 10.0) -> object:
    """What ``fact()`` gives as soon as it is true."""
    deadline = reactor.seconds() + seconds
    while not (found := fact()):  # type: ignore[operator]
        assert reactor.seconds() < deadline, "it did not come true"
        await deferLater(reactor, 0.01)
    return found
