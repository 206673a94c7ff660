"""The commands that ask a gateway that runs."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from grandcentral import options
from grandcentral.cli import main
from grandcentral.remote import checked, url_of
from grandcentral.verbs import about, table

STACK = {
    "app": "shop",
    "name": "db139cf",
    "state": "ready",
    "pinned": False,
    "pinned_until": None,
    "warm": False,
    "ready_since": "1970-01-01T00:10:00.000Z",
    "idle_seconds": 61.4,
    "requests": 12,
    "memory": 200 * 2**20 - 1,
    "url": "http://db139cf.review.localhost:8080",
}
COLD = {
    **STACK,
    "name": "",
    "app": "docs",
    "state": "cold",
    "ready_since": None,
    "idle_seconds": None,
    "memory": None,
    "url": None,
}


@define
class Gateway:
    """An admin listener that says what a test wants, and remembers what it was asked."""

    url: str
    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, dict[str, str], str | None]] = field(factory=list)
    answers: dict[str, tuple[int, object]] = field(factory=dict)  # by path, before the rest

    def says(self, document: object, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


class _Asked(BaseHTTPRequestHandler):
    gateway: ClassVar[Gateway]

    def answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        token = self.headers["Authorization"]
        self.gateway.asked.append((self.command, parts.path, query, token and token.encode("latin-1").decode()))
        status, body = self.gateway.status, self.gateway.body
        if parts.path in self.gateway.answers:
            status, document = self.gateway.answers[parts.path]
            body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    class Handler(_Asked):
        pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.gateway = Gateway(f"http://127.0.0.1:{server.server_port}")
        yield from _served(server, Handler.gateway)


def _served(server: socketserver.BaseServer, gateway: Gateway) -> Iterator[Gateway]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield gateway
    server.shutdown()
    thread.join()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a configuration, and an environment without a word about one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "SYSTEM", tmp_path / "etc" / "grandcentral.toml")
    for name in ("CONFIG", "ADMIN_URL", "ADMIN_TOKEN", "ADMIN_TOKEN_FILE"):
        monkeypatch.delenv(f"GRANDCENTRAL_{name}", raising=False)
    return tmp_path


# -- what is asked ------------------------------------------------------------------------------------------------------

SHOP = "/api/v1/stacks/shop/db139cf"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("start shop/db139cf", ("POST", f"{SHOP}/start", {"wait": "120"})),
        ("start shop/db139cf --wait 1m", ("POST", f"{SHOP}/start", {"wait": "60"})),
        ("start shop/db139cf --wait 2h", ("POST", f"{SHOP}/start", {"wait": "600"})),
        ("start docs", ("POST", "/api/v1/stacks/docs/-/start", {"wait": "120"})),
        ("stop shop/db139cf", ("POST", f"{SHOP}/stop", {"wait": "120"})),
        ("stop shop/db139cf --force --wait 0s", ("POST", f"{SHOP}/stop", {"wait": "0", "force": "1"})),
        ("remove shop/db139cf", ("POST", f"{SHOP}/remove", {"wait": "120"})),
        ("remove --volumes shop/db139cf", ("POST", f"{SHOP}/remove", {"wait": "120", "volumes": "1"})),
        ("pin shop/db139cf", ("PUT", f"{SHOP}/pin", {})),
        ("pin shop/db139cf --until 2d", ("PUT", f"{SHOP}/pin", {"until": "2d"})),
        (
            "pin shop/a --until 2026-12-24T18:00:00+01:00",
            ("PUT", "/api/v1/stacks/shop/a/pin", {"until": "2026-12-24T18:00:00+01:00"}),
        ),
        ("unpin shop/db139cf", ("DELETE", f"{SHOP}/pin", {})),
    ],
)
def test_each_command_is_a_call_of_the_admin_api(
    gateway: Gateway, words: str, asked: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.says(STACK)
    assert main([*words.split(), "--url", gateway.url]) == 0
    assert gateway.asked == [(*asked, None)]
    assert capsys.readouterr() == ("shop/db139cf: ready\n", "")


def test_several_stacks_one_after_the_other_whatever_becomes_of_the_first(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.says({**STACK, "state": "stopped"})
    logs = [{"service": "db", "lines": ["disk full"]}]
    gateway.answers[f"{SHOP}/stop"] = 409, {"detail": "shop/db139cf runs on: mariadb-dump failed.", "logs": logs}
    assert main(["stop", "shop/db139cf", "shop/a", "--url", gateway.url]) == 1
    assert [path for _, path, *_ in gateway.asked] == [f"{SHOP}/stop", "/api/v1/stacks/shop/a/stop"]
    said = capsys.readouterr()
    assert said.out == "shop/db139cf: stopped\n"
    assert said.err == "grandcentral: shop/db139cf: shop/db139cf runs on: mariadb-dump failed.\ndb | disk full\n"


def test_what_goes_on_has_a_status_of_its_own(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.says({**STACK, "state": "starting"}, 202)
    assert main(["start", "shop/db139cf", "--wait", "0s", "--url", gateway.url]) == 3
    assert capsys.readouterr().out == "shop/db139cf: starting, and goes on\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stop"], "APP/VERSION"),
        (["stop", "shop/"], '"shop/" is no stack: write its app, and behind a slash its version: shop/db139cf'),
        (["stop", "a/b/c"], '"a/b/c" is no stack'),
        (["start", "shop", "--wait", "5"], '"5" is not a duration'),
        (["ps", "--url", "localhost:8081"], '"localhost:8081" is no URL of an admin listener: write one such as http://'),
    ],
)
def test_what_is_not_understood_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(words)
    except SystemExit as ended:  # argparse's way
        status = ended.code  # type: ignore[assignment]
    assert status in (1, 2)
    assert said in capsys.readouterr().err


# -- what is shown ------------------------------------------------------------------------------------------------------


def test_stacks_in_columns() -> None:
    pinned = {**STACK, "name": "pr-1", "pinned": True, "pinned_until": "2026-12-24T18:00:00Z", "ready_since": None}
    assert list(table([STACK, pinned, {**STACK, "name": "main", "warm": True, "state": "paused"}, COLD], 4200.0)) == [
        "STACK          STATE                                      UP FOR   IDLE FOR   REQUESTS   MEMORY   URL",
        "shop/db139cf   ready                                      60m      61s        12         200MiB   "
        "http://db139cf.review.localhost:8080",
        "shop/pr-1      ready, pinned until 2026-12-24T18:00:00Z   -        61s        12         200MiB   "
        "http://db139cf.review.localhost:8080",
        "shop/main      paused, warm                               60m      61s        12         200MiB   "
        "http://db139cf.review.localhost:8080",
        "docs           cold                                       -        -          12         -        -",
    ]


def test_no_stacks_are_a_head_without_a_body() -> None:
    assert [line.split()[0] for line in table([], 0.0)] == ["STACK"]


def test_ps_lists_what_is_stopped_too_and_json_is_all_that_is_known(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {"stacks": [STACK], "stopped": [{**STACK, "name": "old", "state": "stopped"}]}
    gateway.says(document)
    assert main(["ps", "--url", gateway.url]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["STACK", "STATE"],
        ["shop/db139cf", "ready"],
        ["shop/old", "stopped"],
    ]
    assert main(["ps", "--json", "--url", gateway.url]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_logs_have_the_name_of_the_service_before_each_line(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.says({"logs": [{"service": "web", "lines": ["up", "GET /"]}, {"service": "worker", "lines": ["idle"]}]})
    assert main(["logs", "shop/db139cf", "--lines", "2", "--url", gateway.url]) == 0
    assert gateway.asked == [("GET", f"{SHOP}/logs", {"lines": "2"}, None)]
    assert capsys.readouterr().out == "web    | up\nweb    | GET /\nworker | idle\n"


@given(st.floats(-1, 1e9))
def test_a_duration_is_short_and_not_far_off(seconds: float) -> None:
    said = about(seconds)
    number, unit = int(said[:-1]), {"s": 1, "m": 60, "h": 3600, "d": 86_400}[said[-1]]
    assert number * unit <= max(0, seconds) < (number + 1) * unit
    assert number < 120 or unit == 86_400


# -- whom is asked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("tcp:8081:interface=127.0.0.1", "http://127.0.0.1:8081"),
        ("tcp:8081", "http://127.0.0.1:8081"),
        ("tcp:8081:interface=0.0.0.0", "http://127.0.0.1:8081"),
        (r"tcp:8081:interface=\:\:", "http://[::1]:8081"),
        (r"tcp:8081:interface=fe80\:\:1", "http://[fe80::1]:8081"),
        ("tcp:8081:interface=10.0.0.7", "http://10.0.0.7:8081"),
        ("unix:/run/admin.sock:mode=660", "unix:/run/admin.sock"),
    ],
)
def test_where_it_listens_is_where_it_is_asked(listen: str, url: str) -> None:
    assert url_of(listen) == checked(url) == url


@pytest.mark.parametrize("listen", ["tcp:0", "systemd:domain=INET:index=1"])
def test_where_that_is_left_open_it_has_to_be_said(listen: str) -> None:
    with pytest.raises(ValueError, match="say --url"):
        url_of(listen)


@pytest.mark.parametrize(
    "url", ["", "8081", "ftp://a", "http://", "unix:", "http://a:0", "http://a:x", "http://a/?b", "http://[::1"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL of an admin listener"):
        checked(url)


def configured(there: Path, gateway: Gateway, more: str = "") -> None:
    """A configuration that is this gateway's, and wrong in all that does not matter here."""
    port = gateway.url.rpartition(":")[2]
    (there / "grandcentral.toml").write_text(
        f'[admin]\nlisten = "tcp:{port}:interface=127.0.0.1"\n{more}\n[apps.shop]\ncompose = "nowhere"\n'
    )


