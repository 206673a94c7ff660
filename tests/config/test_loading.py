"""A configuration as a whole: what it comes to, and that everything wrong with it is found in one pass."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grandcentral.config import Admin, Configuration, Docker, Gateway, Log, Registry, load
from grandcentral.config.apps import Makers
from grandcentral.config.findings import Findings
from grandcentral.config.loading import examine
from grandcentral.config.schema import TABLES
from grandcentral.core.compose import SAMPLE
from grandcentral.core.model import Endpoint, IdlePolicy, Limits, ReadyPolicy
from grandcentral.core.problems import Invalid
from grandcentral.core.procfile import CommandTemplate
from grandcentral.core.routing import Routes

from .support import DOCS, configure, problems

# The example of the design, without what comes in later versions.
EXAMPLE = """
[gateway]
listen  = ["tcp:80"]
state   = "/var/lib/grandcentral"

[admin]
listen  = "tcp:8081:interface=127.0.0.1"
token_file = "token"

[limits]
max_stacks = 20
memory_min_free = "1MiB"

[apps.quepid]                           # review environments
host     = "{version}.review.quepid.com"
version  = "git-hash"
image    = "registry.quepid.com/quepid:{version}"
compose  = "shop.compose.yaml"
serves   = "web:3000"
ready    = { http = "/up", within = "120s" }
idle     = { pause = "5m", stop = "30m", remove = "7d" }

[apps.myrepo]                           # the embedded default: a Git repository, no Docker
host    = "{version}.review.localhost"
version = "git-hash"
git     = "~/src/myrepo"
command = "python -m http.server $PORT"

