"""T60 behind a reverse proxy: what nginx and the server read of one stream of bytes is the same number of requests.

Each doubtful request carries another one behind or inside it, which has an id of its own. Where the two readers agree,
the server has acted on such an id only if nginx has handed it on by itself, and whoever comes next over the connection
that nginx keeps to the server gets the answer to what it asked. Skips where there is no nginx (`KEYSTEAD_NGINX` names
one that is not on the path).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.server.conftest import Server, prepared
from tests.server.test_http import AMBIGUOUS

NGINX = os.environ.get("KEYSTEAD_NGINX") or shutil.which("nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format seen '$http_x_request_id $upstream_status $upstream_addr';
  access_log {folder}/access.log seen;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
  upstream keystead {{ server 127.0.0.1:{port}; keepalive 1; }}
  server {{
    listen {address}:{front};
    location / {{ proxy_pass http://keystead; proxy_http_version 1.1; proxy_set_header Connection ""; {more} }}
  }}
}}
"""
FRONT = "127.0.0.77"  # nobody else listens there, who could take the port before nginx does
POST = "POST /api/v1/random HTTP/1.1\r\nHost: h\r\n"
JSON = "Content-Type: application/json\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def inside(framing: str, hidden: str, before: str = "0\r\n\r\n") -> str:
    """A request whose body, to one of two readers, ends before the hidden one."""
    return f"{POST}{JSON}{framing.replace('LENGTH', str(len(before) + len(hidden)))}\r\n{before}{hidden}"


FRAMINGS = {
    "length before coding": f"Content-Length: LENGTH\r\n{CHUNKED}",
    "coding before length": f"{CHUNKED}Content-Length: LENGTH\r\n",
    "coding behind a tab": "Content-Length: LENGTH\r\nTransfer-Encoding:\tchunked\r\n",
    "coding with a blank before the colon": "Content-Length: LENGTH\r\nTransfer-Encoding : chunked\r\n",
    "coding in capitals": "Content-Length: LENGTH\r\nTransfer-Encoding: CHUNKED\r\n",
    "coding in quotes": 'Content-Length: LENGTH\r\nTransfer-Encoding: "chunked"\r\n',
    "coding that is another": "Content-Length: LENGTH\r\nTransfer-Encoding: chunked, identity\r\n",
    "coding of nothing": "Content-Length: LENGTH\r\nTransfer-Encoding:\r\n",
    "coding behind a vertical tab": "Content-Length: LENGTH\r\nTransfer-Encoding: \x0bchunked\r\n",
    "coding in a folded line": "Content-Length: LENGTH\r\nX: y\r\n Transfer-Encoding: chunked\r\n",
    "coding behind a bare line feed": "Content-Length: LENGTH\r\nX: y\nTransfer-Encoding: chunked\r\n",
    "coding behind a bare return": "Content-Length: LENGTH\r\nX: y\rTransfer-Encoding: chunked\r\n",
    "coding with an underscore": "Content-Length: LENGTH\r\nTransfer_Encoding: chunked\r\n",
    "length of nothing": "Content-Length: 0\r\nContent-Length: LENGTH\r\n",
    "length in a list": "Content-Length: 0, LENGTH\r\n",
    "length with zeros": "Content-Length: 000000LENGTH\r\n",
    "length with a sign": "Content-Length: +LENGTH\r\n",
    "length with an underscore": "Content_Length: LENGTH\r\n",
    "length that is longer": "Content-Length: 9999\r\n",
    "length alone": "Content-Length: LENGTH\r\n",
    "length of what comes first": "Content-Length: 5\r\n",
    "chunks": CHUNKED,
    "expecting": f"Expect: 100-continue\r\n{CHUNKED}",
    "named for one hop": f"Connection: Content-Length\r\n{CHUNKED}",
}
CHUNKS = {
    "size with a sign": "+0\r\n\r\n",
    "size in another base": "0x0\r\n\r\n",
    "size beyond 64 bits": "10000000000000000\r\n\r\n",
    "size with a blank": "0 \r\n\r\n",
    "extension": "0;a=b\r\n\r\n",
    "extension with a line": "0;a\nb\r\n\r\n",
    "trailer": "0\r\nContent-Length: 50\r\n\r\n",
    "bare line feeds": "0\n\n",
    "size of nothing": "\r\n\r\n",
    "no end": "0\r\n",
}


