"""Docstrings in the three usual styles."""

import pytest

from jumpseat.agents.builtin.tools.docstrings import first_paragraph, parameter_texts

GOOGLE = """Find flights
    between two cities.

    Looks at all airlines.

    Args:
        origin: Where the trip begins,
            as a city.
        seats (int, optional): How many: at least one.
        *extra: More.

    Returns:
        origin: not this one
    """
NUMPY = """
    Find flights between two cities.

    Parameters
    ----------
    origin : str
        Where the trip begins,
        as a city.
    seats, extra : int, optional
        How many: at least one.

    Returns
    -------
    result : list
        Flights.
    """
SPHINX = """Find flights between two cities.

    :param origin: Where the trip begins,
        as a city.
    :param int seats: How many: at least one.
    :type seats: int
    :returns: Flights.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX])
def test_every_style_tells_of_the_parameters(docstring: str):
    texts = parameter_texts(docstring)
    assert texts["origin"] == "Where the trip begins, as a city."
    assert texts["seats"] == "How many: at least one."
    assert "result" not in texts


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX])
def test_the_first_paragraph_is_one_line(docstring: str):
    assert first_paragraph(docstring) == "Find flights between two cities."


@pytest.mark.parametrize(
    "docstring",
    [None, "", "   ", "Args:\n    a: b", ":param a: b", "Parameters\n----------\na : int\n    b"],
)
def test_without_a_paragraph_there_is_no_description(docstring: str | None):
    assert first_paragraph(docstring) == ""


@pytest.mark.parametrize(
    "docstring", [None, "Just words.", "Args:", "Args:\n\n", "Parameters\n---", ":param a:"]
)
def test_without_sections_nothing_is_said_of_parameters(docstring: str | None):
    assert parameter_texts(docstring) == {}


def test_sections_may_follow_one_another_without_an_empty_line():
    texts = parameter_texts("X.\n\nArgs:\n    a: one\n    b: two\nRaises:\n    ValueError: never")
    assert texts == {"a": "one", "b": "two"}


def test_attributes_are_parameters_of_a_class():
    assert parameter_texts("A trip.\n\nAttributes:\n    origin: Where.") == {"origin": "Where."}
