"""Choices that the address keeps on several pages: links, back and forward restore them.

Streamlit binds widgets to the address for one page only: the values are lost on the way to another.
"""

import streamlit as st

from ui.state.session import session


def follow_address(key: str, default: str | list[str]) -> None:
    """Give a widget the value that the address names if the visitor followed a link, or went back or forward.

    Call it before the widget is drawn, and `write_address` afterwards.

    Args:
        key: Key of the widget, and name of the parameter.
        default: Value if the address names none; a list if the widget has several values.
    """
    linked = st.query_params.get_all(key)
    value = (linked or default) if isinstance(default, list) else (linked[-1] if linked else default)
    state = session()
    addresses = state.setdefault("addresses", {})
    new_page = state.get("title_before") != state.get("title")  # its widget has a value of its own
    if new_page or addresses.get(key) != value or key not in st.session_state:
        addresses[key] = st.session_state[key] = value


def write_address(key: str, value: str | list[str], default: str | list[str]) -> None:
    """Write the value of a widget into the address, unless it is the default.

    Args:
        key: Key of the widget, and name of the parameter.
        value: Its value.
        default: As for `follow_address`.
    """
    session().setdefault("addresses", {})[key] = value
    if value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != (value if isinstance(value, list) else [value]):
        st.query_params[key] = value
