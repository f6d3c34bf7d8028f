"""Messages about photos come and go above the results without moving them: Streamlit keeps what stood at a
place until the script ends, and would show it, greyed, inside the element that took the place."""

import pytest

from tests.app.test_compare_page import picture_file
from tests.support.app_pages import open_page


@pytest.mark.parametrize("file", ["app.py", "pages/inside.py"])
def test_no_message_moves_the_results(monkeypatch, registry, file):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    at = open_page(file)
    key = "uploads-compare" if file == "app.py" else "uploads-inside"

    def places() -> list[str]:
        return [type(block).__name__ + getattr(block, "type", "") for block in at.main.children.values()]

    before = places()
    files = [(f"{seed}.png", picture_file(seed=seed), "image/png") for seed in range(2)]
    files.append(("damaged.png", b"\x89PNG\r\n\x1a\n damaged", "image/png"))
    at.file_uploader(key=key).set_value(files).run()
    assert not at.exception and "damaged" in at.error[0].value
    assert places() == before
    at.query_params["photo"] = "4711"
    at.file_uploader(key=key).set_value([]).run()
    assert "unknown sample" in at.info[0].value
    assert places() == before
