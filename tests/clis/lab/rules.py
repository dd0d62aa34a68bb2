"""Small checks that the four dialects share. Each raises `Invalid` with the rule's name."""

import re

from .story import Invalid

OPENAI_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def only(value, allowed, at):
    """An object that has no other members than these."""
    if not isinstance(value, dict):
        raise Invalid("not_an_object", at)
    unknown = [name for name in value if name not in allowed]
    if unknown:
        raise Invalid("unknown_field", f"{at}.{unknown[0]}")


def need(value, name, kind, at):
    """The member `name`, which must be there and of that type."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is int):
        raise Invalid("required_field", f"{at}.{name} is {type(found).__name__}")
    return found


def filled(value, name, at):
    """A string that is not empty."""
    text = need(value, name, str, at)
    if not text:
        raise Invalid("empty_string", f"{at}.{name}")
    return text


def one_of(value, allowed, at):
    if value not in allowed:
        raise Invalid("value_not_allowed", f"{at}: {value!r}")


def openai_name(name, at):
    if not isinstance(name, str) or not OPENAI_NAME.fullmatch(name):
        raise Invalid("tool_name_invalid", f"{at}: {name!r}")


def distinct(names, rule):
    seen = set()
    for name in names:
        if name in seen:
            raise Invalid(rule, str(name))
        seen.add(name)