[apps.docs]                             # something that always runs elsewhere
host     = "docs.quepid.com"
upstream = "127.0.0.1:9001"
"""


def test_the_example_of_the_design(place: Path) -> None:
    configuration = configure(place, EXAMPLE)
    assert configuration.gateway == Gateway(("tcp:80",), "http://{host}", Path("/var/lib/grandcentral"), 0)
    assert configuration.gateway.url_of("docs.quepid.com") == "http://docs.quepid.com"
    assert configuration.admin == Admin("tcp:8081:interface=127.0.0.1", "open sesame")
    assert configuration.limits == Limits(max_stacks=20, memory_min_free=2**20)
    assert configuration.warnings == ()
    quepid, myrepo, docs = configuration.apps
    assert (quepid.name, quepid.backend, quepid.version) == ("quepid", "docker", "git-hash")
    assert quepid.hosts == ("{version}.review.quepid.com",)
    assert quepid.image == "registry.quepid.com/quepid:{version}"
    assert quepid.ready == ReadyPolicy("/up", within=120.0)
    assert quepid.idle == IdlePolicy(pause=300.0, stop=1800.0, remove=7 * 86400.0)
    assert quepid.template is not None
    spec = quepid.template.render(SAMPLE)
    assert (spec.serves, spec.port, spec.service("web").image) == ("web", 3000, SAMPLE["IMAGE"])
    assert (myrepo.backend, myrepo.git) == ("process", str(place / "src/myrepo"))
    assert myrepo.template == CommandTemplate({"web": "python -m http.server $PORT"})
    assert (docs.backend, docs.upstream) == ("static", Endpoint("127.0.0.1", 9001))
    assert docs.idle == IdlePolicy(None, None, None)
    Routes(configuration.apps)


def test_an_almost_empty_file_gets_defaults(place: Path) -> None:
    configuration = configure(place, DOCS)
    assert configuration.gateway == Gateway(("tcp:8080",), "http://{host}:8080", place / ".local/state/grandcentral")
    assert configuration.admin == Admin("tcp:8081:interface=127.0.0.1", None)
    assert configuration.docker == Docker("unix:///var/run/docker.sock", "default", "container")
    assert configuration.log == Log("text", "info")
    assert configuration.limits == Limits()
    assert configuration.registries == {}


def test_the_state_directory_follows_the_user(place: Path) -> None:
    assert configure(place, DOCS, {"XDG_STATE_HOME": "/xdg"}).gateway.state == Path("/xdg/grandcentral")
    assert load(place / "gateway.toml", {}, root=True).gateway.state == Path("/var/lib/grandcentral")
    with pytest.raises(Invalid, match=r"gateway\.state: must be given, for HOME and XDG_STATE_HOME are not set"):
        load(place / "gateway.toml", {}, root=False)


def test_the_engine_is_where_docker_host_says_unless_the_file_says_it(place: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://10.0.0.1:2375"}
    assert configure(place, DOCS, environ).docker.host == "tcp://10.0.0.1:2375"
    assert configure(place, f'[docker]\nhost = "unix:///d.sock"\n{DOCS}', environ).docker.host == "unix:///d.sock"


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ('"tcp:80"', "http://{host}"),
        ('"tcp:8080:interface=127.0.0.1"', "http://{host}:8080"),
        ('["unix:/run/g.sock", "tcp:9000"]', "http://{host}:9000"),
        ('"systemd:domain=INET:index=0"', "http://{host}"),
        ('"tcp:0"', "http://{host}"),
    ],
)
def test_urls_have_the_port_of_the_first_tcp_listener(place: Path, listen: str, url: str) -> None:
    assert configure(place, f"[gateway]\nlisten = {listen}\n{DOCS}").gateway.url == url


def test_a_url_that_is_given_is_taken(place: Path) -> None:
    configuration = configure(place, f'[gateway]\nurl = "https://{{host}}"\n{DOCS}')
    assert configuration.gateway.url_of("a.example.com") == "https://a.example.com"


def test_registries(place: Path) -> None:
    text = '[registries."registry.example.com:5000"]\ninsecure = true\nusername = "u"\npassword_file = "token"\n'
    registry = configure(place, text + DOCS).registries["registry.example.com:5000"]
    assert registry == Registry("registry.example.com:5000", True, "u", "open sesame")
    assert "sesame" not in repr(registry)


def test_http_settings_are_in_seconds_and_bytes(place: Path) -> None:
    text = '[http]\nhead_timeout = "500ms"\nmax_head = "32KiB"\nmax_fields = 50\ntrusted_proxies = ["10.0.0.1/8", "::1"]\n'
    http = configure(place, text + DOCS).http
    assert (http["head_timeout"], http["max_head"], http["max_fields"]) == (0.5, 32768, 50)
    assert http["trusted_proxies"] == (ip_network("10.0.0.0/8"), ip_network("::1"))


EVERYTHING_WRONG = """\
[gateway]
listen = ["tcp:80", "tls:443"]
workers = "many"
[admin]
token = "x"
token_file = "nowhere"
[limits]
max_stack = 20
memory_min_free = "1 G"
min_uptime = 30
[apps.shop]
host = "{version}.shop.example.com"
version = "git-hash"
compose = "missing.yaml"
serves = "web:3000"
idle = { stop = "30m", remove = "soon" }
"""


def test_everything_wrong_is_found_in_one_pass_with_its_line(place: Path) -> None:
    assert [problem.split(": ")[0:2] for problem in problems(place, EVERYTHING_WRONG, {"GRANDCENTRAL_NONSENSE": "1"})] == [
        ["environment", "GRANDCENTRAL_NONSENSE"],
        ["gateway.toml:2", "gateway.listen"],
        ["gateway.toml:3", "gateway.workers"],
        ["gateway.toml:5", "admin.token"],
        ["gateway.toml:6", "admin.token_file"],
        ["gateway.toml:8", "limits.max_stack"],
        ["gateway.toml:9", "limits.memory_min_free"],
        ["gateway.toml:10", "limits.min_uptime"],
        ["gateway.toml:13", "apps.shop.version"],
        ["gateway.toml:14", "apps.shop.compose"],
        ["gateway.toml:16", "apps.shop.idle.remove"],
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[limit]", 'gateway.toml:1: limit: is no table of the configuration; did you mean "limits"?'),
        ("[limits]\nmax_stack = 3", 'gateway.toml:2: limits.max_stack: is no key of the configuration; did you mean "max_s'),
        ("[log]\nxyz = 3", "gateway.toml:2: log.xyz: is no key of the configuration; there is access, access_format, format"),
        ("limits = 3", "gateway.toml:1: limits: must be a table, [limits], not a number"),
        ("apps = 3", "gateway.toml:1: apps: must be a table of tables, [apps.NAME], not a number"),
        ('[limits]\nmax_stacks = "3"', "gateway.toml:2: limits.max_stacks: must be a whole number of at least 1"),
        ("[limits]\nmax_stacks = 0", "gateway.toml:2: limits.max_stacks: must be a whole number of at least 1, not 0"),
        ("[limits]\nmax_stacks = true", "gateway.toml:2: limits.max_stacks: must be a whole number of at least 1, not true"),
        ("[limits]\nmin_uptime = 30", 'gateway.toml:2: limits.min_uptime: must be a duration: 30 has no unit: write "30s"'),
        (
            '[limits]\nmin_uptime = "5 parsecs"',
            'gateway.toml:2: limits.min_uptime: "5 parsecs" is not a duration: write a number and a unit (ms, s, m, h, d), '
            'such as "30s" or "1h30m"',
        ),
        ('[limits]\nstart_timeout = "0s"', "gateway.toml:2: limits.start_timeout: must be longer than 0"),
        ('[http]\nmax_head = "64K"', 'gateway.toml:2: http.max_head: "64K" is not a size: write a number and a unit'),
        ('[http]\ntrusted_proxies = "ten"', "gateway.toml:2: http.trusted_proxies: 'ten' does not appear to be"),
        ("[gateway]\nworkers = -1", 'gateway.toml:2: gateway.workers: must be "auto" or a whole number from 0 to 256'),
        ('[gateway]\nlisten = "tcp:80:backlog=x"', 'gateway.toml:2: gateway.listen: "tcp:80:backlog=x": "x" is not a number'),
        ('[gateway]\nlisten = "tls:443"', 'gateway.toml:2: gateway.listen: "tls:443": tls: endpoints are not'),
        ("[gateway]\nlisten = []", "gateway.toml:2: gateway.listen: is empty: write at least one endpoint"),
        (
            '[gateway]\nlisten = ["tcp:8080", "tcp:8080:interface=::1"]',
            'gateway.toml:2: gateway.listen: "tcp:8080:interface=::1": a tcp: endpoint takes backlog, interface, port, not ""',
        ),
        (
            '[gateway]\nlisten = "tcp:8081"',
            'gateway.toml: admin.listen: "tcp:8081:interface=127.0.0.1" cannot be listened on beside',
        ),
        ('[gateway]\nurl = "example.com"', 'gateway.toml:2: gateway.url: "example.com" is not a URL with a place for the host'),
        ('[gateway]\nstate = "~bob/x"', 'gateway.toml:2: gateway.state: "~bob/x": only "~/" is known'),
        ('[gateway]\nstate = ""', "gateway.toml:2: gateway.state: must not be empty"),
        ("[gateway]\nstate = 2026-01-01", "gateway.toml:2: gateway.state: must be a string, not a date or time"),
        ('[log]\nlevel = "loud"', 'gateway.toml:2: log.level: "loud" is not one of "debug", "info"'),
        ('[docker]\nhost = "ssh://host"', 'gateway.toml:2: docker.host: "ssh://host" is not where an engine can be'),
        ('[docker]\ninstance = "A B"', 'gateway.toml:2: docker.instance: "A B" is no name'),
        (
            '[admin]\ntoken = "x"\ntoken_file = "token"',
            "gateway.toml:2: admin.token: cannot be given together with token_file: remove one of them",
        ),
        ('[admin]\ntoken_file = "nowhere"', "gateway.toml:2: admin.token_file: nowhere cannot be read"),
        ('[registries."HTTP://r"]', 'gateway.toml:1: registries."HTTP://r": "HTTP://r" is not a registry: write its host'),
        ('[registries.r]\nusername = "u"', "gateway.toml:2: registries.r.username: needs a password: add"),
        ('[registries.r]\npassword = "u"', "gateway.toml:2: registries.r.password: needs a username: add one"),
        ('[registries.r]\ninsecure = "yes"', "gateway.toml:2: registries.r.insecure: must be true or false, not a string"),
    ],
)
def test_each_problem_has_its_place_and_a_remedy(place: Path, text: str, problem: str) -> None:
    found = problems(place, f"{text}\n{DOCS if not text.startswith('apps') else ''}")
    assert [one for one in found if one.startswith(problem)], found
    with pytest.raises(Invalid):
        load(place / "gateway.toml", {"HOME": str(place)}, root=False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[gateway\n", "gateway.toml:1:9: is not TOML: expected ']' at the end of a table declaration"),
        ("\n\nlisten = \n", "gateway.toml:3:10: is not TOML: invalid value"),
        ("a = 1\na = 2\n", "gateway.toml:2:6: is not TOML: cannot overwrite a value"),
        ('a = """x', "gateway.toml:1: is not TOML: unterminated string"),
    ],
)
def test_a_syntax_error_has_line_and_column(place: Path, text: str, problem: str) -> None:
    assert problems(place, text) == [problem]


