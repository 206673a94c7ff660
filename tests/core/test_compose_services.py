"""The forms that keys of a service may have, and what is said of those that they may not."""

from __future__ import annotations

import pytest

from grandcentral.core.model import FileContent, HealthCheck, Mount, MountKind

from .compose_files import document, problems, stack, template, warnings, web, web_problems

SHELL = ("/bin/sh", "-c")


@pytest.mark.parametrize(
    ("keys", "attribute", "value"),
    [
        ("command: [rails, 80, true]", "command", ("rails", "80", "true")),
        ("command: ", "command", None),
        ("command: []", "command", ()),
        ("command: ''", "command", ()),
        ("entrypoint: /x 'y z'", "entrypoint", ("/x", "y z")),
        ("healthcheck: {test: [NONE]}", "healthcheck", HealthCheck((), disabled=True)),
        ("healthcheck: {disable: true, test: x}", "healthcheck", HealthCheck((), disabled=True)),
        ("healthcheck: {disable: false}", "healthcheck", None),
        ("healthcheck: {test: a || b}", "healthcheck", HealthCheck((*SHELL, "a || b"))),
        ("healthcheck: {test: CMD}", "healthcheck", HealthCheck((*SHELL, "CMD"))),
        ("healthcheck: {test: [CMD-SHELL, a || b]}", "healthcheck", HealthCheck((*SHELL, "a || b"))),
        ("healthcheck: {test: [CMD, a, b], retries: 0, timeout: 0}", "healthcheck", HealthCheck(("a", "b"))),
        ("healthcheck: {interval: 5s}", "healthcheck", HealthCheck((), interval=5.0)),  # the image's test
        ("volumes: [/anonymous]", "mounts", (Mount(MountKind.VOLUME, "/anonymous"),)),
        ("volumes: ['data:/d:ro']", "mounts", (Mount(MountKind.VOLUME, "/d", "data", read_only=True),)),
        ("volumes: ['data:/d:rw']", "mounts", (Mount(MountKind.VOLUME, "/d", "data"),)),
        ("volumes: [{type: volume, target: /a}]", "mounts", (Mount(MountKind.VOLUME, "/a"),)),
        ("volumes: [{type: tmpfs, target: /t}]", "mounts", (Mount(MountKind.TMPFS, "/t"),)),
        ("tmpfs: ['/a', '/b:size=1m,mode=1777,ro']", "mounts", (
            Mount(MountKind.TMPFS, "/a"), Mount(MountKind.TMPFS, "/b", size=1 << 20, mode=0o1777, read_only=True)
        )),
        ("networks: {back: , default: {aliases: [x, y]}}", "networks", {"back": (), "default": ("x", "y")}),
        ("networks: []", "networks", {}),
        ("ports: [3000, '3000', 8080-8082, '1:2/udp', {target: 9}]", "ports", (3000, 8080, 8081, 8082, 9)),
        ("ports: [22:22]", "ports", (22,)),
        ("labels: [a=b, c, 'd=e=f']", "labels", {"a": "b", "c": "", "d": "e=f"}),
        ("labels: {a: , b: 1.10, c: true}", "labels", {"a": "", "b": "1.10", "c": "true"}),
        ("environment: {A: 1.10, B: 0755, C: yes, D: true, E: '', F: 0o17}", "environment",
         {"A": "1.10", "B": "0755", "C": "yes", "D": "true", "E": "", "F": "0o17"}),
        ("environment: [A=1=2, B=, 'C= x']", "environment", {"A": "1=2", "B": "", "C": " x"}),
        ("user: 1000", "user", "1000"),
        ("mem_limit: 0", "memory", None),
        ("pids_limit: -1", "pids_limit", None),
        ("cpus: 1.5\ndeploy: {resources: {limits: {cpus: '1.50'}}}", "cpus", 1.5),
        ("restart: on-failure:3", "restart", "on-failure:3"),
        ("restart: 'no'", "restart", "no"),
        ("restart: no", "restart", "no"),  # a string in YAML 1.2
        ("stop_grace_period: 0s", "stop_grace_period", 0.0),
        ("stop_signal: SIGRTMIN+3", "stop_signal", "SIGRTMIN+3"),
        ("ulimits: {nofile: 1024, core: {soft: 0, hard: -1}}", "ulimits", {"nofile": (1024, 1024), "core": (0, -1)}),
        ("extra_hosts: {b: '::1', c: host-gateway}", "extra_hosts", {"b": "::1", "c": "host-gateway"}),
        ("extra_hosts: ['a:10.0.0.1', 'b:::1', 'c=[::1]']", "extra_hosts", {"a": "10.0.0.1", "b": "::1", "c": "::1"}),
        ("ipc: shareable", "ipc_mode", None),
    ],
)  # fmt: skip
def test_forms(keys: str, attribute: str, value: object) -> None:
    environment = {name: content for name, content in web(keys).environment.items() if not name.startswith("GRANDCENTRAL")}
    assert (environment if attribute == "environment" else getattr(web(keys), attribute)) == value


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("command: 'a \"b'", "services.web.command: is no command line: no closing quotation"),
        ("command: {a: b}", "services.web.command: must be a single value"),
        ("command: [a, [b]]", "services.web.command[1]: must be a single value"),
        ("command: [a, null]", "services.web.command[1]: is empty"),
        ("healthcheck: {test: [curl, x]}", "services.web.healthcheck.test: must be a string"),
        ("healthcheck: {test: [CMD]}", "services.web.healthcheck.test: must be a string"),
        ("healthcheck: {test: x, interval: 30}", "services.web.healthcheck.interval: must be a duration with its unit"),
        ("healthcheck: {test: x, retries: -1}", "services.web.healthcheck: retries must not be negative"),
        ("healthcheck: true", "services.web.healthcheck: must be a mapping"),
        ("volumes: ['date:/d']", "volumes[0]: there is no volume 'date' under volumes at the top level; did you mean 'data'?"),
        ("volumes: ['data:d']", "the path in the container must begin with a slash"),
        ("volumes: ['data:/d:rx']", "the option rx is not supported"),
        ("volumes: ['a:b:c:d']", 'must be "volume:path"'),
        ("volumes: ['data:']", 'must be "volume:path"'),
        ("volumes: data", "services.web.volumes: must be a list"),
        ("volumes: ['data:/d', '/d/']", "services.web.volumes[1]: something is mounted at /d already"),
        ("volumes: [/d]\ntmpfs: /d", "services.web.tmpfs: something is mounted at /d already"),
        ("volumes: [{target: /x}]", "services.web.volumes[0]: needs a type and a target"),
        ("volumes: [{type: nfs, target: /x}]", "services.web.volumes[0].type: must be one of volume, bind, tmpfs"),
        ("volumes: [{type: bind, target: /x}]", "services.web.volumes[0]: a bind mount needs a source"),
        ("volumes: [{type: volume, target: /x, sorce: data}]", "web.volumes[0].sorce: is no key that is known here"),
        ("volumes: [{type: bind, source: /x, target: /x, bind: {propagation: shared}}]", "bind.propagation: is refused"),
        ("tmpfs: '/x:uid=1'", "services.web.tmpfs: the option 'uid' is not supported; size, mode, ro and rw are"),
        ("tmpfs: '/x:size=big'", "services.web.tmpfs: size must be a size"),
        ("networks: [bak]", "networks[0]: there is no network 'bak' under networks at the top level; did you mean 'back'?"),
        ("networks: {back: {ipv4_address: 1.2.3.4}}", "web.networks.back.ipv4_address: is refused: every stack gets"),
        ("ports: ['80:http']", "services.web.ports[0]: must be a port"),
        ("ports: ['x:80']", 'services.web.ports[0]: must be "[[ip:]published:]port[/protocol]"'),
        ("ports: [{published: 80}]", "services.web.ports[0]: needs a target"),
        ("ports: 80", "services.web.ports: must be a list"),
        ("expose: ['80:80']", "services.web.expose[0]: must be a port"),
        ("labels: {grandcentral.key: x}", "services.web.labels.grandcentral.key: labels that begin with grandcentral."),
        ("labels: ['com.docker.compose.project=x']", "services.web.labels[0]: labels that begin with"),
        ("environment: {'A B': 1}", "'A B' can't be the name of a variable"),
        ("environment: ['=x']", "services.web.environment[0]: '' can't be the name of a variable"),
        ("environment: {A: [1]}", "services.web.environment.A: must be a single value"),
        ("mem_limit: lots", "services.web.mem_limit: must be a size"),
        ("mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}", "does not say the same as deploy.resources"),
        ("restart: alway", "on-failure, not 'alway'; did you mean 'always'?"),
        ("stop_signal: int 2", "services.web.stop_signal: must be a signal"),
        ("hostname: a_b", "services.web.hostname: must be a host name"),
        ("ulimits: {nofile: {soft: 1}}", "services.web.ulimits.nofile: must be a number, or a mapping of soft and hard"),
        ("extra_hosts: [a]", 'services.web.extra_hosts[0]: must be "name=address"'),
        ("extra_hosts: {a: nowhere}", "'nowhere' is no address"),
        ("extends: {service: other}", "services.web.extends: is refused: use YAML anchors"),
        ("deploy: {replicas: 2}", "services.web.deploy.replicas: is refused: a stack has one container of each service"),
        ("secrets: [s]", "services.web.secrets[0]: there is no 's' under secrets at the top level"),
        ("env_file: [{required: true}]", "services.web.env_file[0]: needs a path"),
        ("env_file: nope.env", "services.web.env_file: there is no file 'nope.env' in /srv/app"),
        ("init: 1", "services.web.init: must be true or false"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_a_problem_at_its_place(keys: str, problem: str) -> None:
    found = web_problems(keys, allow=frozenset({"bind-mounts"}))
    assert any(problem in text for text in found), found


@pytest.mark.parametrize("mode", ["bridge", "none", "service:other", "container:x"])
def test_other_network_modes_are_no_modes(mode: str) -> None:
    assert any(
        "must be one of host" in text for text in web_problems(f"network_mode: {mode}", allow=frozenset({"host-network"}))
    )


def test_a_service_on_the_hosts_network_cannot_be_the_one_that_answers() -> None:
    allow = frozenset({"host-network"})
    assert "on the host's network" in web_problems("network_mode: host", allow=allow)[0]
    spec = stack(document("network_mode: host"), allow=allow, serves="other:80")
    assert spec.networks == ("default",)


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        (
            "command: a && b",
            'services.web.command: warning: is run without a shell, which alone understands && | ; > <; write ["/bin/sh"',
        ),
        ("ports: ['53:53/udp']", "services.web.ports[0]: warning: a port for udp can't be reached through the gateway"),
        ("volumes: ['data:/d:z']", "services.web.volumes[0]: warning: z is ignored"),
        ("environment: [A]", "services.web.environment[0]: warning: the app's environment has no A, so the service gets none"),
        ("container_name: x", "services.web.container_name: warning: is ignored: every stack has names of its own"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(keys: str, warning: str) -> None:
    assert any(warning in text for text in warnings(document(keys)))


# -- environment --------------------------------------------------------------------------------------------------------


def test_a_name_without_a_value_takes_the_apps() -> None:
    spec = template(document("environment: {TOKEN: , NOPE: }"), environment={"TOKEN": "t", "OTHER": "o"}).render({})
    assert spec.service("web").environment == {"TOKEN": "t"}


def test_later_env_files_win_and_the_environment_wins_over_all() -> None:
    files = {"/srv/app/a.env": "A=a\nB=a\nC=a\nD=a", "/srv/app/sub/b.env": "B=b\nC=b", "/abs.env": "E=$VERSION"}
    keys = "env_file: [a.env, {path: ./sub/b.env}, /abs.env, {path: no.env, required: false}]\nenvironment: {C: c, D: }"
    files = {name.replace("/sub", "/./sub"): text for name, text in files.items()}
    spec = template(document(keys), files=files).render({"VERSION": "v"})
    assert spec.service("web").environment == {
        "A": "a",
        "B": "b",
        "C": "c",
        "E": "v",
    }  # D: said to come from outside, and is not there


def test_a_problem_in_an_env_file_names_both_places() -> None:
    found = web_problems("env_file: a.env", files={"/srv/app/a.env": "A=1\nB='x"})
    assert found == ["app.compose.yaml:4: services.web.env_file: a.env:2: the quote has no end"]


def test_an_env_file_must_be_text() -> None:
    assert "a.env is not UTF-8 text" in web_problems("env_file: a.env", files={"/srv/app/a.env": b"\xff"})[0]


def test_the_name_of_a_file_may_depend_on_the_version() -> None:
    found = template(document("env_file: ['${VERSION}.env']"), files={"/srv/app/0123abc.env": "A=1", "/srv/app/v2.env": "A=2"})
    assert found.render({"VERSION": "v2"}).service("web").environment == {"A": "2"}


def test_files_are_read_once() -> None:
    files = {"/srv/app/a.env": "A=1"}
    found = template(document("env_file: a.env"), files=files)
    files["/srv/app/a.env"] = "A=2"
    assert found.render({}).service("web").environment == {"A": "1"}


# -- configs and secrets ------------------------------------------------------------------------------------------------

GRANTS = """\
services:
  web:
    image: img
    configs: [conf, {source: conf, target: /etc/x.conf, mode: 0o777}]
    secrets: [key, {source: token, target: t, mode: 0400}]
configs:
  conf: {content: "host=${HOST}\\n"}
secrets:
  key: {file: ./key.pem}
  token: {environment: TOKEN}
"""


def test_configs_and_secrets_are_files() -> None:
    files = {"/srv/app/./key.pem": b"\x00\xff"}
    spec = template(GRANTS, files=files, environment={"TOKEN": "t$HOST"}).render({"HOST": "h"})
    assert spec.service("web").files == (
        FileContent("/conf", b"host=h\n"),
        FileContent("/etc/x.conf", b"host=h\n", 0o555),
        FileContent("/run/secrets/key", b"\x00\xff"),
        FileContent("/run/secrets/t", b"t$HOST", 0o400),
    )


def test_the_content_of_files_is_in_no_representation() -> None:
    spec = template(GRANTS, files={"/srv/app/./key.pem": b"PRIVATE"}, environment={"TOKEN": "hush"})
    assert "PRIVATE" not in repr(spec.render({}).service("web").files)
    assert "hush" not in repr(spec)


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ("{file: nope}", "configs.c.file: there is no file 'nope' in /srv/app"),
        ("{environment: NOPE}", "configs.c.environment: the app's environment has no NOPE"),
        ("{}", "configs.c: needs one of file, environment and content"),
        ("{file: a, content: b}", "configs.c: needs one of file, environment and content"),
        ("{external: false}", "configs.c: needs one of file, environment and content"),
        ("{external: true}", "configs.c.external: is refused"),
    ],
)
def test_a_config_without_a_content_is_a_problem(definition: str, problem: str) -> None:
    text = f"services: {{web: {{image: i, configs: [c]}}}}\nconfigs: {{c: {definition}}}\n"
    assert any(problem in found for found in problems(text))
