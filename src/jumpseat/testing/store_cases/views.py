"""What a thread shows: plans, older views, finding entries."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import pytest

from jumpseat.stores.base import Addition, Found, History, Located, Plan, Store
from jumpseat.testing.store_cases.material import FIRST, add, claimed, finish, seal_of, within


async def shown(store: Store, at: int | None = None) -> list[str]:
    """Return the keys a thread shows."""
    return [entry.key for entry in (await picture(store, at)).entries]


async def picture(store: Store, at: int | None = None) -> History:
    """Return the history of the thread."""
    history = await store.history(None, "thread", at)
    assert history is not None
    return history


async def show(store: Store, *plans: Plan) -> None:
    """Finish one run per plan."""
    for plan in plans:
        await finish(store, await claimed(store, plan=plan))


class ViewCases:
    """The messages of a thread."""

    async def test_messages_of_claim_and_seal_are_shown_in_order_of_position(self, store: Store) -> None:
        claim = await claimed(store, plan=Plan(add=(add(20, "u2"), add(10, "u1"))))
        assert claim.last_position == 20
        assert await shown(store) == ["u1", "u2"]
        await finish(
            store, claim, plan=Plan(add=(add(30, "a1", b"text", aliases=("c1", "c2")), add(15, "x")))
        )
        entries = (await picture(store)).entries
        assert [entry.key for entry in entries] == ["u1", "x", "u2", "a1"]
        assert (entries[3].data, entries[3].digest, entries[3].aliases) == (b"text", b"#text", ("c1", "c2"))
        assert [(entry.shown_from, entry.hidden_at) for entry in entries] == [(1, None)] * 4
        assert (await claimed(store)).last_position == 30

    async def test_cutting_hides_what_is_behind_and_older_runs_still_show_it(self, store: Store) -> None:
        await show(
            store,
            Plan(add=(add(10, "u1"), add(20, "a1"))),
            Plan(add=(add(30, "u2"), add(40, "a2"))),
            Plan(hide_after=20, add=(add(30, "u3"),)),
            Plan(hide_after=0),
            Plan(add=(add(10, "u1"),)),
        )
        assert await shown(store, 1) == ["u1", "a1"]
        assert await shown(store, 2) == ["u1", "a1", "u2", "a2"]
        assert await shown(store, 3) == ["u1", "a1", "u3"]
        assert await shown(store, 4) == []
        assert await shown(store, 5) == await shown(store) == ["u1"]

    async def test_a_cut_that_keeps_attached_entries_begins_at_the_first_other_one(
        self, store: Store
    ) -> None:
        def attached(position: int, key: str) -> Addition:
            return Addition(position=position, key=key, aliases=(), digest=b"", data=b"{}")

        thread = (add(10, "u1"), attached(20, "r1"), attached(30, "r2"), add(40, "a1"), attached(50, "r3"))
        await show(store, Plan(add=thread), Plan(hide_after=10, keep_attached=True))
        assert await shown(store) == ["u1", "r1", "r2"]
        await show(store, Plan(hide_after=10, keep_attached=True))
        assert await shown(store) == ["u1", "r1", "r2"]
        await show(store, Plan(hide_after=10))
        assert await shown(store) == ["u1"]

    async def test_an_edit_replaces_a_message_in_its_place(self, store: Store) -> None:
        await show(
            store,
            Plan(add=(add(10, "u1", b"old"), add(20, "a1"))),
            Plan(hide=(10,), add=(add(10, "u1", b"new"),)),
        )
        assert [entry.data for entry in (await picture(store)).entries] == [b"new", b"{}"]
        older = (await picture(store, 1)).entries
        assert [(entry.data, entry.hidden_at) for entry in older] == [(b"old", 2), (b"{}", None)]
        assert (await store.locate(None, "thread", ["u1"])).found["u1"].digest == b"#new"

    async def test_a_run_replaces_and_removes_its_own_messages_without_a_trace(self, store: Store) -> None:
        claim = await claimed(store, plan=Plan(add=(add(10, "u1"), add(20, "draft", aliases=("c",)))))
        await finish(store, claim, plan=Plan(hide=(10,), add=(add(20, "final"), add(30, "a"), add(30, "b"))))
        assert await shown(store) == await shown(store, 1) == ["final", "b"]
        assert set((await store.locate(None, "thread", ["u1", "draft", "c", "a", "b"])).found) == {"b"}
        claim = await claimed(store, plan=Plan(add=(add(40, "u2"),)))
        await finish(store, claim, plan=Plan(hide_after=20))
        assert await shown(store) == ["final"]
        assert await shown(store, 1) == ["final", "b"]

    async def test_a_position_that_shows_an_older_message_is_not_overwritten(self, store: Store) -> None:
        await show(store, Plan(add=(add(10, "u1"),)))
        with pytest.raises(ValueError, match="10"):
            await claimed(store, plan=Plan(add=(add(10, "u2"),)))
        assert await shown(store) == ["u1"]
        assert len(await store.runs(None, "thread", 0, 10)) == 1

    async def test_hiding_what_is_not_shown_does_nothing(self, store: Store) -> None:
        await show(store, Plan(hide=(5, 10), hide_after=7), Plan(add=(add(10, "u1"),)))
        await show(store, Plan(hide=(11, -3), hide_after=99))
        assert await shown(store) == ["u1"]

    async def test_locate_finds_visible_entries_by_key_and_alias_with_their_neighbours(
        self, store: Store
    ) -> None:
        assert await store.locate(None, "thread", ["a"]) == Located()
        plan = Plan(add=(add(10, "a"), add(20, "b", aliases=("c1", "c2")), add(30, "c")), digest=b"rolling")
        await show(store, plan)
        located = await store.locate(None, "thread", ["a", "b", "c2", "c", "unknown"])
        assert located.found == {
            "a": Found("a", 10, b"#{}", 1, None, 20),
            "b": Found("b", 20, b"#{}", 1, 10, 30),
            "c2": Found("b", 20, b"#{}", 1, 10, 30),
            "c": Found("c", 30, b"#{}", 1, 20, None),
        }
        assert (located.last_position, located.runs, located.foreign) == (30, 1, False)
        await show(store, Plan(hide=(20,), digest=None))
        located = await store.locate(None, "thread", ["a", "b", "c1", "c"])
        assert located.found == {
            "a": Found("a", 10, b"#{}", 1, None, 30),
            "c": Found("c", 30, b"#{}", 1, 10, None),
        }
        assert (located.digest, located.runs) == (None, 2)

    async def test_an_alias_does_not_hide_the_entry_that_has_the_same_key(self, store: Store) -> None:
        before, after = add(20, "early", aliases=("x", "only")), add(40, "late", aliases=("x", "only"))
        await show(store, Plan(add=(before, add(30, "x"), after)))
        located = await store.locate(None, "thread", ["x", "only"])
        assert located.found == {
            "x": Found("x", 30, b"#{}", 1, 20, 40),
            "only": Found("late", 40, b"#{}", 1, 30, None),
        }
        await show(store, Plan(hide=(30,)))
        located = await store.locate(None, "thread", ["x"])
        assert located.found["x"].key == "late"

    async def test_a_run_is_found_by_its_key_whatever_messages_and_calls_are_named(
        self, store: Store
    ) -> None:
        first = await claimed(store)
        key = first.run.run_key
        await finish(store, first, plan=Plan(add=(add(10, key), add(20, "a", aliases=(key,)))))
        second = await claimed(store, run_id=key, plan=Plan(add=(add(30, "u", aliases=(key,)),)))
        header = await store.run(None, "thread", key)
        assert header is not None
        assert header.ordinal == 1
        named = await store.find(None, "thread", key)
        assert named is not None
        assert named.run_key == second.run.run_key
        assert (await within(store.read("thread", key, 0, 0))).events == [FIRST, b"end"]

    async def test_locate_takes_a_thousand_keys(self, store: Store) -> None:
        await show(store, Plan(add=tuple(add(10 * number, f"m{number}") for number in range(1, 1001))))
        located = await store.locate(None, "thread", [f"m{number}" for number in range(2002)])
        assert len(located.found) == 1000
        assert located.found["m500"].position == 5000

    async def test_a_foreign_thread_is_located_as_foreign_and_shows_nothing(self, store: Store) -> None:
        await finish(store, await claimed(store, owner="ann", plan=Plan(add=(add(10, "u1"),))))
        assert await store.locate("bob", "thread", ["u1"]) == Located(foreign=True)
        assert await store.locate(None, "thread", ["u1"]) == Located(foreign=True)
        assert await store.history("bob", "thread") is None
        assert await store.history(None, "thread") is None
        assert await store.history("ann", "other") is None

    async def test_the_digest_is_that_of_the_last_plan(self, store: Store) -> None:
        claim = await claimed(store, plan=Plan(digest=b"claim"))
        assert (await store.locate(None, "thread", [])).digest == b"claim"
        await finish(store, claim, plan=Plan(digest=b"seal"))
        assert (await store.locate(None, "thread", [])).digest == b"seal"

    async def test_history_during_a_run_has_its_start_and_the_newest_sealed_run(self, store: Store) -> None:
        await finish(store, await claimed(store, run_id="r1"), state=b"1")
        claim = await claimed(store, run_id="r2", plan=Plan(add=(add(10, "u1"),)), state=b"2")
        await store.append(claim.run, 2, [b"x"])
        history = await picture(store)
        assert history.head is not None
        assert history.live is not None
        assert (history.head.run_id, history.state, history.live.run) == ("r1", b"2", claim.run)
        assert (history.live.last_seq, [entry.key for entry in history.entries]) == (2, ["u1"])

    async def test_an_older_picture_has_the_run_it_is_of(self, store: Store) -> None:
        await finish(store, await claimed(store, run_id="r1"), state=b"1")
        await finish(store, await claimed(store, run_id="r2"), state=b"2")
        await claimed(store)
        older = await picture(store, 1)
        assert older.head is not None
        assert (older.head.run_id, older.state, older.live) == ("r1", b"1", None)

    async def test_a_thread_without_a_sealed_run_has_no_head(self, store: Store) -> None:
        claim = await claimed(store)
        history = await picture(store)
        assert (history.head, history.entries, history.state) == (None, [], None)
        await store.seal(claim.run, seal_of(2))
        assert (await picture(store)).head is not None
