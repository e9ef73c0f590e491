"""The groups in which the runs of a process store their events."""

from __future__ import annotations

import asyncio

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.runners.group_commit import LARGEST_GROUP, GroupCommit
from jumpseat.stores.base import Append, AppendsGroups, Hold, Run


class Slow(AppendsGroups):
    """Keeps each group until it is told to answer."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.open = None
        self.away = False

    def append_group(self, appends, done) -> None:
        if self.away:
            raise StoreUnavailable("out of reach")
        self.groups.append([append.run.run_key for append in appends])
        self.open = (appends, done)

    async def answer(self) -> None:
        async with asyncio.timeout(1):
            while self.open is None:
                await asyncio.sleep(0)
        (appends, done), self.open = self.open, None
        for append in appends:
            append.result = Hold.HELD
        done(appends)
        await asyncio.sleep(0)


class Member:
    def __init__(self, group: GroupCommit, name: str) -> None:
        self.group = group
        self.name = name
        self.wants = 1
        self.told: list[Append] = []

    def next_append(self) -> Append | None:
        return Append(Run("thread", self.name, 1), 1, [b"x"]) if self.wants else None

    def stored(self, append: Append) -> None:
        self.told.append(append)
        self.wants -= 1
        if self.wants:
            self.group.join(self)


async def test_what_comes_while_a_group_is_written_goes_with_the_next():
    store = Slow()
    group = GroupCommit(store)
    a, b, c = (Member(group, name) for name in "abc")
    group.join(a)
    group.join(b)
    await asyncio.sleep(0)
    assert store.groups == [["a", "b"]]
    group.join(c)
    await asyncio.sleep(0)
    assert store.groups == [["a", "b"]]
    a.wants = 2
    await store.answer()
    await store.answer()
    assert store.groups == [["a", "b"], ["c", "a"]]
    assert [len(member.told) for member in (a, b, c)] == [2, 1, 1]


async def test_a_group_is_bounded_and_nobody_is_forgotten():
    store = Slow()
    group = GroupCommit(store)
    members = [Member(group, str(number)) for number in range(2 * LARGEST_GROUP + 1)]
    for member in members:
        group.join(member)
    await asyncio.sleep(0)
    for _ in range(3):
        await store.answer()
    assert [len(names) for names in store.groups] == [LARGEST_GROUP, LARGEST_GROUP, 1]
    assert all(len(member.told) == 1 for member in members)


async def test_a_store_that_is_away_is_told_to_each_member():
    store = Slow()
    store.away = True
    group = GroupCommit(store)
    a, b = Member(group, "a"), Member(group, "b")
    group.join(a)
    group.join(b)
    await asyncio.sleep(0)
    assert [type(member.told[0].error) for member in (a, b)] == [StoreUnavailable] * 2


async def test_a_member_that_left_or_fails_holds_up_nobody(caplog):
    class Failing(Member):
        def stored(self, append: Append) -> None:
            raise ClaimLost("gone")

    store = Slow()
    group = GroupCommit(store)
    left, failing, well = Member(group, "left"), Failing(group, "failing"), Member(group, "well")
    left.wants = 0
    group.join(left)
    await asyncio.sleep(0)
    assert store.groups == []
    for member in (left, failing, well):
        group.join(member)
    await asyncio.sleep(0)
    await store.answer()
    assert store.groups == [["failing", "well"]]
    assert len(well.told) == 1
    assert "run failing could not go on" in caplog.text


async def test_no_timer_stands_between_two_groups():
    store = Slow()
    group = GroupCommit(store)
    members = [Member(group, str(number)) for number in range(50)]
    for member in members:
        member.wants = 2
        group.join(member)
    await asyncio.sleep(0)
    await store.answer()
    assert [len(names) for names in store.groups] == [50, 50]
