"""A headless Chromium, driven over a pipe in its DevTools protocol: no further package, and no open port."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

PATIENCE = 60.0
"""Seconds for an answer: starting on a busy machine takes long."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# The browser reads commands from descriptor 3 and answers on 4.
_START = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


def chromium() -> str | None:
    """The browser's program, if there is one."""
    named = os.environ.get("MMM_JAX_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """A running browser; use it in a `with` statement."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Above all that the browser's start puts something else in the place of.
        passed = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
        command = [sys.executable, "-c", _START, *map(str, passed), program, *_OPTIONS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder.name}"], pass_fds=passed, stderr=subprocess.DEVNULL
        )
        for end in (theirs_in, theirs_out, *passed):
            os.close(end)
        self._buffer, self._count = b"", 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.send("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)
        self._folder.cleanup()

    def open(self, path: Path, fragment: str = "", *, width: int = 1200, dark: bool = False) -> "Page":
        """A new page of the given width."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.send("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.send("Page.navigate", url=path.as_uri() + fragment)
        page.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")
        return page

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come before it are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(until - time.monotonic(), 0))
            received = os.read(self._in, 2**20) if ready else b""
            if not received:
                raise TimeoutError("The browser does not answer.")
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


class Page:
    """An open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command to this page."""
        return self._browser.send(method, self._session, **params)

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self, identifier: str) -> str:
        """Text of an element."""
        return self.run(f"document.getElementById({json.dumps(identifier)}).textContent")

    def values(self, identifier: str, field: str = "value") -> list[float]:
        """Numbers that an element holds to the last digit."""
        found = self.run(f"document.getElementById({json.dumps(identifier)}).dataset.{field}")
        return [float(number) for number in found.split()]

    def press(self, identifier: str, key: str) -> None:
        """Press a key in an element."""
        self.run(f"document.getElementById({json.dumps(identifier)}).focus()")
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key])

    def enter(self, identifier: str, value: float | str) -> None:
        """Set a control as a person does who then leaves it."""
        control = f"document.getElementById({json.dumps(identifier)})"
        self.run(f"{control}.value = {json.dumps(str(value))}")
        for event in ("input", "change"):
            self.run(f"{control}.dispatchEvent(new Event('{event}'))")

    def click(self, identifier: str) -> None:
        """Click a button."""
        self.run(f"document.getElementById({json.dumps(identifier)}).click()")

    def wait_for(self, expression: str) -> None:
        """Until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self.run(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.02)

    def happened(self, method: str) -> list[dict[str, Any]]:
        """What the browser reported of this page so far."""
        events = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in events if event["method"] == method]


_KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Home": 36}
