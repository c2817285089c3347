"""JupyterLab, in a real browser: every widget of every notebook, at both ends of each of its controls.

Nothing else notices a widget that breaks after its first picture: ipywidgets prints what its callback raises into the
panel, and the cell counts as fine. Needs an installed chromium or Chrome; `pytest -rP` prints how long a step takes.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from itertools import cycle
from pathlib import Path

import hands
import kernels
import nbformat
import pytest
from notebook_code import demo_cells, demos_alone
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from playwright.sync_api import Error, Page, sync_playwright

from tools.dev.execute_notebooks import FOLDER, notebook_files

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome", "chromium-browser"))), None)
pytestmark = [pytest.mark.notebook, pytest.mark.slow]
if not BROWSER:
    pytest.skip("no chromium or Chrome on the PATH (Debian: apt install chromium)", allow_module_level=True)

SECONDS_TO_START = 60
SECONDS_TO_RUN = 900  # all cells of one notebook
SECONDS_TO_DRAW = 60
SECONDS_TO_SHOW = 5  # in the page, what has arrived from the kernel
# From the key to the new picture, the fastest of MOST_STEPS: a busy machine delays the others. Steps take 0.1 to 0.35 s
# where they were made, and up to 0.46 s on two old cores without AVX-512.
SECONDS_PER_STEP = 0.8
MOST_STEPS = 15
FLAGS = "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run --disable-sync"
OFFLINE = "--disable-background-networking --disable-component-update"
FORKS = (kernels.__file__,)  # JupyterLab whose kernels begin with the large packages loaded
SETTINGS = {  # of JupyterLab: every cell is on the page from the start, and nothing is fetched
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

# Run by wait_for_function, whose timeout also bounds what they await.
READY = "() => window.jupyterapp?.commands.hasCommand('docmanager:open') && jupyterapp.restored.then(() => true)"
OPEN = """async path => {
  const {context, sessionContext} = await jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  await Promise.all([context.ready, sessionContext.ready]);
  return Boolean(sessionContext.session?.kernel);
}"""
CLOSE = "() => jupyterapp.shell.currentWidget.dispose()"  # whatever is not saved
RUN_ALL = """async () => {
  const {sessionContext} = jupyterapp.shell.currentWidget;
  const unanswered = window.unanswered = new Set();
  sessionContext.session.kernel.anyMessage.connect((kernel, {msg, direction}) => {
    if (direction === 'send' && msg.header.msg_type === 'comm_msg') unanswered.add(msg.header.msg_id);
    if (msg.content.execution_state === 'idle') unanswered.delete(msg.parent_header.msg_id);
  });
  await jupyterapp.commands.execute('notebook:run-all-cells');
  return true;
}"""
RUN_CELL = """async index => {
  jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  await jupyterapp.commands.execute('notebook:run-cell');
  return true;
}"""
# Widgets have a thread of their own in the kernel. First wait until it has dealt with every change, then until the page
# has dealt with what came back: an answer to a request sent now is handled after it.
SETTLE = """async () => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const frame = () => new Promise(requestAnimationFrame);
  const busy = () => unanswered.size || document.querySelector('.lix-touch[data-busy]');
  do {
    await frame();
    if (busy()) continue;
    await kernel.requestExecute({code: '', silent: true, store_history: false}).done;
    await frame();
  } while (busy());
  return true;
}"""
# Errors that a reader would see: tracebacks anywhere, and whatever a panel writes to stderr.
ERRORS = """() => [...document.querySelectorAll('.jp-Notebook [data-mime-type]')]
  .filter(output => output.dataset.mimeType === 'application/vnd.jupyter.error'
    || output.dataset.mimeType === 'application/vnd.jupyter.stderr'
       && (output.closest('.widget-interact') || output.textContent.includes('Traceback')))
  .map(output => output.textContent.trim())"""
PICTURES = """cells => cells.map(index => [...document.querySelectorAll('.jp-Notebook .jp-Cell')[index]
  .querySelectorAll('.widget-interact')].map(panel => panel.querySelectorAll('img').length))"""
WATCH = """panel => {
  const shown = () => [...panel.querySelectorAll('img')].map(image => image.src).join();
  const before = shown();
  const step = window.step = {start: null, seconds: null};
  for (const kind of ['keydown', 'change', 'click', 'pointerdown'])
    panel.addEventListener(kind, () => { step.start ??= performance.now(); }, {capture: true, once: true});
  const observer = new MutationObserver(() => {
    if (!shown() || shown() === before) return;
    step.seconds = (performance.now() - step.start) / 1000;
    observer.disconnect();
  });
  observer.observe(panel, {childList: true, subtree: true, attributes: true});
}"""


class Lab:
    """One JupyterLab and one browser; `close` ends both, and every kernel."""

    def __init__(self, scratch: Path):
        self.root = scratch / "root"
        self.log = scratch / "jupyter.log"
        (self.root / FOLDER.name).mkdir(parents=True)
        for beside in (FOLDER.parent, FOLDER):  # a notebook's relative paths and links lead to the same files
            for path in beside.glob("[!.]*"):
                if path != FOLDER and path.suffix != ".ipynb":
                    (self.root / path.relative_to(FOLDER.parent)).symlink_to(path)
        for name, values in SETTINGS.items():
            file = scratch / f"config/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        folders = {f"JUPYTER_{name}_DIR": str(scratch / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        mine = ("PYTEST_", "MPLBACKEND", "JUPYTER", "LIX_HEADLESS")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        environment |= folders | {"JUPYTER_PREFER_ENV_PATH": "1", "LIX_RUNS": str(scratch / "runs")}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.token = f"http://127.0.0.1:{port}", secrets.token_hex()
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
        options += [f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.root}"]
        options += ["--LabApp.expose_app_in_browser=True", "--ServerApp.shutdown_no_activity_timeout=600"]
        options += ["--MappingKernelManager.cull_idle_timeout=300"]  # should this process be killed before it closes
        with self.log.open("w") as log:
            self.server = subprocess.Popen(
                [sys.executable, *(FORKS if sys.platform == "linux" else ("-m", "jupyterlab")), *options],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.playwright = self.browser = self.page = None

    def open(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.answers():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab does not answer:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)
        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(
            executable_path=BROWSER, args=f"{FLAGS} {OFFLINE}".split(), timeout=1000 * SECONDS_TO_START
        )
        self.page = self.browser.new_page(viewport={"width": 1280, "height": 1000})  # one for every notebook
        self.page.set_default_timeout(1000 * SECONDS_TO_DRAW)
        self.page.goto(f"{self.url}/doc?token={self.token}", timeout=1000 * SECONDS_TO_START)
        self.page.wait_for_function(READY, timeout=1000 * SECONDS_TO_START)

    def answers(self) -> bool:
        try:
            return bool(self.request("/api/status"))
        except OSError:
            return False

    def request(self, path: str, method: str = "GET") -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def end_kernels(self) -> None:
        for kernel in json.loads(self.request("/api/kernels")):
            self.request(f"/api/kernels/{kernel['id']}", "DELETE")

    def close(self) -> None:
        try:
            if self.browser:
                self.browser.close()
            if self.playwright:
                self.playwright.stop()
        finally:
            self.server.terminate()  # ends its kernels first
            try:
                self.server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self.server.pid, signal.SIGKILL)
                self.server.wait(timeout=20)


class Notebook:
    """One notebook in the browser: run it, move its controls, and fail with a picture of what was there."""

    def __init__(self, page: Page, name: str, cells: list[int], pictures: Path):
        self.page, self.name, self.cells, self.pictures = page, name, cells, pictures
        self.steps: dict[str, list[float]] = {}  # seconds of each step that changed the picture, by slider

    def check(self) -> None:
        """Run all cells, then move every control of every panel to its ends, from the defaults of a fresh panel."""
        self.wait(RUN_ALL, SECONDS_TO_RUN, "run all cells")
        self.settle("after all cells have run")
        for number, cell in enumerate(self.cells, 1):
            fresh = True
            for panel in range(self.panels(cell)):
                for control in range(self.controls(cell, panel).count()):
                    if not fresh:
                        self.wait(RUN_CELL, SECONDS_TO_RUN, f"run demo {number} again", cell)
                        self.settle(f"after demo {number} has run again")
                    self.move_to_its_ends(cell, panel, control)
                    fresh = False

    def move_to_its_ends(self, cell: int, panel: int, index: int) -> None:
        control = self.controls(cell, panel).nth(index)
        label = control.locator("label").first
        name = label.inner_text().strip() if label.count() else f"control {index + 1}"
        where = f"demo {self.cells.index(cell) + 1}, control {name!r}"
        positions = self.positions(control, where)
        seconds = [self.step(cell, panel, where, *position) for position in positions]
        changed = [each for each in seconds if each]
        if not changed:
            self.fail(where, "the picture is the same at both ends")
        if control.locator(".noUi-handle, .lix-touch").count():
            more = cycle(positions)
            while min(changed) > (limit := seconds_per_step()) and len(changed) < MOST_STEPS:
                changed.append(self.step(cell, panel, where, *next(more)) or changed[-1])
            if min(changed) > limit:
                self.fail(where, f"the fastest of {len(changed)} steps took {min(changed):.2f} s, limit {limit:.2f} s")
            self.steps[where] = changed

    def positions(self, control, where):
        """Ways to move one control: a name, and a function that does it. The first position comes before the last."""
        handles = control.locator(".noUi-handle")
        choices = control.locator("select option")
        boxes = control.locator("input[type=checkbox]")
        buttons = control.locator("button, input[type=radio]")
        field = control.locator("textarea")
        if handles.count():
            low, high = handles.first, handles.last  # the same one, unless it selects a range
            keys = [(low, "Home"), (low, "ArrowRight"), (high, "End")]
            return [(key, lambda handle=handle, key=key: handle.press(key)) for handle, key in keys]
        if (touch := control.locator(".lix-touch")).count():
            return hands.positions(touch)
        if "widget-upload" in (control.get_attribute("class") or ""):
            return hands.uploads(control)
        if choices.count():
            select, last = control.locator("select"), choices.count() - 1
            return [(f"choice {i + 1}", lambda i=i: select.select_option(index=i)) for i in (0, last)]
        if boxes.count():
            return [(str(value), lambda value=value: boxes.set_checked(value)) for value in (False, True)]
        if field.count():
            return [(f"{words!r}", lambda words=words: (field.fill(words), field.blur())) for words in ("no code", "")]
        if buttons.count() > 1:
            return [(f"choice {i + 1}", buttons.nth(i).click) for i in (0, buttons.count() - 1)]
        self.fail(
            where,
            "no slider, list, box, field, buttons or picture to touch: teach this test how to move it",
        )

    def step(self, cell: int, panel: int, where: str, position: str, move) -> float | None:
        """Move once; the seconds until the picture had changed, or None if it stayed the same."""
        self.panel(cell, panel).evaluate(WATCH)
        move()
        self.settle(f"{where} at {position}")
        return self.page.evaluate("window.step.seconds")

    def settle(self, where: str) -> None:
        """Wait until nothing is being drawn; then every panel has exactly one picture, and nothing has failed."""
        self.wait(SETTLE, SECONDS_TO_DRAW, where)
        deadline = time.monotonic() + SECONDS_TO_SHOW
        while True:
            errors, pictures = self.page.evaluate(ERRORS), self.page.evaluate(PICTURES, self.cells)
            if errors:
                self.fail(where, errors[0][-2000:])
            if all(counts and set(counts) == {1} for counts in pictures):
                return
            if time.monotonic() > deadline:
                self.fail(where, f"pictures in each panel of the demos: {pictures}, expected one in each")
            self.page.wait_for_timeout(50)

    def cell(self, cell: int):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell)

    def panels(self, cell: int) -> int:
        return self.cell(cell).locator(".widget-interact").count()

    def panel(self, cell: int, panel: int):
        return self.cell(cell).locator(".widget-interact").nth(panel)

    def controls(self, cell: int, panel: int):
        return self.panel(cell, panel).locator(":scope > :not(.widget-output)")

    def wait(self, script: str, seconds: float, where: str, argument=None) -> None:
        failure = None
        try:
            self.page.wait_for_function(script, arg=argument, timeout=1000 * seconds)
        except Error as error:
            failure = error.message.splitlines()[0]
        if failure:
            self.fail(where, f"{failure} (limit: {seconds} s)")

    def fail(self, where: str, what: str) -> None:
        picture = self.pictures / f"{Path(self.name).stem}.png"
        self.page.screenshot(path=picture, timeout=1000 * SECONDS_TO_DRAW)
        pytest.fail(f"{self.name}, {where}: {what}\nScreenshot: {picture}", pytrace=False)


def seconds_per_step() -> float:
    """The limit for one step, longer where more processes want to run than there are cores."""
    return SECONDS_PER_STEP * max(1.0, os.getloadavg()[0] / os.cpu_count())


WITH_DEMO = [path.name for path in notebook_files() if demo_cells(nbformat.read(path, as_version=4))]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.open()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def check(lab, tmp_path):
    """A function that checks one notebook and returns it."""

    def check(name: str, notebook: nbformat.NotebookNode) -> Notebook:
        notebook = demos_alone(notebook)
        nbformat.write(notebook, lab.root / FOLDER.name / name)
        opened = Notebook(lab.page, name, demo_cells(notebook), tmp_path)
        opened.wait(OPEN, SECONDS_TO_START, "open", f"{FOLDER.name}/{name}")
        try:
            opened.check()
            return opened
        finally:
            lab.page.evaluate(CLOSE)
            lab.end_kernels()

    return check


@pytest.mark.parametrize("name", WITH_DEMO)
def test_every_control_draws_one_new_picture(name, check, record_property):
    notebook = parameterize_notebook(load_notebook_node(str(FOLDER / name)), {"quick": True})
    steps = check(name, notebook).steps
    for where, seconds in steps.items():
        print(f"{name}, {where}: median step {statistics.median(seconds):.2f} s, fastest {min(seconds):.2f} s")
        record_property(where, seconds)


DRAW = """
from matplotlib import pyplot as plt
from lixlib.course.explore import explore

