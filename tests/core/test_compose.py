"""Templates as a whole: problems with places, serves, the order of services, variables, host paths, trees of any kind."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core import compose
from grandcentral.core.compose.document import Entry, MappingNode, Node, ScalarNode, SequenceNode
from grandcentral.core.compose.keys import TABLE
from grandcentral.core.model import Condition, Dependency, Mount, MountKind
from grandcentral.core.problems import Invalid

from .compose_files import document, problems, stack, template, warnings, web, web_problems

# -- problems and their places ------------------------------------------------------------------------------------------


def test_every_problem_is_said_at_once_in_the_order_of_lines() -> None:
    text = """\
services:
  web:
    image: img
    privileged: true
    comand: [x]
    init: yes
  db:
    build: .
volums: {}
"""
    assert problems(text) == [
        "app.compose.yaml:4: services.web.privileged: is refused: it gives the container the whole host. "
        'Remove it, or put "privileged" into the app\'s allow',
        "app.compose.yaml:5: services.web.comand: is no key that is known here; did you mean 'command'?",
        "app.compose.yaml:6: services.web.init: must be true or false, not 'yes'",
        "app.compose.yaml:7: services.db: needs an image: images come from the registry, nothing is built here",
        "app.compose.yaml:9: volums: is no key that is known here; did you mean 'volumes'?",
    ]


def test_a_build_beside_an_image_is_a_warning() -> None:
    assert "services.web.build: warning: is ignored" in warnings(document("build: ."))[0]


def test_a_key_of_an_anchor_is_complained_about_where_it_is_written() -> None:
    text = "x-base: &base\n  privileged: true\nservices:\n  web:\n    <<: *base\n    image: img\n"
    assert problems(text)[0].startswith("app.compose.yaml:2: services.web.privileged: is refused")


def test_extensions_are_left_alone_where_compose_has_them() -> None:
    text = """\
x-top: {any: [thing]}
services:
  web:
    image: img
    x-service: 1
    healthcheck: {test: "true", x-check: 1}
    deploy: {x-deploy: 1, resources: {limits: {x-limit: 1}}}
    depends_on: {other: {condition: service_started, x-d: 1}}
    ports: [{target: 80, x-port: 1}]
  other: {image: img}
volumes: {data: {x-v: 1}}
networks: {back: {x-n: 1}}
"""
    assert template(text).warnings == ()


def test_x_is_a_name_where_names_are_the_authors() -> None:
    assert "x-db" in [service.name for service in stack("services: {web: {image: i}, x-db: {image: i}}").services]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "app.compose.yaml:1: has no services"),
        ("services:\n", "has no services"),
        ("services: []", "services: must be a mapping"),
        ("[]", "app.compose.yaml:1: must be a mapping"),
        ("just text", "must be a mapping"),
        ("services: {web: text}", "services.web: must be a mapping"),
        ("services: {web: }", "services.web: needs an image"),
        ("services: {web: {image: [x]}}", "services.web.image: must be a single value"),
        ("services: {web: {image: ''}}", "services.web: needs an image"),
        ("services: {web: {image: i, profiles: [p]}}", "has only services with profiles"),
        ("services: {'we b': {image: i}}", 'services."we b": a name has'),
        ("services: {web: {image: i, deploy: 3}}", "services.web.deploy: must be a mapping"),
        ("services: {web: {image: i}}\nvolumes: {v: 3}", "volumes.v: must be a mapping"),
        (
            "services: {web: {image: i}}\nvolumes: {v: {external: true}}",
            "volumes.v.external: is refused: a stack brings everything",
        ),
        ("services: {web: {image: i}}\ninclude: [x.yaml]", "include: is refused: put the services into this file"),
    ],
)
def test_documents_that_are_no_stack(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text))


def test_an_unknown_flag_in_allow_is_a_problem() -> None:
    assert "did you mean 'privileged'?" in problems(document(""), allow=frozenset({"priviledged"}))[0]


# -- serves -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "serves", "port"),
    [
        ("", "web:3000", 3000),
        ("ports: ['8080:80', '443']", "web:443", 443),
        ("ports: ['8080:80']", "web", 80),
        ("expose: [3000]", "web", 3000),
        ("ports: ['8080:80']\nexpose: [80, 53/udp]", "web", 80),
    ],
)
def test_serves_names_a_service_and_its_port(keys: str, serves: str, port: int) -> None:
    spec = stack(document(keys), serves=serves)
    assert (spec.serves, spec.port) == ("web", port)


@pytest.mark.parametrize(
    ("keys", "serves", "problem"),
    [
        ("", "wbe:80", "serves = 'wbe:80': there is no service 'wbe'; did you mean 'web'?"),
        ("", "web", "the service has no ports and no expose, so say which one: web:3000"),
        ("ports: ['80', '443']", "web", "has the ports 80, 443, so say which one: web:80"),
        ("", "web:http", "'http' is no port"),
        ("", "web:0", "'0' is no port"),
        ("", "web:", "'' is no port"),
        ("", "web:70000", "'70000' is no port"),
        ("profiles: [debug]", "web:80", "there is no service 'web'"),
    ],
)
def test_serves_that_names_nothing_is_a_problem_with_a_remedy(keys: str, serves: str, problem: str) -> None:
    assert any(problem in found for found in web_problems(keys, serves=serves))


# -- order --------------------------------------------------------------------------------------------------------------


def test_depends_on_in_both_forms() -> None:
    text = """\
