"""What a server has to be before threads are kept in it: new enough, not forgetful, of a known schema."""

from __future__ import annotations

import logging
from typing import Any, Final

from jumpseat.errors import SchemaTooNew, StoreUnavailable
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.scripts import MIGRATIONS

__all__ = ["check_server", "migrate"]

OLDEST_SERVER: Final = (6, 2)

_log = logging.getLogger(__name__)


def check_server(info: dict[str, Any], where: str) -> None:
    """Raise ``StoreUnavailable`` for a server that is too old; warn of one that may drop keys when full."""
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST_SERVER:
        raise StoreUnavailable(f"{where} is version {version}: Redis 6.2, or Valkey, or newer is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        _log.warning(
            "%s has maxmemory-policy %s: it may drop parts of threads when it is full; set noeviction",
            where,
            policy,
        )


async def migrate(client: Any, keys: Keys, where: str) -> None:
    """Bring the schema up to date. Raises ``SchemaTooNew``; then nothing was changed."""
    key = f"{keys.index}:schema"
    found = int(await client.get(key) or 0)
    if found > len(MIGRATIONS):
        raise SchemaTooNew(where, found=found, known=len(MIGRATIONS))
    for number, migration in enumerate(MIGRATIONS[found:], start=found + 1):
        await client.execute_command("EVAL", migration.source, 1, key, number)