def draw(width=3, colour="red"):
    plt.figure(figsize=(width, 2), facecolor=colour).add_subplot()
"""
BROKEN = {
    "the callback fails at the slider's end": ("    assert width < 5, 'too wide'", "'width' at End: .*too wide"),
    "the callback fails at the last choice": (
        "    assert colour != 'blue', 'gloomy'",
        "'colour' at choice 2: .*gloomy",
    ),
    "two pictures": ("    if width == 2: plt.figure().add_subplot()", r"'width' at ArrowRight: pictures .*\[\[2\]\]"),
    "a slider that moves nothing": ("    plt.close(); plt.figure().add_subplot()", "'width': the picture is the same"),
}


def tiny(line: str) -> nbformat.NotebookNode:
    sources = [f"{DRAW.strip()}\n{line}", "explore(draw, width=(1, 5), colour=['red', 'blue'])"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_wrong_widget_is_noticed(wrong, check, tmp_path):
    line, message = BROKEN[wrong]
    with pytest.raises(pytest.fail.Exception, match=f"(?s)broken.ipynb, .*{message}.*Screenshot: "):
        check("broken.ipynb", tiny(line))
    assert (tmp_path / "broken.png").stat().st_size > 0


def test_a_slow_widget_is_noticed(check, monkeypatch):
    monkeypatch.setitem(globals(), "SECONDS_PER_STEP", 0.001)
    monkeypatch.setitem(globals(), "MOST_STEPS", 3)
    with pytest.raises(pytest.fail.Exception, match="'width': the fastest of 3 steps took"):
        check("slow.ipynb", tiny(""))
