"""The store contract as pytest classes: subclass, override ``store``, and every promise is tested.

``StoreContract`` holds for every store, ``LeaseContract`` for one whose leases expire and
``SharedStoreContract`` for one that several processes may share.
"""

from __future__ import annotations

import pytest

from jumpseat.stores.base import Store
from jumpseat.testing.store_cases.claims import ClaimCases
from jumpseat.testing.store_cases.dumps import DumpCases
from jumpseat.testing.store_cases.leases import LeaseCases
from jumpseat.testing.store_cases.lifecycle import LifecycleCases
from jumpseat.testing.store_cases.logs import LogCases
from jumpseat.testing.store_cases.queues import QueueCases
from jumpseat.testing.store_cases.retention import RetentionCases
from jumpseat.testing.store_cases.sharing import SharingCases
from jumpseat.testing.store_cases.threads import ThreadCases
from jumpseat.testing.store_cases.views import ViewCases

__all__ = ["LeaseContract", "SharedStoreContract", "StoreContract"]


class _WithStore:
    @pytest.fixture
    async def store(self) -> Store:
        """Return an open and empty store; close it after the test."""
        raise NotImplementedError("override the fixture `store` with one that yields an open, empty store")


class StoreContract(
    ClaimCases,
    LogCases,
    ViewCases,
    QueueCases,
    ThreadCases,
    RetentionCases,
    DumpCases,
    LifecycleCases,
    _WithStore,
):
    """What every store promises."""


class LeaseContract(LeaseCases, _WithStore):
    """What a store promises whose leases expire."""


class SharedStoreContract(SharingCases, _WithStore):
    """What a store promises that several processes share."""

    @pytest.fixture
    async def second_store(self, store: Store) -> Store:
        """Return another open store object on the data of ``store``; close it after the test."""
        raise NotImplementedError("override the fixture `second_store` with another store on the same data")
