"""Pages in Chromium without a window, through the pipe of its DevTools protocol; nothing else is needed."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Drawn by the processor, which every machine has.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=640,480"),
)
PATIENCE = 120.0  # seconds


class Page:
    """A page of a browser of its own, for a `with` block.

    Attributes:
        complaints: errors and warnings of the page so far.
        requests: addresses that it has asked for, other than data in the page itself.
    """

    def __enter__(self) -> Page:
        assert CHROMIUM is not None
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        reading, self._to = os.pipe()
        self._from, writing = os.pipe()
        command = f'exec "$0" "$@" 3<&{reading} 4>&{writing}'
        profile = f"--user-data-dir={self._folder.name}"
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, *FLAGS, profile],
            pass_fds=(reading, writing),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reading)
        os.close(writing)
        self._received, self._sent, self._session = b"", 0, None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command of the protocol, and take note of what happens before it."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._next(end)
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            if not select.select([self._from], [], [], max(end - time.monotonic(), 0))[0]:
                raise TimeoutError(f"Chromium has not answered in {PATIENCE:g} s")
            part = os.read(self._from, 1 << 20)
            if not part:
                raise ConnectionError("Chromium has ended")
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _note(self, event: str | None, parameters: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            self.requests += [] if url.startswith(("data:", "blob:")) else [url]
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(parameters["args"]))
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, or of its promise."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, path: Path | str) -> None:
        """Go to a motion's page, and wait until it has drawn."""
        self.send("Page.navigate", url=path.as_uri() if isinstance(path, Path) else path)
        end = time.monotonic() + PATIENCE
        while not self.evaluate("document.body !== null && document.body.dataset.ready === 'true'"):
            if self.complaints or time.monotonic() > end:
                raise RuntimeError(f"{self.evaluate('document.body.innerText')}\n{self.complaints}")
            time.sleep(0.1)

    def picture(self) -> np.ndarray:
        """Return what is drawn, (height, width, 3) in [0, 1], after the frames that were asked for."""
        self.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        content = self.send("Page.captureScreenshot", format="png")["data"]
        return matplotlib.image.imread(io.BytesIO(base64.b64decode(content)))[..., :3]
