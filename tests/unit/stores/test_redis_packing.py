"""What is sent to scripts is MessagePack without its binary type."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.stores.redis.packing import packed

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=300)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20)
)


@given(values)
def test_a_reader_of_messagepack_reads_what_was_packed(value):
    assert msgspec.msgpack.decode(packed(value)) == value


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_sizes_at_the_limits_of_each_form_are_read(size):
    assert msgspec.msgpack.decode(packed("x" * size)) == "x" * size
    assert msgspec.msgpack.decode(packed([1] * size)) == [1] * size
    assert packed(b"x" * size) == packed("x" * size)


def test_what_no_script_can_read_is_refused():
    with pytest.raises(TypeError, match="object"):
        packed({"a": [object()]})
