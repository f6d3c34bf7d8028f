"""Finds and starts Chromium or Chrome."""

import shutil
import subprocess

from playwright.sync_api import Browser, Playwright

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""The names that tests/support/browser.sh also tries."""
NONE = (
    "no Chromium or Chrome on this machine; enable the browser tests by installing one (Debian: apt-get"
    " install chromium)"
)


def launched(playwright: Playwright) -> Browser | None:
    """A real browser without a window, or None if there is none."""
    candidates = filter(None, map(shutil.which, NAMES))
    path = next(
        (p for p in candidates if subprocess.run([p, "--version"], capture_output=True).returncode == 0), None
    )
    if path is None:
        return None
    # --no-sandbox: Chromium refuses to run as root with a sandbox, and these pages are our own
    quiet = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        " --disable-component-update"
        " --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"  # a camera, and leave to use it
    )
    return playwright.chromium.launch(executable_path=path, args=[*quiet.split(), "--disable-sync"])
