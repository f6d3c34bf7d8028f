"""Pydantic's errors in words for the user."""

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Return the place and the message of the first problem, without a final period."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