class Pair(NamedTuple):
    """A server, and nginx before it."""

    server: Server
    front: Server
    folder: Path


@pytest.fixture(scope="module", params=["", "proxy_request_buffering off;"], ids=["whole bodies", "as they come"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("proxy")
    server = prepared(folder, KEYSTEAD_SERVER_HEADER_TIMEOUT="2s", KEYSTEAD_SERVER_BODY_TIMEOUT="2s").start()
    with socket.socket() as free:
        free.bind((FRONT, 0))
        front = free.getsockname()[1]
    file = folder / "nginx.conf"
    places = {"folder": folder, "port": server.address[1], "address": FRONT, "front": front}
    file.write_text(CONFIGURATION.format(**places, more=request.param))
    assert NGINX is not None
    nginx = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")])
    before = replace(server, url=f"http://{FRONT}:{front}")
    try:
        while nginx.poll() is None:
            try:
                socket.create_connection(before.address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        assert nginx.poll() is None, (folder / "error.log").read_text()
        yield Pair(server, before, folder)
    finally:
        nginx.terminate()
        nginx.wait(10)
        assert server.stop() == 0


def hidden(pair: Pair, name: str) -> str:
    """A request that would be seen in the audit log by its id."""
    head = f"Host: h\r\nX-Request-Id: {name}\r\nAuthorization: Bearer {pair.server.token}"
    return f"GET /api/v1/secrets/seen HTTP/1.1\r\n{head}\r\n\r\n"


def doubtful(pair: Pair) -> dict[str, str]:
    """Every doubtful request with another in it or behind it, by the id of that other one."""
    made = {}
    for number, text in enumerate(AMBIGUOUS.values()):
        made[f"behind-{number}"] = text + hidden(pair, f"behind-{number}")
    for number, framing in enumerate(FRAMINGS.values()):
        made[f"inside-{number}"] = inside(framing, hidden(pair, f"inside-{number}"))
        longer = f"{len(hidden(pair, f'longer-{number}')):x}\r\n"
        made[f"longer-{number}"] = inside(framing, hidden(pair, f"longer-{number}") + "\r\n0\r\n\r\n", longer)
    for number, chunk in enumerate(CHUNKS.values()):
        made[f"chunk-{number}"] = inside(CHUNKED, hidden(pair, f"chunk-{number}"), chunk)
    return made


def test_t60_what_nginx_hands_on_and_what_the_server_acts_on_are_the_same_requests(pair: Pair) -> None:
    assert pair.front.request("PUT", "/api/v1/secrets/seen", {"value": "x"}).status == 200
    for name, text in doubtful(pair).items():
        with socket.create_connection(pair.front.address, timeout=10) as sock:
            sock.sendall(text.encode("latin-1"))
            sock.settimeout(0.05)
            try:
                while sock.recv(65536):
                    pass
            except OSError:
                pass
        # Whoever comes next goes to the server over the connection that is kept.
        answer = pair.front.request("GET", "/api/v1/secrets/seen", headers={"X-Request-Id": f"victim-of-{name}"})
        assert (answer.status, answer.headers["x-request-id"]) == (200, f"victim-of-{name}")
        assert answer.json["value"] == "x"
    handed_on = re.findall(r"(?m)^(\S+) [0-9]", (pair.folder / "access.log").read_text())
    records = [each["record"] for each in pair.server.request("GET", "/api/v1/audit?count=100000").json["items"]]
    acted = {each["request_id"] for each in records if not each["request_id"].startswith("req_")} - {""}
    assert {f"victim-of-{name}" for name in doubtful(pair)} <= acted
    assert acted <= set(handed_on)