def test_the_configuration_says_whom_to_ask_and_by_which_token(nowhere: Path, gateway: Gateway) -> None:
    gateway.says({"stacks": []})
    configured(nowhere, gateway, 'token = "s3cret-tökén"')
    assert main(["ps"]) == 0
    assert gateway.asked == [("GET", "/api/v1/stacks", {}, "Bearer s3cret-tökén")]


def test_the_environment_goes_before_it(nowhere: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.says({"stacks": []})
    configured(nowhere, gateway, 'token = "x"')
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_TOKEN", "y")
    assert main(["ps"]) == 0
    (nowhere / "token").write_text("z\n")
    monkeypatch.delenv("GRANDCENTRAL_ADMIN_TOKEN")
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_TOKEN_FILE", "token")
    assert main(["ps"]) == 0
    assert [token for *_, token in gateway.asked] == ["Bearer y", "Bearer z"]


def test_a_file_that_is_named_goes_before_all(nowhere: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.says({"stacks": []})
    configured(nowhere, gateway, 'token = "x"')
    (nowhere / "token").write_text("z\n")
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_TOKEN_FILE", "elsewhere")
    assert main(["ps", "--token-file", "token"]) == 0
    assert gateway.asked[0][3] == "Bearer z"


def test_the_token_of_one_gateway_is_not_told_to_another(
    nowhere: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.says({"stacks": []})
    configured(nowhere, gateway, 'token = "x"')
    assert main(["ps", "--url", f"{gateway.url}/"]) == 0
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_URL", gateway.url)
    assert main(["ps"]) == 0
    assert main(["ps", "--config", "grandcentral.toml"]) == 0, "unless both are named"
    assert [token for *_, token in gateway.asked] == [None, None, "Bearer x"]


def test_the_address_of_a_gateway_in_the_environment_is_no_setting_of_it(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "grandcentral.toml").write_text('[gateway]\nstate = "s"\n[apps.docs]\nhost = "a.test"\nupstream = "h:1"\n')
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_URL", "http://gateway.example.com:8081")
    assert main(["check"]) == 0
    assert "upstream" in capsys.readouterr().out


def test_over_a_unix_socket(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Handler(_Asked):
        pass

    path = nowhere / "admin.sock"
    with socketserver.UnixStreamServer(str(path), Handler) as server:
        Handler.gateway = Gateway(f"unix:{path}")
        for gateway in _served(server, Handler.gateway):
            gateway.says(STACK)
            assert main(["start", "shop/db139cf", "--url", gateway.url]) == 0
            assert gateway.asked[0][1] == f"{SHOP}/start"


def test_behind_a_proxy_there_may_be_a_path_before_the_apis(gateway: Gateway) -> None:
    gateway.says({"stacks": []})
    assert main(["ps", "--url", f"{gateway.url}/grandcentral/"]) == 0
    assert gateway.asked[0][1] == "/grandcentral/api/v1/stacks"


# -- what goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, {"detail": "Send it."}, "The gateway at URL asks for a token. Name the file that has it: --token-file FILE, or "),
        (403, {"detail": "No token is configured."}, "No token is configured."),
        (404, {"detail": "The configuration has no app 'shop'."}, "The configuration has no app 'shop'."),
        (500, {}, "The gateway answered 500."),
        (200, {"hello": "world"}, "What answers at URL, with 200, is no gateway's admin listener. If it runs elsewhere, say"),
        (404, "not here", "What answers at URL, with 404, is no gateway's admin listener."),
    ],
)
def test_every_error_is_one_sentence(
    gateway: Gateway, status: int, body: object, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.says(body, status)
    assert main(["ps", "--url", gateway.url]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith(
        f"grandcentral: {sentence}".replace("URL,", f"{gateway.url},").replace("at URL", f"at {gateway.url}")
    )


def test_another_token_is_told_from_none(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.says({}, 401)
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_TOKEN", "y")
    assert main(["stop", "a", "b", "--url", gateway.url]) == 1
    assert len(gateway.asked) == 1, "nor would it be another for the second"
    assert f"The gateway at {gateway.url} knows another token." in capsys.readouterr().err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["start", "a", "b", "--url", f"http://127.0.0.1:{port}"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"grandcentral: No gateway answers at http://127.0.0.1:{port} (Connection refused). If it runs")


def test_somebody_who_speaks_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    class Redis(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.wfile.write(b"-ERR unknown command\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Redis) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for _ in _served(server, Gateway(url)):
            assert main(["ps", "--url", url]) == 1
    assert "does not speak HTTP (BadStatusLine)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("admin", "said"),
    [
        ({"token_file": "nowhere"}, "grandcentral.toml:2: admin.token_file: "),
        ({"listen": "tcp:none"}, 'grandcentral.toml:2: admin.listen: "tcp:none": "none" is not a port'),
        ({"listen": "tcp:0"}, 'grandcentral: admin.listen, "tcp:0", does not say on which port: say --url URL'),
    ],
)
def test_a_configuration_that_does_not_say_whom_to_ask(
    nowhere: Path, admin: Mapping[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "grandcentral.toml").write_text("[admin]\n" + "".join(f'{key} = "{value}"\n' for key, value in admin.items()))
    assert main(["ps"]) == 1
    assert capsys.readouterr().err.startswith(said)


def test_no_configuration_and_no_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps"]) == 1
    assert "name a file with --config FILE" in capsys.readouterr().err


def test_a_token_file_that_cannot_be_read(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps", "--url", gateway.url, "--token-file", "nowhere"]) == 1
    assert capsys.readouterr().err == "grandcentral: nowhere cannot be read: No such file or directory\n"
    assert gateway.asked == []
