"""The documentation: what it names exists, its links lead somewhere, its commands are accepted, and the site builds."""

import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType
from urllib.parse import unquote

import pytest
from playwright.sync_api import TimeoutError, sync_playwright

import lixlib.cli
from tools.dev import docs_site, main_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    ROOT / "results" / "history" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CODE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
# A path of the repository begins with one of its folders, or is a file at its top
TOP = {path.name for path in ROOT.iterdir() if path.name[0] != "."} - {"site", "build", "runs"}
MADE = ("site/", "runs/")  # by commands


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_path_between_backticks_exists(page):
    words = [word for span in re.findall(r"`([^`\n]+)`", CODE.sub("", text(page))) for word in span.split()]
    paths = [word.strip("'\",;:()") for word in words if "/" in word and word.split("/")[0] in TOP]
    assert not [
        path for path in paths if not re.search(r"[*{}<>$]|\b[A-Z]+\b|\.\.\.", path) and not (ROOT / path).exists()
    ]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_name_of_the_library_exists(page):
    dotted = set(re.findall(r"\blixlib(?:\.\w+)+", text(page)))
    for package, names in re.findall(r"from (lixlib[\w.]*) import ([\w, ]*\w)", text(page)):
        dotted |= {f"{package}.{name}" for name in names.split(", ")}
    lost = []
    for name in sorted(dotted):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            lost.append(name)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\((?!\w+:)([^)\s#]+)", CODE.sub("", text(page)))
    assert not [link for link in links if not (page.parent / unquote(link)).exists()]


def commands(page: Path) -> list[list[str]]:
    """The `lix COMMAND ...` that a page shows, as words."""
    lines = "\n".join(CODE.findall(text(page))).splitlines() + re.findall(r"^    (.*)$", text(page), re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", CODE.sub("", text(page)))
    found = []
    for line in [*lines, *spans]:
        match = re.search(r"(?:^|[ /$])(?:lix|lixlib\.cli) (\w+ .*)", line)
        if (
            match and "$ lix" not in line and "COMMAND" not in line
        ):  # common_errors.md shows what is refused, and has a test of its own
            found.append(shlex.split(match[1], comments=True))
    return found


SHOWN = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[" ".join([ids(page), *words])[:90] for page, words in SHOWN])
def test_every_command_shown_has_the_flags_shown(page, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lix", words[0], "--help"])
    with pytest.raises(SystemExit) as stopped:
        lixlib.cli.main()
    said = capsys.readouterr().out
    assert not stopped.value.code and f"usage: lix {words[0]} " in said
    offered = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", said))
    flags = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
    assert flags <= offered


def test_pages_show_commands():
    assert len(SHOWN) > 20


def test_the_tables_of_the_results_page_are_current():
    page = text(ROOT / "docs" / "results.md")
    assert main_page.update(page, ROOT / "results") == page, "run `python -m tools.dev.readme_tables`"
    assert "| **LIX, ours** |" in page


def test_the_pages_say_what_has_not_been_run(tmp_path):
    cost = tmp_path / "cost" / "regime" / "toydrive" / "mfnet.jsonl"
    cost.parent.mkdir(parents=True)
    cost.touch()
    for mark in (main_page.MAIN, "<!-- nyuv2 -->", "<!-- length -->"):
        assert "not been run yet" in main_page.update(f"{mark}\n<!-- end -->", tmp_path), mark
    assert "Not all of the arms" in main_page.update("<!-- more weight -->\n<!-- end -->", tmp_path)
    assert "| KD | – |" in main_page.update("<!-- is it x -->\n<!-- end -->", tmp_path)


def test_the_readme_shows_the_main_table_in_short():
    shown = main_page.update("<!-- summary --><!-- end -->", ROOT / "results").splitlines()[1:-1]
    whole = main_page.update("<!-- main --><!-- end -->", ROOT / "results")
    heads, _, *rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in shown)
    assert tuple(heads) == main_page.HEADS
    assert {"teacher", "student, four times", "**LIX, ours**"} <= {row[0] for row in rows}
    assert all(f"| {row[0]} | {row[1]} | {row[2]} | {row[3]} | {row[4]} |" in whole for row in rows)


class Html(HTMLParser):
    """The ids, the links and what a page loads."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.loaded, self.formulas = set(), [], [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self.formulas += tag == "math"
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get("src") or (tag == "link" and given.get("rel") in ("stylesheet", "icon")):
            self.loaded.append(given.get("src") or given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Html]:
    """The pages of the site, built as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="no mkdocs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0 and not built.stderr, built.stderr[-2000:]
    return {path: Html(path) for path in folder.rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow
def test_every_link_of_the_site_leads_to_a_page_and_a_place_in_it(site):
    lost = []
    for path, html in site.items():
        for link in html.links:
            file, _, place = unquote(link).partition("#")
            if re.match(r"\w+:", link):
                continue
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (place and target in site and place not in site[target].ids):
                lost.append(f"{path.name}: {link}")
    assert len(site) > 40 and not lost


@pytest.mark.slow
def test_the_site_loads_nothing_but_its_own_files(site):
    for path, html in site.items():
        assert not [
            url for url in html.loaded if re.match(r"\w+:|//", url) or not (path.parent / unquote(url)).exists()
        ]


@pytest.mark.slow
def test_notebooks_are_there_with_their_pictures_and_formulas(site):
    pages = {path.stem: (html, path.read_text(encoding="utf-8")) for path, html in site.items()}
    for notebook in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        html, source = pages[notebook.stem]
        pictures = [url for url in html.loaded if url.startswith(f"{notebook.stem}/")]
        assert len(pictures) == text(notebook).count('"image/png"'), notebook.name
        assert not re.search(r"formula\d+\.|\$\$", source), notebook.name
    assert pages["03_dwld_loss"][0].formulas > 120


@pytest.mark.slow
def test_a_page_of_the_api_has_what_its_package_offers(site):
    for name in docs_site.PACKAGES:
        package = importlib.import_module(f"lixlib.{name}")
        headings = shown_names(site, f"api/{name}.html")
        assert headings and not [heading for heading in headings if re.search(r"(^|\.)_", heading)], name
        if hasattr(package, "__all__"):
            offered = {each for each in package.__all__ if isinstance(getattr(package, each), type | FunctionType)}
            assert offered <= {heading.removeprefix(f"lixlib.{name}.") for heading in headings}, name
    assert {"lixlib.functional.kd_loss", "lixlib.functional.dwld_loss"} <= shown_names(site, "api/functional.html")
    assert "lixlib.checkpoints.load" in shown_names(site, "api/checkpoints.html")


def shown_names(site: dict[Path, Html], page: str) -> set[str]:
    """What the headings of a page of the API name."""
    (path,) = (path for path in site if path.as_posix().endswith(page))
    headings = re.findall(r"<h\d[^>]*>(.*?)</h\d>", text(path), re.DOTALL)
    words = [re.sub("<[^>]+>", " ", heading).replace("&para;", "").split() for heading in headings]
    return {found[0] for found in words if found}


def test_every_package_has_a_page_of_the_api():
    packages = {path.parent.name for path in (ROOT / "lixlib").glob("*/__init__.py")} | {"metrics"}
    assert packages - {"cli"} == set(docs_site.PACKAGES)  # docs/command_line.md has the commands
    menu = text(ROOT / "mkdocs.yml")
    assert all(f"- lixlib.{name}: api/{name}.md" in menu for name in docs_site.PACKAGES)


# What a newcomer looks for, and a section that the first result must show
SEARCHES = {
    "W": "glossary.html#w",
    "c": "glossary.html#confidence-c",
    "NCLD": "glossary.html#ncld",
    "lambda": "glossary.html#lambda_l-and-lambda_f",
    "unlabelled": "glossary.html#labelled-and-unlabelled-images",
    "confidence": "glossary.html#confidence-c",
    "own data": "data_of_your_own.html#from-photographs-to-a-network",
    "dkd_loss": "api/functional.html#lixlib.functional.dkd.dkd_loss",
}


@pytest.mark.slow
def test_the_search_finds_symbols_words_and_functions(site):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome", "chromium-browser"))), None)
    if not browser:
        pytest.skip("no chromium or Chrome on the PATH (Debian: apt install chromium)")
    (home,) = (path for path in site if path.name == "index.html")
    missed = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.goto(home.as_uri())
        box = page.locator(".md-search__input")
        for words, expected in SEARCHES.items():
            box.fill("")
            box.press_sequentially(words)
            file, _, place = expected.partition("#")
            link = f'a[href*="{file}"][href$="#{place}"]'
            try:  # the index is read when the box is first used
                page.wait_for_selector(f".md-search-result__item:first-child {link}", state="attached", timeout=20_000)
            except TimeoutError:
                missed.append(words)
        chromium.close()
    assert not missed