def test_a_file_that_cannot_be_read_is_said_to_be_so(place: Path) -> None:
    with pytest.raises(Invalid, match=r"nowhere.toml: cannot be read: No such file or directory"):
        load(place / "nowhere.toml", {})
    (place / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(Invalid, match=r"latin.toml: is not UTF-8 text: byte 5 is wrong"):
        load(place / "latin.toml", {})
    (place / "deep.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(Invalid, match=r"deep.toml: is nested too deeply"):
        load(place / "deep.toml", {})


def test_secrets_that_everybody_can_read_are_a_warning(place: Path) -> None:
    (place / "token").chmod(0o644)
    assert problems(place, f'[admin]\ntoken_file = "token"\n{DOCS}') == [
        "gateway.toml:2: admin.token_file: warning: every user of this machine can read it: chmod o-r token"
    ]
    (place / "open.toml").write_text(f'[admin]\ntoken = "x"\n{DOCS}')
    (place / "open.toml").chmod(0o644)
    configuration = load(place / "open.toml", {"HOME": "/"}, root=False)
    assert [str(warning) for warning in configuration.warnings] == [
        f"{place}/open.toml:2: admin.token: warning: every user of this machine can read it: chmod o-r {place}/open.toml, "
        "or use token_file"
    ]
    assert problems(place, f'[admin]\ntoken = "x"\n{DOCS}') == []


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"\n", "is empty"), (b"a\nb\n", "more than one line"), (b"\xff", "not UTF-8")]
)
def test_a_secret_is_one_line(place: Path, content: bytes, why: str) -> None:
    (place / "token").write_bytes(content)
    [problem] = problems(place, f'[admin]\ntoken_file = "token"\n{DOCS}')
    assert problem.startswith("gateway.toml:2: admin.token_file: token ")
    assert why in problem


