"""Signatures travel through clients as text and come back as they were."""

import json

import pytest

from jumpseat.agents.builtin.reasoning import (
    Signature,
    encrypted_value,
    parse_encrypted_value,
    parse_encrypted_values,
)


def test_a_signature_is_json_with_only_what_is_known():
    assert json.loads(encrypted_value("anthropic", "sig")) == {"provider": "anthropic", "signature": "sig"}
    assert json.loads(encrypted_value("openai", "sig", "rs_1", {"raw": ["é"]})) == {
        "provider": "openai",
        "signature": "sig",
        "id": "rs_1",
        "details": {"raw": ["é"]},
    }


def test_a_signature_comes_back_as_it_was():
    text = encrypted_value("openai", "sig", "rs_1", {"raw": [1]})
    assert parse_encrypted_value(text) == Signature(
        provider="openai", signature="sig", id="rs_1", details={"raw": [1]}
    )
    assert parse_encrypted_value(encrypted_value("google", "s")) == Signature(
        provider="google", signature="s"
    )


def test_several_signatures_share_one_text_and_come_back_in_order():
    earlier = [
        Signature(provider="a", signature="1", details={"k": 1}),
        Signature(provider="a", signature="2", id="i"),
    ]
    for own_id, details in (("x", None), (None, {"k": 2}), (None, None)):
        text = encrypted_value("a", "3", own_id, details, earlier=earlier)
        own = Signature(provider="a", signature="3", id=own_id, details=details)
        assert parse_encrypted_values(text) == [*earlier, own]
    assert parse_encrypted_values(encrypted_value("a", "3")) == [Signature(provider="a", signature="3")]
    assert parse_encrypted_values("gAAAA") == []


@pytest.mark.parametrize("odd", [1, None, "x", {"a": 1}, [1], [{"provider": "a"}], [{"signature": 1}]])
def test_earlier_signatures_that_somebody_else_wrote_are_left_out(odd):
    text = json.dumps({"provider": "a", "signature": "s", "details": {"earlier": odd}})
    assert parse_encrypted_values(text) == [Signature(provider="a", signature="s")]


def test_unknown_keys_are_ignored():
    assert parse_encrypted_value('{"provider":"a","signature":"b","more":1}') == Signature(
        provider="a", signature="b"
    )


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "gAAAAABo",
        "[]",
        "null",
        '"text"',
        '{"provider":"a"}',
        '{"signature":"b"}',
        '{"provider":"","signature":"b"}',
        '{"provider":"a","signature":""}',
        '{"provider":"a","signature":1}',
        '{"provider":"a","signature":"b","id":7}',
        '{"provider":"a","signature":"b","details":[]}',
        '{"provider":"a","signature":"b"',
        '{"provider":"a","signature":"\ud800"}',
        "[" * 100_000,
        '{"provider":"a","signature":"b","details":' + '{"x":' * 100_000,
    ],
)
def test_any_other_text_is_no_signature(text):
    assert parse_encrypted_value(text) is None
