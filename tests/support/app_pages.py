"""Pages of the app without a browser."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


def open_page(file: str, **query: str) -> AppTest:
    """Runs a page once, with these parameters in its address."""
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page(file)
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def text(at: AppTest) -> str:
    """The texts of a page, a line each, as Markdown and HTML."""
    elements = [*at.markdown, *at.caption, *at.error, *at.info, *at.success, *at.warning, *at.code]
    return "\n".join(
        [*(element.value for element in elements), *(element.proto.body for element in at.get("html"))]
    )
