"""The pure parts of the Docker backend: names, labels, references, bodies, patience, what was seen."""

from __future__ import annotations

import io
import re
import tarfile
from typing import Any

import pytest
import requests
from attrs import evolve
from docker.errors import APIError, DockerException, ImageNotFound
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.backends.docker import bodies, seen
from grandcentral.backends.docker.abortable import summary
from grandcentral.backends.docker.health import check_of, failed, parsed
from grandcentral.backends.docker.labels import (
    Roster,
    dependencies_of,
    generation_of,
    is_disposable,
    key_of,
    of_service,
    of_stack,
    of_volume,
    roster,
    serves_of,
    unique,
)
from grandcentral.backends.docker.references import wanted
from grandcentral.backends.docker.translate import Condition as State
from grandcentral.backends.docker.translate import condition, ended_how, exit_status, translated
from grandcentral.core.keys import Key
from grandcentral.core.model import (
    Condition,
    Dependency,
    Endpoint,
    FileContent,
    HealthCheck,
    Launch,
    Mount,
    MountKind,
    Service,
    StackSpec,
    Version,
)
from grandcentral.errors import EngineRefused, EngineUnavailable, ImageUnavailable

from .docker_seen import seen as container_seen

KEY = Key("quepid", "db139cf")
VERSION = Version(
    "db139cf", "registry.example.com/quepid:db139cf", "sha256:" + "a" * 64, "db139cf" + "0" * 33, "main", 1795193611.25
)
WEB = Service("web", depends_on=(Dependency("load", Condition.COMPLETED),))
LOAD = Service("load", image="loader", depends_on=(Dependency("db"),))
DB = Service("db", image="mariadb:10")
LAUNCH = Launch(KEY, 4, VERSION, StackSpec((WEB, LOAD, DB), "web", 3000), "db139cf.review.example.com")

anything = st.text(max_size=80)


# -- names and labels ---------------------------------------------------------------------------------------------------


def test_names_can_be_read():
    assert re.fullmatch("quepid-db139cf-web-[0-9a-f]{8}", unique("i", KEY, "web"))


@given(anything, anything, anything, anything)
def test_names_are_valid_for_containers_hosts_and_compose_whatever_the_key(instance: str, app: str, name: str, part: str):
    assert re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])", unique(instance, Key(app, name), part))


def test_what_reads_the_same_once_cleaned_still_has_names_of_its_own():
    alike = [Key("a", "b.c"), Key("a", "b-c"), Key("a-b", "c"), Key("a", "B.C"), Key("a", "b.c" + "x" * 90)]
    assert len({unique("i", key, "web") for key in alike}) == len(alike)
    assert unique("one gateway", KEY) != unique("another", KEY)


@given(anything, anything, st.integers(0, 10**9))
def test_labels_say_which_stack_it_is(app: str, name: str, generation: int):
    labels = of_stack("i", evolve(LAUNCH, key=Key(app, name), generation=generation))
    assert (key_of(labels), generation_of(labels)) == (Key(app, name), generation)


def test_our_labels_win_over_the_template_s():
    spec = StackSpec((Service("web", labels={"team": "search", "grandcentral.generation": "9"}),), "web", 3000)
    labels = of_service("i", evolve(LAUNCH, spec=spec), "web", "2026-01-01T00:00:00+00:00")
    assert labels["team"] == "search"
    assert labels["grandcentral.generation"] == "4"


def test_every_container_says_what_the_whole_stack_is():
    labels = of_service("i", LAUNCH, "load", "2026-01-01T00:00:00+00:00")
    assert labels["grandcentral.services"] == roster(LAUNCH) == "db | load:task | web"
    assert serves_of(labels) == ("web", 3000)
    assert Roster.parse(roster(LAUNCH)) == Roster((("db",), ("load",), ("web",)), frozenset({"load"}))
    assert labels["com.docker.compose.oneoff"] == "True"
    assert labels["grandcentral.digest"] == VERSION.digest


