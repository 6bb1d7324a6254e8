"""Masked URIs: what may be seen, and that no piece of a credential ever is."""

from __future__ import annotations

import copy
import pickle
import warnings
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.config.masking import MASK, mask_uri
from keystead.config.urls import URL, SecretURL
from keystead.errors import UsageError

SHOWN = {
    "postgresql://app:pw@db:5432/shop": "postgresql://***@db:5432/shop",
    "postgresql+psycopg://app@db/shop?sslmode=require&connect_timeout=5": (
        "postgresql+psycopg://***@db/shop?sslmode=require&connect_timeout=5"
    ),
    "mongodb://u:p@h1:27017,h2:27018,h3/db?replicaSet=rs0&authSource=admin&retryWrites=true": (
        "mongodb://***@h1:27017,h2:27018,h3/db?replicaSet=rs0&authSource=admin&retryWrites=true"
    ),
    "mongodb+srv://u:p%40ss%2Fword@cluster0.example.net/db?w=majority": (
        "mongodb+srv://***@cluster0.example.net/db?w=majority"
    ),
    "redis://:pw@cache:6379/0": "redis://***@cache:6379/0",
    "rediss://cache/0?password=pw&db=1": "rediss://cache/0?password=***&db=1",
    "postgres://db/x?sslpassword=pw&sslkey=/k&token=t": "postgres://db/x?sslpassword=***&sslkey=***&token=***",
    "postgres://db/x?PASSWORD=pw": "postgres://db/x?PASSWORD=***",
    "postgres://db/x?pass%77ord=pw": "postgres://db/x?***",
    "postgres://db/x?unheard_of=pw": "postgres://db/x?***",
    "postgres://db/x?sslmode=pw;password=x": "postgres://db/x?sslmode=***",
    "postgres://db/x?pw": "postgres://db/x?***",
    "amqp://u:p@[::1]:5672/%2Fvhost": "amqp://***@[::1]:5672/***",
    "kafka://u1:p1@k1:1,u2:p2@k2:2": "kafka://***@k2:2",
    "postgresql:///db?host=/run/pg": "postgresql:///***?host=***",
    "postgresql://u:p@%2Frun%2Fpg/db": "postgresql://***@%2Frun%2Fpg/db",
    "https://u:p@host/": "https://***@host/",
    "https://hooks.example.com/services/T0/B0/pw": "https://hooks.example.com/***",
    "https://host#pw": "https://host#***",
    "discord://4174216298/JHMHI8qBe7bk2ZwO": "discord://4174216298/***",
    "s3://bucket/pw": "s3://bucket/***",
    "mysql+pymysql://db/shop": "mysql+pymysql://db/shop",
    "jdbc:postgresql://db:5432/shop?user=u&password=p": "jdbc:postgresql://db:5432/shop?user=***&password=***",
    "mongodb://u:p:q@h": "mongodb://***@h",
    "mongodb://u:p@q@h": "mongodb://***@h",
}

WHOLE = [
    "",
    "no uri at all",
    "host=db password=pw",
    "postgres://u:p/w@host/db",
    "postgres://u:1/w@host/db",
    "postgres://u:p?w@host/db",
    "postgres://u:1?w@host/db",
    "postgres://u:p#w@host/db",
    "postgres://u:1#w@host/db",
    "postgres://u:pw",
    "postgres://u:p w@host",
    "postgres://u:p\\w@host",
    "postgres://u:p@host\n",
    "postgres://u:p@ho%40st",
    "postgres://u:p@host:99999",
    "sqlserver://host:1433;user=sa;password=pw",
    "://u:p@host",
    "u:p@host",
    "mongodb://u:p@h1,,h2",
    "mongodb://u:p@höst/db",
]


@pytest.mark.parametrize("uri", SHOWN)
def test_a_uri_shows_where_it_leads_and_not_how_to_get_in(uri: str) -> None:
    assert mask_uri(uri) == SHOWN[uri]


@pytest.mark.parametrize("uri", WHOLE)
def test_a_text_that_is_not_beyond_doubt_a_uri_is_masked_whole(uri: str) -> None:
    assert mask_uri(uri) == MASK


