"""More photos than a session may have: the first stay in order, and the page names the others."""

from tests.app.test_compare_page import page, panes, picture_file
from ui.shared import rate_limit


def test_photos_beyond_the_limit_are_named_and_none_is_lost(monkeypatch, registry):
    monkeypatch.setattr(rate_limit, "MAX_PHOTOS", 3)
    at = page(monkeypatch, registry)
    files = [(f"{number}.png", picture_file(seed=number), "image/png") for number in range(5)]
    at.file_uploader(key="uploads-compare").set_value(files).run()
    first_names = ["0\\.png", "1\\.png", "2\\.png"]

    def labels() -> list[str]:
        return [button.label for button in at.button if button.key.startswith("strip-")]

    assert not at.exception and labels() == first_names
    assert "2 photos left out" in at.warning[0].value and "3\\.png, 4\\.png" in at.warning[0].value
    for number in (2, 0, 1):
        at.button(key=f"strip-{number}").click().run()
        assert not at.exception and labels() == first_names
        assert panes(at)["photo"]["note"] == f"{number}.png"
    at.button(key="sample-6").click().run()
    assert labels() == first_names