def test_secrets_are_not_in_the_repr(place: Path) -> None:
    configuration = configure(place, f'[admin]\ntoken = "very-secret"\n{DOCS}')
    assert configuration.admin.token == "very-secret"
    assert "very-secret" not in repr(configuration)


def test_no_apps_is_a_warning(place: Path) -> None:
    [warning] = configure(place, "").warnings
    assert str(warning).endswith(
        "apps: warning: there are no apps, so that every host is unknown: add a table such as [apps.docs]"
    )


# -- whatever is in the file --------------------------------------------------------------------------------------------

KEYS = sorted(
    {setting.key for table in TABLES for setting in (*table.settings, *(f for s in table.settings for f in s.fields))}
)
texts = st.text(max_size=12) | st.sampled_from(
    [
        "web:3000",
        "30s",
        "never",
        "tcp",
        "/up",
        "git-hash",
        "name",
        "{version}.example.com",
        "*",
        "r/i:{version}",
        "1GiB",
        "tcp:1",
        "07:00-20:00",
        "any",
        "start",
        "cors",
    ]
)
scalars = texts | st.integers() | st.floats() | st.booleans() | st.dates() | st.times() | st.datetimes()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
sections = st.dictionaries(st.sampled_from(KEYS) | texts, values, max_size=8)
names = st.sampled_from([table.name for table in TABLES]) | texts
documents = st.dictionaries(names, sections | values | st.dictionaries(texts, sections, max_size=3), max_size=5)
variables = st.dictionaries(
    st.sampled_from(["HOME", "XDG_STATE_HOME", "DOCKER_HOST", "GRANDCENTRAL_LIMITS_MAX_STACKS", "GRANDCENTRAL_GATEWAY_LISTEN"])
    | texts.map(lambda name: f"GRANDCENTRAL_{name}"),
    texts,
    max_size=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents, variables)
@example({"apps": {"a": {"host": "*", "image": "i", "serves": "web:0", "tag": "{version}", "version": 3}}}, {})
@example({"apps": {"a": {"host": "h", "image": "i", "serves": "w:1", "requests": [{"mode": [], "wakes": True}, 3]}}}, {})
@example({"apps": {"a": {"host": "h", "git": ".", "warm": ["x"] * 30, "before_stop": {"": "x"}}}, "webhooks": 3}, {})
@example({"apps": {"a": {"host": [], "upstream": "h:1", "ready": {"tcp": True, "http": "/"}}}}, {})
def test_no_document_does_anything_but_load_or_be_invalid(document: dict[str, object], environ: dict[str, str]) -> None:
    outcome = result(document, environ)
    if isinstance(outcome, Invalid):
        assert any(not problem.warning for problem in outcome.problems)
        assert all(problem.place and problem.text for problem in outcome.problems)
    else:
        Routes(outcome.apps)
        assert all(warning.warning for warning in outcome.warnings)


def result(document: dict[str, object], environ: dict[str, str]) -> Configuration | Invalid:
    try:
        return examine(document, Findings("x.toml"), Path("/nowhere/x.toml"), environ, False, Makers())
    except Invalid as invalid:
        return invalid
