"""Planning the view: properties that hold for any thread and any request."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from jumpseat.protocol.inputs import AssistantMessage, ReasoningMessage, ToolMessage, UserMessage
from jumpseat.runners.view import (
    NoRoom,
    RequestView,
    fold,
    keys_to_locate,
    message_digest,
    plan_request,
    plan_snapshot,
    replan_all,
)
from jumpseat.stores.base import Entry, Found, Located


class Shelf:
    """The entries of one thread, changed as the store contract says."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.version = 0
        self.digest = None
        self.runs = 0

    @property
    def visible(self):
        return sorted(
            (entry for entry in self.entries if entry.hidden_at is None), key=lambda entry: entry.position
        )

    def locate(self, keys):
        visible = self.visible
        found = {}
        for index, entry in enumerate(visible):
            if entry.key in keys:
                found[entry.key] = Found(
                    entry.key,
                    entry.position,
                    entry.digest,
                    entry.shown_from,
                    visible[index - 1].position if index else None,
                    visible[index + 1].position if index + 1 < len(visible) else None,
                )
        return Located(
            version=self.version,
            digest=self.digest,
            last_position=visible[-1].position if visible else 0,
            runs=self.runs,
            found=found,
        )

    def apply(self, plan):
        self.runs += 1
        self.version += 1
        self.digest = plan.digest
        hidden = set(plan.hide)
        if plan.hide_after is not None:
            attached = plan.keep_attached
            for entry in self.visible:
                if entry.position > plan.hide_after:
                    attached = attached and not entry.digest
                    if not attached:
                        hidden.add(entry.position)
        kept = [e for e in self.entries if e.hidden_at is not None or e.position not in hidden]
        self.entries = kept + [
            Entry(
                position=added.position,
                key=added.key,
                aliases=added.aliases,
                digest=added.digest,
                data=added.data,
                shown_from=self.runs,
            )
            for added in plan.add
        ]

    def request(self, messages):
        view = RequestView(messages)
        located = self.locate(())
        keys = keys_to_locate(view, located)
        located = self.locate(keys) if keys else located
        try:
            change = plan_request(view, located)
        except NoRoom:
            change = replan_all(view, located, self.visible)
        self.apply(change.plan)
        return change


NUMBERS = st.integers(0, 12)


def message(number, text="x"):
    if number % 5 == 4:
        return ReasoningMessage(id=f"m{number}", content=text)
    if number % 3 == 2:
        return ToolMessage(id=f"m{number}", tool_call_id="c", content=text)
    if number % 3 == 1:
        return AssistantMessage(id=f"m{number}", content=text)
    return UserMessage(id=f"m{number}", content=text)


REQUESTS = st.lists(
    st.lists(st.tuples(NUMBERS, st.sampled_from(["x", "y"])), max_size=8, unique_by=lambda pair: pair[0]),
    max_size=8,
)


@settings(deadline=None)
@given(REQUESTS)
def test_every_conversation_message_of_a_request_is_shown_once_afterwards_as_it_was_sent(requests):
    shelf = Shelf()
    for pairs in requests:
        messages = [message(*pair) for pair in pairs]
        shelf.request(messages)
        shown = [entry.key for entry in shelf.visible]
        assert len(shown) == len(set(shown))
        positions = [entry.position for entry in shelf.visible]
        assert len(positions) == len(set(positions))
        digests = {entry.key: entry.digest for entry in shelf.visible}
        # A client does not make up reasoning or activities in the middle of what the thread shows already.
        for one in messages:
            if message_digest(one):
                assert digests[one.id] == message_digest(one)


@settings(deadline=None)
@given(REQUESTS)
def test_a_known_rolling_digest_is_that_of_what_is_shown(requests):
    shelf = Shelf()
    for pairs in requests:
        shelf.request([message(*pair) for pair in pairs])
        if shelf.digest is not None:
            assert shelf.digest == fold(entry.digest for entry in shelf.visible)


@settings(deadline=None)
@given(REQUESTS, st.lists(NUMBERS, max_size=8, unique=True))
def test_a_snapshot_makes_the_view_exactly_its_messages(requests, numbers):
    shelf = Shelf()
    for pairs in requests:
        shelf.request([message(*pair) for pair in pairs])
    target = [message(number, "snapshot") for number in numbers]
    last = max((entry.position for entry in shelf.visible), default=0)
    shelf.apply(plan_snapshot(target, shelf.visible, last))
    assert [entry.key for entry in shelf.visible] == [one.id for one in target]


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=12, unique=True))
def test_a_request_that_holds_the_view_and_more_looks_nothing_up(numbers):
    conversation = [message(number) for number in numbers if number % 5 != 4]
    shelf = Shelf()
    for end in range(1, len(conversation) + 1):
        view = RequestView(conversation[:end])
        assert keys_to_locate(view, shelf.locate(())) == []
        change = shelf.request(conversation[:end])
        assert [one.id for one in change.new] == [conversation[end - 1].id]
        assert change.complete


def test_insertions_without_end_between_two_neighbours_find_room():
    shelf = Shelf()
    messages = [UserMessage(id="first", content="x"), UserMessage(id="last", content="x")]
    shelf.request(messages)
    for number in range(60):
        messages.insert(1, UserMessage(id=f"between-{number}", content="x"))
        shelf.request(messages)
    assert [entry.key for entry in shelf.visible] == [one.id for one in messages]
