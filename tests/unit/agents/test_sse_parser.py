"""The event stream parser: the same bytes give the same frames, however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.agents.sse_parser import SseParser
from jumpseat.errors import EventTooLarge

PAYLOADS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n")).map(str.encode)
NOISE = st.sampled_from([b": keep-alive", b"id: k:1", b"event: message", b"retry: 2000", b"datum: x", b"x"])
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw):
    """The frames of a stream and one way of writing them."""
    frames, written = [], b""
    for _ in range(draw(st.integers(0, 5))):
        lines = draw(st.lists(PAYLOADS, min_size=1, max_size=3))
        end = draw(LINE_ENDS)
        for line in lines:
            for noise in draw(st.lists(NOISE, max_size=1)):
                written += noise + end
            space = b" " if line.startswith(b" ") or draw(st.booleans()) else b""
            written += b"data:" + space + line + end
        written += end
        frames.append(b"\n".join(lines))
    return frames, written


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def feed_all(parser: SseParser, chunks) -> list[bytes]:
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


def parse(chunks) -> list[bytes]:
    return feed_all(SseParser(), chunks)


@given(streams(), st.lists(st.integers(0, 1000)))
def test_every_frame_arrives_whole_wherever_the_stream_is_cut(stream, places):
    frames, written = stream
    assert parse(cut(written, places)) == frames


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_any_bytes_give_the_same_frames_however_they_are_cut(data, places):
    assert parse(cut(data, places)) == parse([data])


@given(st.lists(st.integers(0, 40), max_size=6), st.lists(st.integers(0, 1000)))
def test_the_limit_falls_on_the_same_frame_however_the_stream_is_cut(sizes, places):
    def outcome(chunks):
        parser, seen = SseParser(32), []
        try:
            for chunk in chunks:
                seen.extend(parser.feed(chunk))
        except EventTooLarge:
            return seen, True
        return seen, False

    written = b"".join(b"data: " + b"x" * size + b"\n\n" for size in sizes)
    assert outcome(cut(written, places)) == outcome([written])
    assert outcome([written])[1] == any(6 + size > 32 for size in sizes)


@pytest.mark.parametrize(
    ("written", "frames"),
    [
        (b"data:{}\n\n", [b"{}"]),
        (b"data: {}\n\n", [b"{}"]),
        (b"data:  x\n\n", [b" x"]),
        (b"data: {\r\ndata: }\r\n\r\n", [b"{\n}"]),
        (b"data: 1\r\rdata: 2\n\n", [b"1", b"2"]),
        (b": connected\n\ndata: 1\n\n", [b"1"]),
        (b"event: x\nid: 7\ndata: 1\nretry: 3\n\n", [b"1"]),
        (b"data\n\n", [b""]),
        (b"data\ndata\n\n", [b"\n"]),
        (b"\xef\xbb\xbfdata: 1\n\n", [b"1"]),
        (b"\n\n\n", []),
        (b"data: not yet", []),
    ],
)
def test_frames_are_read_as_the_html_standard_says(written, frames):
    assert parse([written]) == frames


def test_a_line_end_between_two_chunks_is_one_line_end():
    assert parse([b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]) == [b"a\nb"]


def test_a_character_cut_in_two_is_whole_again():
    euro = "€".encode()
    assert parse([b"data: " + euro[:1], euro[1:] + b"\n\n"]) == [euro]


def test_an_endless_line_is_refused_long_before_it_ends():
    parser = SseParser(100)
    with pytest.raises(EventTooLarge, match="more than 100 bytes"):
        feed_all(parser, [b"x" * 10] * 20)


def test_an_endless_frame_of_short_lines_is_refused():
    parser = SseParser(100)
    with pytest.raises(EventTooLarge):
        feed_all(parser, [b"data: x\n"] * 1000)


def test_many_small_frames_never_meet_the_limit():
    parser = SseParser(100)
    assert sum(len(list(parser.feed(b"data: " + b"x" * 50 + b"\n\n"))) for _ in range(1000)) == 1000


def test_a_frame_that_the_stream_did_not_close_is_handed_out_at_the_end():
    parser = SseParser()
    assert list(parser.feed(b"data: 1\n\ndata: {}")) == [b"1"]
    assert parser.finish() == b"{}"
    assert parser.finish() is None


def test_an_ended_stream_without_a_rest_has_no_last_frame():
    parser = SseParser()
    assert list(parser.feed(b"data: 1\n\n: bye")) == [b"1"]
    assert parser.finish() is None
