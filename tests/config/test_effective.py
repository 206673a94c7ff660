"""The effective configuration, as `grandcentral check` prints it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from attrs import evolve

from grandcentral.config import Configuration, Webhooks, effective

from .support import configure
from .test_loading import EXAMPLE

MORE = (
    EXAMPLE.replace("[limits]\n", "[limits]\nstarts_per_client = 2.5\ndisk_min_free = 0\n")
    + """
[apps.image]
host = ["{version}.a.example.com", "{version}.b.example.com"]
version = "name"
image = "registry.example.com/i"
tag = "sha-{version}"
serves = "web:80"
ready = "tcp"
idle = "never"
environment = { SECRET_KEY = "hush-hush" }
wakes = "any"
hours = "Mon-Fri 07:00-20:00 Europe/Berlin"
before_stop = { web = "save \\"all\\" > /data/x" }
prewarm = "pull"
warm = ["main", "pr-1"]
[[apps.image.requests]]
path = "/poll"
methods = "GET"
wakes = false
keeps_alive = false
[[apps.image.requests]]
mode = ["navigate", "websocket"]
wakes = true
[apps.proc]
host = "{version}.p.example.com"
version = "git-hash"
git = "src/myrepo"
[registries."r.example.com"]
username = "u"
password = "hush-hush"
[http]
trusted_proxies = "10.0.0.0/8"
max_head = 1001
[webhooks]
secret = "hush-hush"
"""
)


def comparable(configuration: Configuration) -> Configuration:
    """Without what is masked, and what is never equal: templates that read files."""
    apps = tuple(evolve(app, template=None) for app in configuration.apps)
    registries = {name: evolve(registry, password=None) for name, registry in configuration.registries.items()}
    return evolve(configuration, apps=apps, registries=registries, webhooks=Webhooks())


def test_it_loads_to_the_same_again(place: Path) -> None:
    configuration = configure(place, MORE)
    text = effective(configuration)
    again = configure(place, text)
    assert comparable(again) == comparable(configuration)
    assert effective(again) == text


def test_defaults_are_filled_in_and_only_what_means_something_is_there(place: Path) -> None:
    document = tomllib.loads(effective(configure(place, EXAMPLE)))
    assert document["gateway"] == {"listen": ["tcp:80"], "url": "http://{host}", "state": "/var/lib/grandcentral", "workers": 0}
    assert document["limits"]["max_stacks"] == 20
    assert document["limits"]["min_uptime"] == "30s"
    assert document["http"]["max_head"] == "64KiB"
    assert document["apps"]["docs"] == {
        "host": ["docs.quepid.com"],
        "upstream": "127.0.0.1:9001",
        "ready": {"http": "/", "below": 500, "within": "2m"},
    }
    assert document["apps"]["myrepo"]["serves"] == "web"
    idle = {"pause": "never", "stop": "30m", "remove": "7d", "forget": "never", "max_age": "never"}
    assert document["apps"]["myrepo"]["idle"] == idle


def test_what_is_said_of_sleep_is_said_again(place: Path) -> None:
    image = tomllib.loads(effective(configure(place, MORE)))["apps"]["image"]
    assert image["requests"] == [
        {"methods": ["GET"], "path": "/poll", "wakes": False, "keeps_alive": False},
        {"mode": ["navigate", "websocket"], "wakes": True},
    ]
    assert (image["wakes"], image["prewarm"], image["warm"]) == ("any", "pull", ["main", "pr-1"])
    assert image["before_stop"] == {"web": 'save "all" > /data/x'}
    assert image["hours"] == "Mon-Fri 07:00-20:00 Europe/Berlin"


def test_secrets_are_masked(place: Path) -> None:
    text = effective(configure(place, MORE, {"GRANDCENTRAL_ADMIN_TOKEN": "hush-hush"}))
    assert "hush" not in text
    document = tomllib.loads(text)
    assert document["admin"]["token"] == "********"
    assert document["webhooks"]["secret"] == "********"
    assert document["apps"]["image"]["environment"] == {"SECRET_KEY": "********"}
    assert document["registries"]["r.example.com"]["password"] == "********"