def test_a_container_says_what_it_waited_for_as_compose_does():
    labels = of_service("i", LAUNCH, "web", "2026-01-01T00:00:00+00:00")
    assert labels["com.docker.compose.depends_on"] == "load:service_completed_successfully:false"
    assert dependencies_of(labels) == WEB.depends_on
    missing = evolve(WEB, depends_on=(*WEB.depends_on, Dependency("debug", required=False)))
    launch = evolve(LAUNCH, spec=evolve(LAUNCH.spec, services=(missing, LOAD, DB)))
    assert dependencies_of(of_service("i", launch, "web", "now")) == WEB.depends_on
    assert dependencies_of(of_service("i", LAUNCH, "db", "now")) == ()


def test_a_volume_says_whether_it_goes_with_its_stack():
    launch = evolve(LAUNCH, spec=evolve(LAUNCH.spec, volumes=("dumps", "data"), disposable=frozenset({"data"})))
    assert [is_disposable(of_volume("i", launch, name)) for name in ("dumps", "data", "")] == [False, True, True]


@pytest.mark.parametrize("spoilt", [{}, {"grandcentral.generation": "x"}, {"grandcentral.generation": "-1"}])
def test_a_spoilt_label_is_no_generation(spoilt: dict[str, str]):
    assert generation_of(spoilt) == 0


# -- references ---------------------------------------------------------------------------------------------------------


def test_the_version_s_own_image_is_started_by_digest_and_others_by_tag():
    assert str(wanted(WEB, VERSION)) == f"registry.example.com/quepid@{VERSION.digest}"
    assert str(wanted(evolve(WEB, image=VERSION.image), VERSION)) == f"registry.example.com/quepid@{VERSION.digest}"
    assert str(wanted(DB, VERSION)) == "mariadb:10"
    assert str(wanted(LOAD, VERSION)) == "loader:latest"
    assert str(wanted(evolve(LOAD, image=f"loader@{VERSION.digest}"), VERSION)) == f"loader@{VERSION.digest}"
    assert wanted(WEB, Version("x")) is None


def test_an_image_that_no_engine_would_take_is_refused_by_name():
    with pytest.raises(EngineRefused, match=r"load cannot be started from 'Loader:1': .*Loader.* is no repository"):
        wanted(evolve(LOAD, image="Loader:1"), VERSION)


# -- bodies -------------------------------------------------------------------------------------------------------------


def body(service: Service, published: bool = False) -> dict[str, Any]:
    spec = evolve(LAUNCH.spec, services=(service, *(one for one in LAUNCH.spec.services if one.name != service.name)))
    return bodies.container("i", evolve(LAUNCH, spec=spec), service, "image", published, "now")


def test_what_the_template_leaves_open_is_left_to_the_image():
    assert body(DB).keys() == {"Image", "Env", "Labels", "StopTimeout", "Healthcheck", "HostConfig", "NetworkingConfig"}


