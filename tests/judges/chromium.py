"""A real browser for tests: the system's Chromium, spoken to over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PATIENCE = 60.0
"""How long a test waits for what should come, in seconds."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--hide-scrollbars"),
    *("--disable-background-networking", "--remote-debugging-port=0", "--window-size=1280,900"),
    # Tabs that are not in front draw as well.
    *(
        "--disable-renderer-backgrounding",
        "--disable-backgrounding-occluded-windows",
        "--disable-background-timer-throttling",
    ),
)


# A change is looked at where it is made; what moves without one, as what is scrolled does, when a frame is drawn.
_UNTIL = """(isTrue) => new Promise((resolve, reject) => {
    const observer = new MutationObserver(look);
    let done = false;
    function look() {
        try {
            done ||= !!isTrue();
        } catch (error) {
            done = true;
            reject(error);
        }
        if (done) {
            observer.disconnect();
            resolve();
        }
    }
    function draw() {
        look();
        if (!done) requestAnimationFrame(draw);
    }
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    draw();
})"""


class Tab:
    """One tab.

    Attributes:
        exceptions: What its scripts raised.
        requests: The URLs that it asked for.
        dialogs: How many dialogs opened.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.exceptions: list[str] = []
        self.requests: list[str] = []
        self.dialogs = 0
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and give what it returns."""
        number = len(self._waiting)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE):
            message = await answer
        assert "error" not in message, f"{method}: {message['error']}"
        result: dict[str, Any] = message["result"]
        return result

    async def js(self, code: str) -> Any:
        """The value of an expression in the page."""
        result = await self.do("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{code}: {result}"
        return result["result"].get("value")

    async def until(self, code: str) -> None:
        """Wait until an expression is true in the page, which looks at each change of it and at each frame."""
        try:
            await self.js(f"({_UNTIL})(() => ({code}))")
        except TimeoutError:
            text = await self.js("document.body.innerText")
            raise AssertionError(f"never became true: {code}\n{text[-1500:]}\n{self.exceptions}") from None

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._loaded.clear()
        await self.do("Page.navigate", url=url)
        await self._is_loaded()

    async def reload(self) -> None:
        """Load the page again."""
        self._loaded.clear()
        await self.do("Page.reload")
        await self._is_loaded()

    async def _is_loaded(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()

    async def type(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.do("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        code = {"Enter": 13, "Escape": 27, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        same = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        await self.do("Input.dispatchKeyEvent", type="keyDown", **same, **text)
        await self.do("Input.dispatchKeyEvent", type="keyUp", **same)

    async def look(self, *, width: int = 1280, height: int = 900, dark: bool = False, calm: bool = False) -> None:
        """Set the size of the window, and what its reader prefers."""
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        preferred = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "",
        }
        await self.do("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in preferred.items()])

    async def screenshot(self, path: Path) -> None:
        """Write a picture of what can be seen."""
        picture = await self.do("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(picture["data"]))

    async def close(self) -> None:
        """Close the tab."""
        self._reading.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting[said["id"]].set_result(said)
            else:
                await self._note(said["method"], said["params"])

    async def _note(self, event: str, said: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Runtime.exceptionThrown":
            self.exceptions.append(str(said["exceptionDetails"].get("exception", said)))
        elif event == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif event == "Page.javascriptDialogOpening":
            self.dialogs += 1


class Chromium:
    """A running browser."""

    def __init__(self, http: aiohttp.ClientSession, origin: str) -> None:
        self.tabs: list[Tab] = []
        self._http = http
        self._origin = origin

    async def tab(self, url: str | None = None) -> Tab:
        """A new tab."""
        async with self._http.put(f"{self._origin}/json/new?about:blank") as response:
            address = (await response.json(content_type=None))["webSocketDebuggerUrl"]
        tab = Tab(await self._http.ws_connect(address, max_msg_size=0))
        self.tabs.append(tab)
        for domain in ("Page", "Runtime", "Network"):
            await tab.do(f"{domain}.enable")
        await tab.do("Page.bringToFront")
        if url is not None:
            await tab.open(url)
        return tab


@asynccontextmanager
async def chromium() -> AsyncGenerator[Chromium]:
    """Start the browser of this machine; where there is none, the test is skipped."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"there is none of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = await asyncio.create_subprocess_exec(
            *(program, *OPTIONS, f"--user-data-dir={home}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        reading: asyncio.Task[bytes] | None = None
        try:
            async with aiohttp.ClientSession() as http:
                browser = Chromium(http, await _origin(process.stderr))
                # What else it says has to go somewhere, or it would wait.
                reading = asyncio.create_task(process.stderr.read())
                try:
                    yield browser
                finally:
                    for tab in browser.tabs:
                        await tab.close()
        finally:
            process.terminate()
            await process.wait()
            if reading is not None:
                await reading


async def _origin(said: asyncio.StreamReader) -> str:
    """Where it is spoken to: it says so when it listens."""
    async with asyncio.timeout(PATIENCE):
        while line := await said.readline():
            if found := re.search(rb"DevTools listening on ws://([^/]+)/", line):
                return f"http://{found[1].decode()}"
    raise AssertionError("the browser ended before it could be spoken to")