services:
  web:
    image: img
    depends_on:
      loader: {condition: service_completed_successfully}
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started, required: false}
  loader: {image: img, depends_on: [db, cache]}
  db: {image: img, healthcheck: {test: "true"}}
  cache: {image: img}
"""
    spec = stack(text)
    assert spec.service("web").depends_on == (
        Dependency("loader", Condition.COMPLETED),
        Dependency("db", Condition.HEALTHY),
        Dependency("cache", Condition.STARTED, required=False),
    )
    assert spec.service("loader").depends_on == (Dependency("db"), Dependency("cache"))
    assert spec.is_task("loader")
    assert "depends_on.db.restart: warning: is ignored" in warnings(text)[0]


@pytest.mark.parametrize(
    ("services", "problem"),
    [
        (
            "web: {image: i, depends_on: [dbb]}\n  db: {image: i}",
            "web.depends_on[0]: there is no service 'dbb'; did you mean 'db'?",
        ),
        ("web: {image: i, depends_on: {dbb: }}\n  db: {image: i}", "services.web.depends_on.dbb: there is no service 'dbb'"),
        ("web: {image: i, depends_on: [web]}", "services.web.depends_on[0]: waits for itself: web -> web"),
        (
            "web: {image: i, depends_on: [a]}\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [a]}",
            "waits for itself: ",
        ),
        ("web: {image: i, depends_on: {a: {condition: service_done}}}\n  a: {image: i}", "must be one of service_started,"),
        ("web: {image: i, depends_on: [a]}\n  a: {image: i, profiles: [p]}", "'a' is left out for its profiles"),
        (
            "web: {image: i, depends_on: {a: {condition: service_completed_successfully}}}\n  a: {image: i, restart: always}",
            "app.compose.yaml:3: services.a.restart: web waits until a has ended, so it must not be restarted",
        ),
        (
            "web: {image: i}\n  a: {image: i, depends_on: {web: {condition: service_completed_successfully}}}",
            "web is a task, which others wait for to end; it can't answer requests",
        ),
        (
            "web: {image: i, depends_on: {a: {condition: service_healthy}}}\n  a: {image: i, healthcheck: {disable: true}}",
            "services.web.depends_on.a: the healthcheck of a is disabled",
        ),
    ],
)
def test_an_order_that_cannot_be_is_a_problem_at_its_place(services: str, problem: str) -> None:
    assert any(problem in found for found in problems(f"services:\n  {services}\n"))


def test_a_cycle_is_shown_in_the_order_of_waiting() -> None:
    text = "services:\n" + "".join(
        f"  {name}: {{image: i, depends_on: [{other}]}}\n" for name, other in [("web", "a"), ("a", "b"), ("b", "c"), ("c", "a")]
    )
    [problem] = problems(text)
    assert any(cycle in problem for cycle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))


def test_a_health_check_that_must_come_from_the_image_is_a_warning() -> None:
    text = "services: {web: {image: i, depends_on: {a: {condition: service_healthy}}}, a: {image: i}}"
    assert "a has no healthcheck here, so its image must have one" in warnings(text)[0]


def test_services_with_profiles_are_left_out_with_what_is_theirs() -> None:
    text = """\
