"""A browser, and a JupyterLab of its own on a temporary folder; nothing leaves this machine."""

import json
import os
import queue
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
SECONDS = 60  # for anything that a page does

_SESSION = "globalThis.jupyterapp?.shell?.currentWidget?.sessionContext"
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a machine without it fails these tests, as they would prove nothing."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("no chromium on this machine; install it: apt-get install -y --no-install-recommends chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    made = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    made.set_default_timeout(1000 * SECONDS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page; whatever it asks of another machine, or any error of its scripts, fails the test."""
    made = context.new_page()
    strangers: list[str] = []
    errors: list[str] = []
    context.on("request", lambda r: strangers.append(r.url) if _is_far(r.url) else None)
    made.on("pageerror", lambda error: errors.append(error.stack or str(error)))
    yield made
    assert not strangers, f"the page asked other machines: {strangers}"
    # JupyterLab's splash screen is removed twice when the theme changes; our own scripts come from blob: or file:
    ours = [error for error in errors if "/static/lab/" not in error or "blob:" in error]
    assert not ours, f"the page's scripts failed: {ours}"


def _is_far(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost")


class Lab:
    """A running JupyterLab.

    Attributes:
        folder: its root; notebooks are put here.
        address: where it listens.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self._token = folder, secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        settings = {"ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0}
        settings |= {"IdentityProvider.token": self._token, "ServerApp.root_dir": str(folder)}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", "--allow-root"]
        command += [*(f"--{key}={value}" for key, value in settings.items()), "--LabApp.extension_manager=readonly"]
        self._process = subprocess.Popen(
            command, env=_environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._wait()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._said.put(line)

    def _wait(self) -> None:
        said = []
        while not said or "is running at" not in said[-1]:
            try:
                said.append(self._said.get(timeout=SECONDS))
            except queue.Empty:
                self.close()
                raise AssertionError("JupyterLab does not start:\n" + "".join(said)) from None

    @contextmanager
    def notebook(self, page: Page, name: str) -> Iterator[None]:
        """Show a notebook of the folder with a kernel that is ready; the kernel ends with it."""
        page.goto(f"{self.address}/lab/workspaces/w{secrets.token_hex(4)}/tree/{name}?token={self._token}")
        page.wait_for_function(f"() => {_SESSION}?.session?.kernel?.connectionStatus === 'connected'")
        yield
        page.evaluate(f"() => {_SESSION}.shutdown()")

    def run_all(self, page: Page) -> None:
        """Run all cells to their end; an error in one of them fails."""
        outputs = page.evaluate(
            "async () => { await jupyterapp.commands.execute('notebook:run-all-cells');"
            " const { cells } = jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON();"
            " return cells.flatMap(cell => cell.outputs ?? []); }"
        )
        errors = ["\n".join([*o["traceback"], o["evalue"]]) for o in outputs if o["output_type"] == "error"]
        assert not errors, "\n".join(errors)

    def ask(self, page: Page, expression: str) -> str:
        """What an expression is in the notebook's kernel, as its repr."""
        reply = page.evaluate(
            "async expression => (await jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute("
            "{ code: '', user_expressions: { it: expression }, store_history: false }).done).content",
            expression,
        )
        return reply["user_expressions"]["it"]["data"]["text/plain"]

    def wear(self, page: Page, theme: str) -> None:
        """Change to the light or the dark theme."""
        name = f"JupyterLab {theme.capitalize()}"
        page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
        page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def close(self) -> None:
        """End the server and its kernels."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self._listener.join(SECONDS)


def _environment(home: Path) -> dict[str, str]:
    """An environment in which nothing of the user's Jupyter is seen or changed."""
    for name, values in _SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    config = home / "config" / "labconfig" / "page_config.json"  # open3d brings an old extension: "Build recommended"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"buildCheck": False, "buildAvailable": False}), encoding="utf-8")
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    folders["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
    folders["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    return {**os.environ, **folders}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a folder with copies of the notebooks, which find the models that the project ships."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    (folder / "data").mkdir()
    if (ROOT / "data" / "models").is_dir():
        (folder / "data" / "models").symlink_to(ROOT / "data" / "models")
    running = Lab(folder, tmp_path_factory.mktemp("jupyter"))
    yield running
    running.close()
