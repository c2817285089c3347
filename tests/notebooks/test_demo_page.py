"""`make explore`: every demo is on the page with all that it needs, and the page works in a real browser."""

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import hands
import pytest
from playwright.sync_api import Page, sync_playwright

from tools.dev import demo_page
from tools.dev.demo_page import Chapter, demos, missing, needed, page, sources
from tools.dev.execute_notebooks import notebook_files

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome", "chromium-browser"))), None)
SECONDS = 300  # for anything, on a busy machine
OPENED = {  # in the browser: a figure that is touched, and a slider
    "03.1": lambda panel: hands.positions(panel.locator(".lix-touch"))[0][1](),
    "05.1": lambda panel: panel.locator(".noUi-handle").first.press("End"),
}
ANOTHER = "([panel, before]) => { const shown = panel.querySelector('img')?.src; return shown && shown !== before; }"


def test_every_chapters_demos_are_there_in_their_order():
    numbers = [demo.number for demo in demos()]
    assert numbers == sorted(numbers, key=lambda number: tuple(map(int, number.split("."))))
    calls = sum(demo_page.calls_explore(source) for path in notebook_files() for source in sources(path.stem))
    assert len(numbers) == len(set(numbers)) == calls
    text = "\n".join(cell.source for cell in page(demos()).cells)
    assert all(f"button('{number}')" in text for number in numbers) and "](0" not in text


def test_every_cell_of_the_page_runs_and_gives_a_button(monkeypatch):
    monkeypatch.setattr("tools.dev.demo_page.display", lambda *shown: buttons.append(shown[0].description))
    buttons, names = [], {}
    for cell in page(demos()).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert len(buttons) == len(demos())
    heavy = [told.removesuffix(", after minutes of training") for told in buttons if "training" in told]
    assert heavy == ["Open demo 09.1", "Open demo 09.2", "Open demo 15.2"]
    assert "in passing: 09.1, 09.2, 15.2." in page([]).cells[0].source


@pytest.mark.parametrize("demo", demos(), ids=lambda demo: demo.number)
def test_what_a_demo_needs_is_complete(demo):
    assert missing(sources(demo.chapter), demo.cell) == set()


def test_only_what_a_demo_needs_is_run():
    cells = ["import math", "a = 1", "b = 2", "c = []", "def f():\n    return a + c[0]", "c.append(math.pi)", "f()"]
    assert needed(cells, 6) == [0, 1, 3, 4, 5, 6]
    assert missing(["x = 1", "print(x, y)"], 1) == {"y"}
    assert missing(["z = [w for v in (1, 2) if (w := v)]", "print(w)"], 1) == set()


def test_a_chapter_shows_its_demo_and_nothing_else(monkeypatch, capsys):
    monkeypatch.setenv("LIX_HEADLESS", "1")
    shown = []
    monkeypatch.setattr("lixlib.course.explore.display", shown.append)
    (demo,) = (demo for demo in demos() if demo.number == "03.1")
    Chapter(demo.chapter).show(demo)
    assert len(shown) == 1 and capsys.readouterr().out == ""


@pytest.fixture
def opened(tmp_path):
    """The page with some demos, and what the browser asked other hosts for."""
    if not BROWSER:
        pytest.skip("no chromium or Chrome on the PATH (Debian: apt install chromium)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mine = ("PYTEST_", "MPLBACKEND", "JUPYTER", "LIX_HEADLESS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_DATA_DIR": str(tmp_path / secrets.token_hex(4))}
    chosen = [demo for demo in demos() if demo.number in OPENED]
    log = tmp_path / "voila.log"
    with log.open("w") as output:
        options = ("--no-browser", f"--port={port}", "--Voila.port_retries=0")
        server = demo_page.serve(tmp_path, chosen, *options, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/static/voila.js", log)
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=BROWSER, args=flags)
            tab = browser.new_page(viewport={"width": 1200, "height": 1000})
            tab.set_default_timeout(1000 * SECONDS)
            elsewhere = []
            tab.on("requestfinished", lambda request: elsewhere.append(request.url))
            page = tab.goto(f"http://127.0.0.1:{port}/")
            assert page.headers["content-security-policy"] == demo_page.POLICY, "its settings are read"
            yield tab, elsewhere
            tab.screenshot(path=tmp_path / "page.png", full_page=True)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)


@pytest.mark.notebook
@pytest.mark.slow
def test_the_page_opens_and_a_control_draws_anew(opened):
    tab, elsewhere = opened
    for place, (number, move) in enumerate(OPENED.items()):
        tab.get_by_role("button", name=f"Open demo {number}").click()
        panel = tab.locator(".widget-interact").nth(place)
        panel.locator("img").wait_for()
        before = panel.locator("img").get_attribute("src")
        move(panel)
        tab.wait_for_function(ANOTHER, arg=[panel.element_handle(), before])
        assert errors(tab) == [], f"demo {number}"
    hosts = {url.split("/")[2] for url in elsewhere if url.startswith("http")}
    assert {host.split(":")[0] for host in hosts} == {"127.0.0.1"}


def errors(tab: Page) -> list[str]:
    found = tab.locator(
        "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    )
    return [text for text in found.all_inner_texts() if text.strip()]