services:
  web: {image: i, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: i, profiles: [debug], volumes: ["logs:/l"], networks: [side]}
volumes: {logs: }
networks: {side: }
"""
    spec = stack(text)
    assert [service.name for service in spec.services] == ["web"]
    assert spec.service("web").depends_on == ()
    assert (spec.volumes, spec.networks) == ((), ("default",))


def test_a_stack_has_the_volumes_and_networks_that_are_used() -> None:
    spec = stack(
        "services:\n  web: {image: i, volumes: ['b:/b', '/anonymous'], networks: [front]}\n"
        "  db: {image: i, volumes: ['a:/a', 'b:/b']}\n"
        "volumes: {a: , b: , unused: }\nnetworks: {front: , unused: }"
    )
    assert spec.volumes == ("b", "a")
    assert spec.networks == ("front", "default")


# -- volumes that go with their stack -----------------------------------------------------------------------------------


def volume(entry: str) -> str:
    return f"services:\n  web: {{image: i, volumes: ['data:/data', 'dumps:/dumps']}}\nvolumes:\n  dumps:\n  data: {entry}\n"


@pytest.mark.parametrize(
    ("entry", "disposable"),
    [
        ("", set()),
        ("{x-grandcentral: }", set()),
        ("{x-grandcentral: {disposable: false}}", set()),
        ("{x-grandcentral: {disposable: true}}", {"data"}),
        ("{x-grandcentral: {disposable: '${YES}'}}", {"data"}),
    ],
)
def test_a_volume_outlives_its_stack_unless_it_says_otherwise(entry: str, disposable: set[str]) -> None:
    assert stack(volume(entry), environment={"YES": "true"}).disposable == disposable


def test_a_disposable_volume_that_nobody_mounts_is_none_of_the_stack_s() -> None:
    assert stack("services: {web: {image: i}}\nvolumes: {data: {x-grandcentral: {disposable: true}}}").disposable == set()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{x-grandcentral: {disposable: maybe}}", "volumes.data.x-grandcentral.disposable: must be true or false, not 'maybe'"),
        (
            "{x-grandcentral: {disposible: true}}",
            "volumes.data.x-grandcentral.disposible: is no key that is known here; did you",
        ),
        ("{x-grandcentral: disposable}", "volumes.data.x-grandcentral: must be a mapping"),
        ("{x-grandcentral: [disposable]}", "volumes.data.x-grandcentral: must be a mapping"),
    ],
)
def test_anything_else_said_to_the_gateway_is_a_problem_with_its_place(entry: str, problem: str) -> None:
    [found] = problems(volume(entry))
    assert f"app.compose.yaml:5: {problem}" in found


@pytest.mark.parametrize(
    "place", ["services: {web: {image: i, x-grandcentral: {a: 1}}}", "services: {web: {image: i}}\nx-grandcentral: {}"]
)
def test_what_is_said_to_the_gateway_in_the_wrong_place_is_not_overlooked(place: str) -> None:
    assert "x-grandcentral: is no key that is known here" in problems(place)[0]


# -- variables ----------------------------------------------------------------------------------------------------------

ENVIRON = {"FROM_APP": "app", "TOKEN": "t"}


def test_variables_of_the_render_and_of_the_app_are_put_into_values() -> None:
    found = template(document("environment: {A: '$VERSION-${FROM_APP}', B: '${TOKEN:+set}'}"), environment=ENVIRON)
    environment = found.render({"VERSION": "v1"}).service("web").environment
    assert environment == {"A": "v1-app", "B": "set"}


def test_the_render_wins_over_the_app() -> None:
    found = template(document("user: $VERSION"), environment={"VERSION": "app"})
    assert found.render({"VERSION": "render"}).service("web").user == "render"


def test_keys_are_not_interpolated_but_lists_of_pairs_are() -> None:
    assert "${VERSION}" in web("labels: {'${VERSION}': x}").labels
    assert "0123abc" in web("labels: ['${VERSION}=x']").labels


def test_after_interpolation_a_value_has_the_type_of_its_key() -> None:
    service = web('init: "${ON}"\nmem_limit: ${MEM}\nports: ["${PORT}"]', environment={"ON": "true", "MEM": "1m", "PORT": "99"})
    assert (service.init, service.memory, service.ports) == (True, 1 << 20, (99,))


def test_gateway_variables_are_in_every_container_unless_the_template_says_otherwise() -> None:
    found = template(document("environment: {GRANDCENTRAL_URL: mine}"), environment={"GRANDCENTRAL_ADMIN_TOKEN": "secret"})
    spec = found.render({"GRANDCENTRAL": "1", "GRANDCENTRAL_URL": "https://x", "VERSION": "v"})
    assert spec.service("web").environment == {"GRANDCENTRAL": "1", "GRANDCENTRAL_URL": "mine"}
    assert spec.service("other").environment == {"GRANDCENTRAL": "1", "GRANDCENTRAL_URL": "https://x"}


def test_an_unset_variable_is_empty_with_a_warning_at_its_place() -> None:
    text = document("user: x\nenvironment: {A: '${NOPE}'}")
    assert warnings(text) == [
        "app.compose.yaml:5: services.web.environment.A: warning: the variable NOPE is not set, so it is empty here; "
        "${NOPE:-default} gives it a default"
    ]


def test_a_demanded_variable_is_a_problem_when_the_template_is_loaded() -> None:
    assert web_problems("environment: {A: '${KEY:?put it into the app}'}") == [
        "app.compose.yaml:4: services.web.environment.A: the variable KEY has no value: put it into the app"
    ]


def test_a_malformed_interpolation_is_a_problem_at_its_place() -> None:
    assert "app.compose.yaml:4: services.web.user: ${ has no closing brace" in web_problems("user: 'a${'")[0]


def test_what_only_real_variables_show_is_a_problem_of_the_render() -> None:
    found = template(document('ports: ["${PORT:-80}"]\nenvironment: {A: "${VERSION:?}"}'))
    with pytest.raises(Invalid, match=r"services.web.ports\[0\]: must be a port"):
        found.render({"PORT": "eighty", "VERSION": "v"})
    with pytest.raises(Invalid, match="the variable VERSION has no value"):
        found.render({})
    assert found.render({"VERSION": "v"}).service("web").ports == (80,)


@given(st.text().filter(lambda text: "\0" not in text))
def test_whatever_a_variable_holds_it_stays_one_value(value: str) -> None:
    found = template(
        document('environment: {A: "${EVIL}", B: "<$EVIL>"}\nlabels: ["l=$EVIL"]\ncommand: ["x", "$EVIL"]'), environment=ENVIRON
    )
    service = found.render({"EVIL": value}).service("web")
    assert service.environment == {"A": value, "B": f"<{value}>"}
    assert service.labels == {"l": value}
    assert service.command == ("x", value)


@pytest.mark.parametrize(
    "value", ["x\n    privileged: true", "'\"", "${TOKEN}", "$TOKEN", "{a: b}", "*alias", "!!python/name:os.system"]
)
def test_a_variable_is_never_read_again_as_yaml_or_as_a_template(value: str) -> None:
    spec = template(document("user: $EVIL"), environment=ENVIRON | {"EVIL": value}).render({})
    assert spec.service("web").user == value
    assert not spec.service("web").privileged


# -- host paths ---------------------------------------------------------------------------------------------------------

BINDS = frozenset({"bind-mounts"})
SOCKET = frozenset({"docker-socket"})


def test_a_path_of_the_host_is_refused_unless_allowed() -> None:
    [problem] = web_problems("volumes: ['./conf:/conf:ro']")
    assert "services.web.volumes[0]: is refused: /srv/app/conf is a path of the host" in problem
    assert 'put "bind-mounts" into the app\'s allow' in problem
    mounts = web("volumes: ['./conf:/conf:ro', '../x:/x', {type: bind, source: /etc/ssl, target: /ssl}]", allow=BINDS).mounts
    assert mounts == (
        Mount(MountKind.BIND, "/conf", "/srv/app/conf", read_only=True),
        Mount(MountKind.BIND, "/x", "/srv/x"),
        Mount(MountKind.BIND, "/ssl", "/etc/ssl"),
    )


@pytest.mark.parametrize(
    "source",
    [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "//var/run/../run/docker.sock",
        "../../var/run/docker.sock",
        "/opt/docker.sock",
    ],
)
def test_the_engines_socket_has_a_flag_of_its_own(source: str) -> None:
    assert any('"docker-socket"' in problem for problem in web_problems(f"volumes: ['{source}:/s']", allow=BINDS))
    assert web(f"volumes: ['{source}:/s']", allow=SOCKET).mounts[0].kind is MountKind.BIND


@pytest.mark.parametrize("source", ["/", "/run", "/var/run/", "/var"])
def test_a_directory_above_the_socket_needs_both_flags(source: str) -> None:
    for allow in (BINDS, SOCKET):
        assert web_problems(f"volumes: [{{type: bind, source: {source}, target: /host}}]", allow=allow)
    assert web(f"volumes: ['{source}:/host']", allow=BINDS | SOCKET).mounts


def test_home_directories_must_be_written_out() -> None:
    assert "write the whole path" in web_problems("volumes: ['~/x:/x']", allow=BINDS)[0]


# -- any tree -----------------------------------------------------------------------------------------------------------

words = [*sorted({step.removesuffix("[]") for path in TABLE for step in path.split(".")} - {"*"}), "web", "db", "x-a"]
texts = st.sampled_from(
    [*words, "${", "$A", "80:80", "a:/b", "/c", "CMD", "1m", "-1", "'", "web=1", "host", "file", "9" * 5000]
) | st.text(max_size=5)
scalars = st.one_of(
    texts.map(lambda text: ScalarNode(text, text, 1)),
    st.sampled_from([None, True, False, 0, 1, -1, 80, 1.5]).map(lambda value: ScalarNode(str(value), value, 2)),
)


def mapping(entries: dict[str, Node]) -> MappingNode:
    return MappingNode(tuple(Entry(key, value, 3) for key, value in entries.items()), 3)


trees: st.SearchStrategy[Node] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: SequenceNode(tuple(items), 4))
        | st.dictionaries(texts, inner, max_size=5).map(mapping)
    ),
    max_leaves=15,
)
services = st.dictionaries(
    st.sampled_from(sorted({path.split(".")[2].removesuffix("[]") for path in TABLE if "services.*." in path})), trees
)


def load_tree(tree: Node) -> None:
    def read_file(path: str) -> bytes:
        raise FileNotFoundError(2, "nothing here", path)

    with contextlib.suppress(Invalid):
        compose.template(tree, filename="f.yaml", serves="web:80", allow=frozenset(compose.FLAGS), read_file=read_file)


@given(trees)
def test_any_tree_is_a_template_or_a_list_of_problems(tree: Node) -> None:
    load_tree(tree)


@given(services, st.dictionaries(st.sampled_from(["volumes", "networks", "configs", "secrets", "x-y"]), trees))
def test_any_service_is_a_service_or_a_list_of_problems(keys: dict[str, Node], top: dict[str, Node]) -> None:
    tree = mapping({"services": mapping({"web": mapping({"image": ScalarNode("i", "i", 1), **keys})}), **top})
    load_tree(tree)
