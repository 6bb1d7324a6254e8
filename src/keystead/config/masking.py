"""URIs with every credential masked.

What is shown is what is known to be harmless; whatever else the URI holds is masked, and a URI that does not split
beyond doubt is masked whole. A password with an unencoded `/`, `?` or `#` would otherwise show its second half.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

MASK = "***"

_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*(?::[A-Za-z][A-Za-z0-9+.-]*)?)://(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:\#(?P<fragment>.*))?"
)
_ODD = re.compile(r"[\s\\\x00-\x1f\x7f]")
_HOST = re.compile(
    r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9_.-]+)?\]|(?:%2[Ff][A-Za-z0-9_.-]+)+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
# Behind these the path is a name; behind any other scheme it may be the credential itself.
_DATABASE_SCHEMES = """
    postgres postgresql mysql mariadb mssql sqlserver oracle db2 clickhouse clickhouses cockroachdb mongodb cassandra
    redis rediss valkey valkeys amqp amqps
"""
_DATABASES = frozenset(_DATABASE_SCHEMES.split())
_DATABASE_NAME = re.compile(r"/[A-Za-z0-9_.-]{0,63}")
_SEPARATOR = re.compile("[&;]")
_SHOWN_VALUE = re.compile(r"[A-Za-z0-9_.,:-]{1,40}")
_CREDENTIAL_PARAMETER = re.compile(
    r"pass|pwd|passwd|secret|token|key|auth|cred|sig|user|uid|login|session|jwt|bearer|code|assertion|\bpw\b|\bsas\b"
)

# Options of the common database, cache and broker drivers that say how to connect and never prove who connects.
_HARMLESS_NAMES = """
    sslmode ssl tls ssl_cert_reqs sslnegotiation channel_binding gssencmode application_name appname client_encoding
    charset collation encoding timezone connect_timeout connecttimeout connecttimeoutms connection_timeout timeout
    socket_timeout socket_connect_timeout sockettimeoutms serverselectiontimeoutms waitqueuetimeoutms wtimeoutms
    maxidletimems heartbeatfrequencyms localthresholdms maxstalenessseconds keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout target_session_attrs load_balance_hosts authsource
    authmechanism replicaset retrywrites retryreads w journal readpreference readconcernlevel maxpoolsize
    minpoolsize maxconnecting directconnection loadbalanced compressors zlibcompressionlevel uuidrepresentation
    srvservicename srvmaxhosts tlsallowinvalidcertificates tlsallowinvalidhostnames tlsinsecure db protocol
    decode_responses health_check_interval max_connections retry_on_timeout heartbeat channel_max frame_max
    blocked_connection_timeout pool_size max_overflow pool_timeout pool_recycle autocommit driver
    trustservercertificate encrypt
"""
_HARMLESS = frozenset(_HARMLESS_NAMES.split())

# Other parameters whose name alone tells nothing; their values are masked.
_TOLD_NAMES = """
    password passwd pass pwd sslpassword user username token access_token auth_token refresh_token id_token apikey
    api_key key secret client_secret client_id sig signature sslkey sslcert sslrootcert tlscertificatekeyfile
    tlscertificatekeyfilepassword authmechanismproperties host options
"""
_TOLD = frozenset(_TOLD_NAMES.split())


class Parts(NamedTuple):
    """A URI's parts as text; `hosts` holds each host with its port (None: not given)."""

    scheme: str
    userinfo: str | None
    hosts: tuple[tuple[str, int | None], ...]
    path: str
    query: str
    fragment: str


def split_uri(text: str) -> Parts | None:
    """The parts of a URI with an authority (`scheme://...`), or None where there is any doubt about them.

    Doubt is: an `@` behind the authority, whitespace, a backslash, a host or port that is none.
    """
    match = _URI.fullmatch(text)
    if match is None or _ODD.search(text):
        return None
    path, query, fragment = match["path"] or "", match["query"] or "", match["fragment"] or ""
    if "@" in path or "@" in query or "@" in fragment:
        return None
    userinfo, at, places = match["authority"].rpartition("@")
    hosts = []
    for place in places.split(",") if places else ():
        host = _HOST.fullmatch(place)
        port = int(host["port"]) if host and host["port"] else None
        if host is None or (port is not None and port > 0xFFFF):
            return None
        hosts.append((host["host"], port))
    return Parts(match["scheme"], userinfo if at else None, tuple(hosts), path, query, fragment)


def mask_uri(text: str) -> str:
    """The URI with scheme, hosts, ports, database name and harmless driver options; `***` stands for the rest.

    A text that is no URI, or not beyond doubt, gives `***` alone.
    """
    parts = split_uri(text)
    if parts is None:
        return MASK
    masked = [parts.scheme, "://"]
    if parts.userinfo is not None:
        masked.append(f"{MASK}@")
    masked.append(",".join(host if port is None else f"{host}:{port}" for host, port in parts.hosts))
    masked.append(_masked_path(parts))
    if parts.query:
        masked.append("?" + "&".join(_masked_parameter(parameter) for parameter in parts.query.split("&")))
    if parts.fragment:
        masked.append(f"#{MASK}")
    return "".join(masked)


def _masked_path(parts: Parts) -> str:
    # a path of the web often is the credential (chat hooks, health checks); a database's is its name
    if parts.path in ("", "/"):
        return parts.path
    kind = parts.scheme.lower().removeprefix("jdbc:").partition("+")[0]
    shown = kind in _DATABASES and parts.hosts and _DATABASE_NAME.fullmatch(parts.path)
    return parts.path if shown else f"/{MASK}"


def _masked_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    known = name.lower()
    if known in _HARMLESS:
        return f"{name}={value}" if _SHOWN_VALUE.fullmatch(value) else f"{name}={MASK}"
    return f"{name}={MASK}" if known in _TOLD else MASK


def carries_credential(parts: Parts) -> bool:
    """Whether a URI's user information, or a parameter by its name, may be a credential: one of the query (behind `&`
    or `;`), of the path (behind `;`) or of the fragment."""
    if parts.userinfo is not None:
        return True
    behind = [*parts.path.split(";")[1:], *(each for each in _SEPARATOR.split(parts.fragment) if "=" in each)]
    parameters = [*_SEPARATOR.split(parts.query), *behind]
    names = (unquote(parameter.partition("=")[0]).lower() for parameter in parameters)
    return any(name not in _HARMLESS and _CREDENTIAL_PARAMETER.search(name) for name in names)