# every printable sign that no host, option or scheme of the test's URIs has, so that a match is a leak and no accident
_CREDENTIAL = st.text(st.sampled_from("QXZJKVW0123456789/@:?#&=%,;[]!$'()*+~^|<>{} \"\\é"), min_size=4, max_size=24)


def _pieces(credential: str) -> set[str]:
    return {credential[at : at + 4] for at in range(len(credential) - 3)}


@given(
    credential=_CREDENTIAL,
    form=st.sampled_from(
        [
            "postgres://user:{}@host.example/name?sslmode=require",
            "postgres://{}@host.example/name",
            "redis://:{}@host.example",
            "mongodb://user:{}@one.example,two.example/name?replicaSet=rs",
            "mongodb://user:{}@one.example/name?authSource=admin",
            "postgres://host.example/name?password={}",
            "postgres://host.example/name?unheard={}&sslmode=require",
            "postgres://host.example/name?sslmode=require&{}",
            "https://host.example/first/{}",
            "https://host.example/{}",
            "https://host.example/#{}",
            "jdbc:postgresql://host.example/name?user={}&password={}",
            "amqp://user:{}@host.example/%2F",
            "host=host.example password={}",
        ]
    ),
    encoded=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_no_four_characters_of_a_credential_are_ever_shown(credential: str, form: str, encoded: bool) -> None:
    written = quote(credential, safe="") if encoded else credential
    masked = mask_uri(form.replace("{}", written))
    assert not [piece for piece in _pieces(written) | _pieces(credential) if piece in masked]


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_masked_to_something_that_masks_to_itself(text: str) -> None:
    masked = mask_uri(text)
    assert mask_uri(masked) in (masked, MASK)


def test_a_secret_url_shows_host_and_port_and_masks_the_rest_wherever_it_is_printed() -> None:
    url = SecretURL("mongodb://u:canary@h1:27017,h2/db", name="MONGODB_URI", version=2)
    assert (url.scheme, url.host, url.port, url.hosts) == ("mongodb", "h1", 27017, (("h1", 27017), ("h2", None)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = [repr(url), str(url), f"{url}", f"{url:>60}", repr([url])]
    assert not [text for text in shown if "canary" in text]
    assert str(url) == "mongodb://***@h1:27017,h2/db"
    assert repr(url) == "<secret MONGODB_URI#2: mongodb://***@h1:27017,h2/db>"
    assert url.reveal() == url.get_secret_value() == "mongodb://u:canary@h1:27017,h2/db"


def test_a_secret_url_is_compared_and_never_copied_or_pickled() -> None:
    url = SecretURL("redis://:pw@cache")
    assert url == "redis://:pw@cache"
    assert url != SecretURL("redis://:pv@cache")
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(url)
    with pytest.raises(TypeError):
        hash(url)


@pytest.mark.parametrize("text", ["canary", "postgres://u:can/ary@host", "postgres://u:p@ho st", "redis:canary"])
def test_a_secret_url_that_does_not_split_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        SecretURL(text)
    assert "canary" not in str(caught.value).lower()
    assert "percent-encode" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["https://api.example.com/v1/items?page=2#top", "http://[::1]:8080/", "amqp://mq:5672/shop", "https://h/a?db=1"],
)
def test_a_plain_url_is_a_str_with_its_parts(text: str) -> None:
    url = URL(text)
    assert url == text
    assert isinstance(url, str)
    assert url.host in text
    assert pickle.loads(pickle.dumps(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "https://u:canary@host/",
        "https://canary@host/",
        "https://host/?access_token=canary",
        "https://host/?X-Amz-Signature=canary",
        "https://host/?api%5Fkey=canary",
        "https://host/?a=1&pass%77ord=canary",
        "https://host/?a=1;password=canary",
        "https://host/?sslmode=require;password=canary",
        "https://host/a;jsessionid=canary",
        "https://host/callback#access_token=canary&state=1",
    ],
)
def test_a_plain_url_refuses_what_may_be_a_credential_and_says_how_to_declare_it(text: str) -> None:
    with pytest.raises(UsageError, match="SecretURL") as caught:
        URL(text)
    assert "canary" not in str(caught.value)


def test_a_url_without_a_host_has_none() -> None:
    assert (URL("file:///etc/hosts").host, URL("file:///etc/hosts").port) == ("", None)