def test_docker_neither_checks_health_nor_restarts_and_reaps_zombies():
    made = body(DB)
    assert made["Healthcheck"] == {"Test": ["NONE"]}
    assert made["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert made["HostConfig"]["Init"] is True
    assert body(evolve(DB, init=False))["HostConfig"]["Init"] is False


def test_a_port_is_published_only_when_asked_for_only_for_who_serves_and_only_on_loopback():
    assert "PortBindings" not in body(WEB)["HostConfig"]
    assert "PortBindings" not in body(DB, published=True)["HostConfig"]
    assert body(WEB, published=True)["HostConfig"]["PortBindings"] == {"3000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}


def test_a_service_is_known_by_its_name_and_aliases_on_its_network():
    made = body(evolve(DB, networks={"back": ("database",), "front": ()}))
    network = unique("i", KEY, "network back")
    assert made["NetworkingConfig"]["EndpointsConfig"] == {network: {"Aliases": ["db", "database"]}}
    assert made["HostConfig"]["NetworkMode"] == network


def test_a_service_on_the_host_s_network_is_on_none_of_the_stack_s():
    made = body(evolve(DB, network_mode="host"))
    assert made["HostConfig"]["NetworkMode"] == "host"
    assert "NetworkingConfig" not in made


def test_mounts():
    mounts = (
        Mount(MountKind.VOLUME, "/data", "data"),
        Mount(MountKind.VOLUME, "/cache"),
        Mount(MountKind.BIND, "/src", "/home/src", read_only=True),
        Mount(MountKind.TMPFS, "/tmp", size=1024, mode=0o1777),
    )
    named, anonymous, bound, tmpfs = body(evolve(DB, mounts=mounts))["HostConfig"]["Mounts"]
    assert named["Source"] == unique("i", KEY, "volume data")
    assert named["VolumeOptions"]["Labels"] == {**of_stack("i", LAUNCH), "grandcentral.disposable": "false"}
    assert is_disposable(anonymous["VolumeOptions"]["Labels"])
    assert "Source" not in anonymous
    assert (bound["Source"], bound["ReadOnly"]) == ("/home/src", True)
    assert tmpfs["TmpfsOptions"] == {"SizeBytes": 1024, "Mode": 0o1777}


def test_limits():
    limited = evolve(DB, memory=1 << 20, cpus=0.5, shm_size=4096, ulimits={"nofile": (1, 2)}, stop_grace_period=1.2)
    config = body(limited)["HostConfig"]
    assert (config["Memory"], config["NanoCpus"], config["ShmSize"]) == (1 << 20, 500_000_000, 4096)
    assert config["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert body(limited)["StopTimeout"] == 2


def test_the_environment_says_where_it_is_and_the_template_wins():
    launch = evolve(LAUNCH, variables={"HOST": "h", "GRANDCENTRAL": "1", "GRANDCENTRAL_HOST": "h"})
    service = Service("web", environment={"GRANDCENTRAL_HOST": "mine"})
    assert bodies.environment(launch, service) == {"GRANDCENTRAL": "1", "GRANDCENTRAL_HOST": "mine"}


def test_a_port_that_is_left_to_us_is_said_in_the_environment():
    launch = evolve(LAUNCH, spec=StackSpec((Service("web"),), "web", 0))
    assert bodies.environment(launch, launch.spec.service("web")) == {"PORT": "8080"}
    assert serves_of(of_service("i", launch, "web", "now")) == ("web", 8080)


def test_files_go_in_as_archives():
    files = (FileContent("/etc/app/key", b"k", 0o400), FileContent("/run/token", b"t"))
    [(where, packed)] = bodies.archives(Service("web", files=files)).items()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert where == "/"
        assert {(one.name, one.mode) for one in tar} == {("etc/app/key", 0o400), ("run/token", 0o444)}


def test_a_read_only_container_gets_its_files_in_volumes():
    files = (FileContent("/etc/app/key", b"k"), FileContent("/data/token", b"t"))
    service = Service("web", files=files, read_only=True, mounts=(Mount(MountKind.VOLUME, "/data", "data"),))
    assert bodies.archives(service).keys() == {"/etc/app", "/data"}
    assert [mount.target for mount in bodies.mounts_of(service)] == ["/data", "/etc/app"]


# -- health -------------------------------------------------------------------------------------------------------------

CHECK = HealthCheck(("true",), interval=10, retries=3, start_period=5)


def test_failures_in_the_start_period_do_not_count():
    verdict = failed(CHECK, 0, running_for=4.9)
    assert (verdict.failures, verdict.give_up) == (0, False)


def test_it_is_given_up_when_the_engine_would_have_given_up_and_not_after_as_many_of_our_quicker_tries():
    assert not failed(CHECK, 50, running_for=34.9).give_up
    assert failed(CHECK, 50, running_for=35).give_up
    assert not failed(CHECK, 1, running_for=99).give_up, "two slow failures are not three"


def test_checks_come_quickly_at_first():
    assert failed(CHECK, 0, 0.01).after == 0.02
    assert failed(CHECK, 0, 600).after == 0.25
    assert failed(evolve(CHECK, start_interval=2), 0, 1).after == 2


def test_an_image_s_own_check_is_used_unless_the_template_has_one_or_forbids_it():
    image = {"Config": {"Healthcheck": {"Test": ["CMD-SHELL", "ping db"], "Interval": 2_000_000_000, "Retries": 7}}}
    theirs = HealthCheck(("/bin/sh", "-c", "ping db"), interval=2, retries=7)
    assert check_of(Service("db"), image) == theirs
    assert check_of(Service("db", healthcheck=CHECK), image) == CHECK
    assert check_of(Service("db", healthcheck=evolve(CHECK, test=())), image) == evolve(CHECK, test=theirs.test)
    assert check_of(Service("db", healthcheck=evolve(CHECK, disabled=True)), image) is None
    assert check_of(Service("db"), {"Config": {}}) is None
    assert parsed({"Test": ["NONE"]}) is None


# -- translations -------------------------------------------------------------------------------------------------------


def api_error(status: int, said: str, kind: type[APIError] = APIError) -> APIError:
    response = requests.Response()
    response.status_code = status
    return kind("failed", response=response, explanation=said)


def test_the_engine_s_errors_become_ours_and_keep_its_words():
    missing = translated(api_error(404, "No such image: x", ImageNotFound), "e")
    assert isinstance(missing, ImageUnavailable)
    assert str(missing) == "The engine does not have the image: No such image: x"
    refused = translated(api_error(409, "name in use"), "e")
    assert isinstance(refused, EngineRefused)
    assert str(refused) == "The Docker engine refused: name in use"
    assert isinstance(translated(api_error(503, "starting"), "e"), EngineUnavailable)
    assert isinstance(translated(DockerException("no version"), "e"), EngineUnavailable)


def test_an_engine_without_address_ranges_is_told_with_the_remedy():
    said = "could not find an available, non-overlapping IPv4 address pool among the defaults"
    assert "default-address-pools" in str(translated(api_error(500, said), "e"))


def test_an_engine_that_is_away_is_told_by_the_innermost_reason():
    outer = requests.exceptions.ConnectionError(DockerException(ConnectionRefusedError(111, "Connection refused")))
    assert str(translated(outer, "unix:///e")) == "The Docker engine at unix:///e does not answer: Connection refused."


def test_a_bug_is_not_translated():
    assert translated(KeyError("x"), "e") is None


@pytest.mark.parametrize(
    ("state", "means"),
    [
        ("created", State.NOT_STARTED),
        ("running", State.RUNNING),
        ("paused", State.PAUSED),
        ("exited", State.ENDED),
        ("dead", State.ENDED),
        ("removing", State.ENDED),
        ("restarting", State.ENDED),
        ("of a newer engine", State.ENDED),
    ],
)
def test_states(state: str, means: State):
    assert condition(state) is means


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (137, -9), (143, -15), (255, 255), (128, 128)])
def test_a_code_past_128_is_the_signal_that_ended_it(code: int, status: int):
    assert exit_status(code) == status


def test_how_a_service_ended_in_a_sentence():
    assert ended_how("web", 3, False, None) == "web exited with status 3."
    assert ended_how("web", -9, False, None) == "web was ended by signal 9."
    assert ended_how("web", -9, True, 64 << 20) == "web was killed: it ran out of memory, its limit is 64 MiB."
    assert ended_how("web", None, False, None) == "web is gone."


def test_the_progress_of_a_pull_is_summed_over_its_layers():
    layers: dict[str, tuple[int, int]] = {}
    assert summary(layers, {"status": "Pulling from app", "id": "latest"}) == ""
    assert summary(layers, downloading("a", 1, 30)) == "1 of 30 MB"
    assert summary(layers, downloading("b", 5, 10)) == "6 of 40 MB"
    assert summary(layers, {"status": "Download complete", "id": "a", "progressDetail": {}}) == "35 of 40 MB"
    assert summary(layers, {"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 2}}) == "35 of 40 MB"


def downloading(layer: str, here: int, total: int) -> dict[str, Any]:
    return {"id": layer, "status": "Downloading", "progressDetail": {"current": here * 10**6, "total": total * 10**6}}


# -- what was seen ------------------------------------------------------------------------------------------------------


def container(service: str, state: State = State.RUNNING, status: int | None = None, generation: int = 4) -> seen.Seen:
    labels = of_service("i", evolve(LAUNCH, generation=generation), service, "now")
    return container_seen(labels, id=service, condition=state, status=status)


WHOLE = (container("web"), container("db"), container("load", State.ENDED, 0))


def found(*containers: seen.Seen) -> seen.Found:
    [stack] = seen.survey(containers, ())
    return stack


def test_a_stack_with_all_its_services_and_its_task_done_is_whole():
    assert found(*WHOLE) == seen.Found(KEY, 4, Endpoint("172.18.0.2", 3000), VERSION, kept=True)


def test_a_stack_of_which_all_services_are_paused_is_whole_and_paused():
    stack = found(container("web", State.PAUSED), container("db", State.PAUSED), WHOLE[2])
    assert (stack.whole, stack.paused) == (True, True)


@pytest.mark.parametrize(
    ("containers", "running"),
    [
        ((container("web", State.PAUSED), container("db"), WHOLE[2]), True),
        ((container("web"), container("db", State.ENDED, 0), WHOLE[2]), True),
        ((container("web", State.PAUSED), container("db", State.ENDED, 137), WHOLE[2]), True),
        ((container("web", State.ENDED, 0), container("db", State.ENDED, 137), WHOLE[2]), False),
        ((evolve(WHOLE[0], addresses={}), *WHOLE[1:]), True),
    ],
    ids=["half paused", "db ended", "one paused and one ended", "stopped", "no address"],
)
def test_a_stack_of_which_something_does_not_run_is_kept(containers: tuple[seen.Seen, ...], running: bool):
    assert found(*containers) == seen.Found(KEY, 4, None, VERSION, kept=True, running=running)
    assert not found(*containers).whole


@pytest.mark.parametrize(
    ("containers", "running"),
    [
        (WHOLE[:2], True),
        (WHOLE[1:], True),
        (WHOLE[2:], False),
        ((*WHOLE[:2], container("load", State.ENDED, 1)), True),
        ((*WHOLE[:2], container("load")), True),
        ((*WHOLE[:2], container("load", State.ENDED, 0, generation=3)), True),
        ((container("web", State.NOT_STARTED), *WHOLE[1:]), True),
        ((container("web", State.NOT_STARTED), container("db", State.ENDED, 0), WHOLE[2]), False),
    ],
    ids=["no task", "no web", "nothing but the task", "task failed", "task runs", "two starts", "not started", "one stopped"],
)
def test_anything_else_is_half_made(containers: tuple[seen.Seen, ...], running: bool):
    assert found(*containers) == seen.Found(KEY, 4, None, running=running)


def test_a_network_without_containers_is_a_half_made_stack_too():
    assert seen.survey((), [of_stack("i", LAUNCH)]) == (seen.Found(KEY, 4, None, running=False),)


def test_a_published_port_is_reached_on_the_loopback_interface():
    assert seen.endpoint(evolve(WHOLE[0], published={"3000/tcp": 49153})) == Endpoint("127.0.0.1", 49153)
    assert seen.endpoint(evolve(WHOLE[0], network="host", addresses={})) == Endpoint("127.0.0.1", 3000)
