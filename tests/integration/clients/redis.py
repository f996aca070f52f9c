# SPDX-License-Identifier: ISC
"""The ordinary use of python3-redis, on two ports at once; run by Debian's
python3 from test_clients.py as redis.py PORT PORT."""

import sys
sys.path.pop(0)  # this file's own folder: it is called like the package

import redis  # noqa: E402

a, b = (redis.Redis(port=int(p), decode_responses=True) for p in sys.argv[1:])
assert a.ping()
assert a.set("py", "1", ex=100) and b.get("py") == "1"
assert 90 < b.ttl("py") <= 100
assert a.set("py", "2", nx=True) is None
assert a.hset("pyhash", mapping={"f": 1, "g": 2}) == 2
assert b.hgetall("pyhash") == {"f": "1", "g": "2"}
assert b.hincrby("pyhash", "f", 5) == 6
assert a.mset({f"py:{i}": i for i in range(100)})
assert sorted(b.scan_iter("py:*", count=10)) == sorted(
    f"py:{i}" for i in range(100))
p = a.pipeline(transaction=False)
for i in range(1000):
    p.incr("pycount")
assert p.execute() == list(range(1, 1001))
assert b.info()["redis_version"].startswith("7.")
assert b.config_get("maxmemory") == {"maxmemory": "0"}
assert a.client_id() > 0 and len(a.client_list()) >= 1
a.client_setname("me")
assert a.client_getname() == "me"
assert a.slowlog_len() >= 0 and isinstance(a.slowlog_get(), list)
assert a.memory_usage("py") > 0 and a.object("encoding", "py") == "int"
assert isinstance(a.lastsave().year, int) and a.bgsave()
assert "get" in a.command() and a.command_count() > 80
try:
    a.execute_command("LPUSH", "l", "1")
    raise SystemExit("LPUSH is known?")
except redis.ResponseError as e:
    assert "unknown command" in str(e), e
try:
    a.hget("py", "f")
    raise SystemExit("no WRONGTYPE")
except redis.ResponseError as e:
    assert str(e).startswith("WRONGTYPE"), e
s = b.pubsub()
s.subscribe("news")
assert s.get_message(timeout=5)["type"] == "subscribe"
assert a.publish("news", "hello") >= 1
assert s.get_message(timeout=5)["data"] == "hello"
p = a.pipeline()
p.set("pytx", 1).incr("pytx")
assert p.execute() == [True, 2]
assert b.get("pytx") == "2" and b.get("pycount") == "1000"
with a.pipeline() as p:
    p.watch("pytx")
    b.set("pytx", 9)
    p.multi()
    p.set("pytx", 10)
    try:
        p.execute()
        raise SystemExit("WATCH saw nothing")
    except redis.WatchError:
        pass
assert dict(b.hscan_iter("pyhash")) == {"f": "6", "g": "2"}
assert a.rename("pyhash", "pyhash2") and b.hlen("pyhash2") == 2
a.delete("py")
assert b.exists("py") == 0
print("fine")
