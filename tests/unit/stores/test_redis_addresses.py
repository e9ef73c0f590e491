"""Where Redis is: URLs, TLS, users, and servers that are not what they should be."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio
from redis.asyncio.connection import parse_url

from certificates import make_certificate
from jumpseat.cli.databases import open_database
from jumpseat.errors import ConfigurationError, StoreUnavailable
from jumpseat.stores.base import Hold
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.redis.addresses import address_of
from jumpseat.testing.store_cases.material import claimed, finish, seal_of, within
from redis_server import Sentinel, Server, free_port
from tcp_proxy import proxy_to


@pytest.mark.parametrize(
    ("url", "sentinels", "service", "parsed"),
    [
        ("redis+sentinel://a/mine", (("a", 26379),), "mine", {}),
        (
            "redis+sentinel://a:1,b:2,[::1]:3/mine/4",
            (("a", 1), ("b", 2), ("::1", 3)),
            "mine",
            {"db": 4},
        ),
        (
            "rediss+sentinel://me%40x:p%2Fq%3A%40@a:1/mine?ssl_ca_certs=/ca.crt",
            (("a", 1),),
            "mine",
            {"username": "me@x", "password": "p/q:@", "ssl_ca_certs": "/ca.crt"},
        ),
    ],
)
def test_a_sentinel_url_names_sentinels_service_and_what_the_server_wants(url, sentinels, service, parsed):
    address = address_of(url, parse_url)
    assert (address.sentinels, address.service) == (sentinels, service)
    found = parse_url(address.url)
    assert {name: found[name] for name in parsed} == parsed
    assert "p/q" not in address.where
    assert isinstance(open_database(url), RedisStore)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:secret@a/0?foo=bar", "url has 'foo' behind its question mark"),
        ("redis://:secret@a/zero", "url must be the address of a Redis server"),
    ],
)
def test_an_option_or_database_that_is_none_is_told_at_once(url, told):
    with pytest.raises(ConfigurationError) as refused:
        RedisStore(url)
    assert str(refused.value).startswith(told)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://a", "redis://a/3?max_connections=5&socket_timeout=2", "unix:///run/redis"]
)
def test_what_redis_py_knows_is_taken(url):
    RedisStore(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1", "redis+sentinel://a:1/", "redis+sentinel://:secret@/mine",
        "redis+sentinel://a:x/mine", "redis+sentinel://a:99999/mine", "redis+sentinel://a,,b/mine",
        "redis+sentinel://a/mine/zero", "sentinel://:secret@a:26379;sentinel://b:26379", "redis-sentinel://a/b",
    ],
)  # fmt: skip
def test_a_wrong_sentinel_url_is_refused_with_the_right_form_and_not_shown(url):
    with pytest.raises(ConfigurationError, match=r"redis\+sentinel://") as refused:
        RedisStore(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"wait_replicas": -1}, {"wait_replicas": True}, {"wait_replicas": 1.5}, {"wait_replicas_timeout": 0},
        {"wait_replicas_timeout": 4.5}, {"thread_ttl": 0}, {"thread_ttl": float("nan")}, {"thread_ttl": "1d"},
        {"thread_ttl": True}, {"log_ttl": -1}, {"max_connections": "8"}, {"prefix": 7},
    ],
)  # fmt: skip
def test_an_option_that_cannot_work_is_refused_by_name(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        RedisStore(**options)


@pytest.fixture
def secure(tmp_path):
    """A server that speaks TLS on its second port and has a user with an odd password."""
    key, certificate = make_certificate(tmp_path, "IP:127.0.0.1", "DNS:localhost")
    port = free_port()
    server = Server(
        "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no",
    )  # fmt: skip
    yield server, port, certificate
    server.stop()


ODD = "p@ss/w:rd%&?#"
ODD_IN_A_URL = "p%40ss%2Fw%3Ard%25%26%3F%23"


async def test_tls_and_a_user_with_an_odd_password_and_few_rights_are_enough(secure, make_redis, prefix):
    server, port, certificate = secure
    rights = ("+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "+info", "+time", "+wait")
    scope = (f"~{prefix}:*", f"&{prefix}:*", "-@all", *rights)
    server.command("ACL", "SETUSER", "app:one", "on", f">{ODD}", *scope)
    url = f"rediss://app%3Aone:{ODD_IN_A_URL}@127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
    store = await make_redis(url, wait_replicas=1, wait_replicas_timeout=0.05, thread_ttl=60)
    claim = await claimed(store, owner="ann")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    assert await store.request_stop("ann", "thread", None, "enough") == [claim.run]
    await store.seal(claim.run, seal_of(3))
    assert [record.id for record in await store.threads.list("ann")] == ["thread"]
    assert await store.threads.delete("ann", "thread") is True
    async with asyncio.timeout(10):
        while not store.listening:
            await asyncio.sleep(0.01)


async def test_sentinels_and_their_primary_are_reached_over_tls(secure, make_redis, tmp_path):
    _, port, certificate = secure
    own = free_port()
    encrypted = (
        f"tls-port {own}", "tls-replication yes", "tls-auth-clients no", f"tls-cert-file {certificate}",
        f"tls-key-file {certificate.with_suffix('.key')}", f"tls-ca-cert-file {certificate}",
    )  # fmt: skip
    sentinel = await asyncio.to_thread(Sentinel, port, settings=encrypted)
    try:
        url = f"rediss+sentinel://127.0.0.1:{own}/threads?ssl_ca_certs={certificate}"
        store = await make_redis(url)
        assert await store.append((await claimed(store)).run, 2, [b"x"]) is Hold.HELD
        async with asyncio.timeout(10):
            while not store.listening:
                await asyncio.sleep(0.01)
        # Without its certificate nobody trusts the sentinel.
        with pytest.raises(StoreUnavailable):
            await make_redis(url.partition("?")[0])
    finally:
        sentinel.stop()


async def test_on_a_cluster_a_user_needs_one_right_more(redis_cluster_url, make_redis, prefix):
    rights = [
        "+@read",
        "+@write",
        "+@scripting",
        "+@pubsub",
        "+@connection",
        "+info",
        "+time",
        "+wait",
        "+cluster",
    ]
    port = int(redis_cluster_url.rpartition(":")[2].partition("/")[0])
    async with redis.asyncio.RedisCluster(host="127.0.0.1", port=port, protocol=2, driver_info=None) as nodes:
        for node in nodes.get_nodes():
            await nodes.execute_command(
                "ACL", "SETUSER", prefix, "on", ">x", f"~{prefix}:*", f"&{prefix}:*", *rights,
                target_nodes=node,
            )  # fmt: skip
    store = await make_redis(redis_cluster_url.replace("redis://", f"redis://{prefix}:x@"))
    for number in range(6):
        await finish(store, await claimed(store, f"t{number}"))
    assert len(await store.threads.list(None)) == 6


async def test_a_certificate_that_nobody_signed_is_refused(secure):
    _, port, _ = secure
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        await within(RedisStore(f"rediss://127.0.0.1:{port}/0").open())


async def test_a_wrong_password_is_unavailable_and_not_shown(secure):
    server, port, certificate = secure
    server.command("CONFIG", "SET", "requirepass", "right")
    with pytest.raises(StoreUnavailable, match=r"(?i)password|auth") as refused:
        await within(RedisStore(f"rediss://:wrong@127.0.0.1:{port}/0?ssl_ca_certs={certificate}").open())
    assert "wrong@" not in str(refused.value)


async def test_a_user_that_lacks_a_right_is_told_which(secure):
    server, port, certificate = secure
    server.command("ACL", "SETUSER", "app", "on", ">x", "~*", "&*", "+@all", "-evalsha", "-eval")
    with pytest.raises(StoreUnavailable, match="eval"):
        await within(RedisStore(f"rediss://app:x@127.0.0.1:{port}/0?ssl_ca_certs={certificate}").open())


async def test_an_older_server_is_refused_by_its_version(redis_url, prefix):
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with proxy_to(port) as proxy:
        # What a server says of itself, with another number of the same length.
        proxy.misquoted = (b"redis_version:7.0.", b"redis_version:6.0.")
        with pytest.raises(StoreUnavailable, match=r"6\.0\.\d+: Redis 6\.2, or Valkey, or newer is needed"):
            await within(RedisStore(f"redis://127.0.0.1:{proxy.port}/0", prefix=prefix).open())
