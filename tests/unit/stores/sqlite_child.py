"""A second process on a store: it does what its standard input says and answers each line with one line."""

from __future__ import annotations

import asyncio
import os
import resource
import sys

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.stores.base import Claimed, NewRun, Plan, Seal
from jumpseat.stores.sqlite import SqliteStore

LEASE = 3600.0


async def act(store: SqliteStore, claims: list[Claimed], verb: str, words: list[str]) -> str:
    if verb == "open":
        await store.open()
        return "open"
    if verb == "claim":
        new = NewRun(thread_id=words[0], run_key=words[1], run_id="r", agent_id="a", owner=None)
        result = await store.claim(new, LEASE, Plan(), b"1")
        if isinstance(result, Claimed):
            claims.append(result)
        return type(result).__name__
    if verb == "append":
        return str((await store.append(claims[-1].run, int(words[0]), [words[0].encode()])).value)
    if verb == "large":
        size = int(words[1])
        small = store.append(claims[0].run, int(words[0]), [b"small"])
        large = store.append(claims[1].run, int(words[0]), [b"x" * size])
        results = await asyncio.gather(small, large, return_exceptions=True)
        return " ".join(r.value if hasattr(r, "value") else f"{type(r).__name__}:{r}" for r in results)
    if verb == "seal":
        first_seq = int(words[0])
        await store.seal(
            claims[-1].run,
            Seal(
                status="finished",
                first_seq=first_seq,
                events=[b"end"],
                plan=Plan(),
                state=None,
                compacted=[b"end"],
                terminal=b"end",
            ),
        )
        return "sealed"
    if verb == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(words[0]), int(words[0])))
        return "limited"
    if verb == "drop-root":
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        return "dropped"
    raise ValueError(verb)


async def main(path: str) -> None:
    store = SqliteStore(path)
    claims: list[Claimed] = []
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode():
        verb, *words = line.split()
        try:
            answer = await act(store, claims, verb, words)
        except (ClaimLost, StoreUnavailable) as error:
            answer = f"{type(error).__name__}: {error}"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
