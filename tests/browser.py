"""A headless Chromium for the tests of the report, driven over a pair of pipes with the standard library alone.

The protocol is that of Chrome's developer tools, one JSON object after the other, each ended by a zero byte.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
    "about:blank",
]
# The browser reads from file 3 and writes to file 4.
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> Optional[str]:
    """The program that the variable CHROME names, or else a Chromium or Chrome on the path."""
    return next(filter(None, map(shutil.which, filter(None, [os.environ.get("CHROME"), *NAMES]))), None)


class Browser:
    """A running browser. Use it in a with statement."""

    def __init__(self, program: str, profile: Any, timeout: float = 60.0) -> None:
        self.timeout = timeout
        command_end, self._commands = os.pipe()
        self._answers, answer_end = os.pipe()
        # Numbers that are in nobody's way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (command_end, answer_end)]
        command = [sys.executable, "-ISc", LAUNCHER, *map(str, ends), program, *FLAGS, f"--user-data-dir={profile}"]
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=ends, stdin=silent, stdout=silent, stderr=silent)
        for end in (command_end, answer_end, *ends):
            os.close(end)
        self._buffer = b""
        self._last = 0
        self.events: List[Dict[str, Any]] = []
        self.target: Optional[str] = None

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *exception: Any) -> None:
        os.close(self._commands)
        os.close(self._answers)
        self._process.terminate()
        self._process.wait(self.timeout)

    def call(self, method: str, session: Optional[str] = None, **params: Any) -> Dict[str, Any]:
        """Send a command and wait for its result. Events that come meanwhile are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method: str, session: str) -> Dict[str, Any]:
        """Wait for an event."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if event.get("method") == method and event.get("sessionId") == session:
                    return event
            seen = len(self.events)
            self.events.append(self._read())

    def _read(self) -> Dict[str, Any]:
        deadline = time.monotonic() + self.timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._answers, 1 << 16) if ready else b""
            assert data, "The browser does not answer"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


class Page:
    """A page in a window of its own. The one before it is closed."""

    def __init__(self, browser: Browser, url: str, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        self.browser = browser
        if browser.target is not None:
            browser.call("Target.closeTarget", targetId=browser.target)
        browser.events.clear()
        browser.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=browser.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        # Processor time, which other work on the machine does not lengthen.
        self.call("Performance.enable", timeDomain="threadTicks")
        self.call("Page.navigate", url=url)
        browser.wait_for("Page.loadEventFired", self.session)

    def call(self, method: str, **params: Any) -> Dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def run(self, script: str) -> Any:
        """The value of an expression. It is run from outside, where the page's policy does not hold."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def seconds(self) -> float:
        """The processor time that the page has taken so far."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def complaints(self) -> List[Dict[str, Any]]:
        """What went to the console: errors, breaches of the policy, and anything a script wrote."""
        names = (
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        )
        self.run("0")
        return [event for event in self.browser.events if event.get("method") in names]

    def click(self, selector: str) -> None:
        """Click on the middle of an element with the mouse."""
        place = f"""(async () => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{block: "center"}});
            // The mouse meets what was drawn last.
            for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
            const {{x, y, width, height}} = node.getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        }})()"""
        x, y = self.run(place)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
