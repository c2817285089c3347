"""Hooks of mkdocs: what the site holds besides docs/, `make docs` runs them.

The site mirrors the repository: README.md is its first page, every notebook is a page with its committed outputs, and a
page of the API is made for each package in `PACKAGES`. Links between files of the repository are rewritten to the pages
of the site; a file that a page links, and that is no page itself, is shown as it is. Formulas become MathML, so that
nothing is fetched when the site is read.
"""

import base64
import importlib
import inspect
import pkgutil
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
# Pages that are not in docs/, and their place in the site; notebooks are pages, too
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "results/README.md": "results/how.md",
    "results/history/README.md": "results/history.md",
    "notebooks/middlebury/README.md": "notebooks/middlebury/about.md",
}
PACKAGES = (
    *("functional", "nets", "distillers", "data", "training", "metrics", "checkpoints"),
    *("lab", "plots", "course", "core"),
)
# How much a page counts in the search: one that explains a word comes before those that use it
BOOSTS = {"glossary.md": 30.0, "data_of_your_own.md": 6.0, "index.md": 3.0}
BOOST_OF_DOCS = 3.0
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".json": "json", ".jsonl": "json"}
PICTURES = (".png", ".jpg", ".svg", ".webp")
CODE = re.compile(r"(^ *(`{3,})[^\n]*\n.*?^ *\2`*$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=[^\s$])(.+?)(?<=[^\s\\])\$(?![\d$])", re.DOTALL)
FORMULA_IN_ID = re.compile(r"-?formula\d+")
formulas: list[str] = []  # as MathML; "formulaN." in a page is the one at place N until the page is HTML


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files of the repository, and what they link."""
    formulas.clear()
    docs = {f"docs/{file.src_uri}": file.src_uri for file in files.documentation_pages()}
    chapters = {f"notebooks/{path.name}": f"notebooks/{path.stem}.md" for path in notebooks()}
    pages = docs | PAGES | chapters
    linked: dict[str, str] = {}
    for source, uri in pages.items():
        path = ROOT / source
        if source in chapters:
            text, pictures = notebook_page(nbformat.read(path, as_version=4), path.stem)
            for name, content in pictures.items():
                files.append(File.generated(config, f"notebooks/{name}", content=content))
        else:
            text = path.read_text(encoding="utf-8")
        text = outside_code(text, lambda part, at=(source, uri): rewrite_links(part, *at, pages, linked))
        text = outside_code(text, lambda part: FORMULA.sub(_keep, part))
        if uri in files.src_uris:
            files.remove(files.src_uris[uri])
        files.append(File.generated(config, uri, content=text))
    for source, uri in linked.items():
        if uri not in files.src_uris:
            content = source_page(source) if uri.endswith(".md") else (ROOT / source).read_bytes()
            files.append(File.generated(config, uri, content=content))
    for name in PACKAGES:
        files.append(File.generated(config, f"api/{name}.md", content=api_page(f"lixlib.{name}")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Say how much the page counts in the search."""
    uri = page.file.src_uri
    boost = BOOSTS.get(uri, BOOST_OF_DOCS if (ROOT / "docs" / uri).is_file() else 1.0)
    page.meta.setdefault("search", {})["boost"] = boost
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the formulas back into the page and its table of contents, and leave them out of the ids of its sections."""
    for item in _items(page.toc):
        item.title = re.sub(r"formula(\d+)\.", lambda found: _text(formulas[int(found[1])]), item.title)
        item.id = FORMULA_IN_ID.sub("", item.id)
    html = re.sub(r'(?:id="|href="#)[^"]*', lambda found: FORMULA_IN_ID.sub("", found[0]), html)
    return re.sub(r"formula(\d+)\.", lambda found: formulas[int(found[1])], html)


def notebooks() -> list[Path]:
    """The chapters, in reading order."""
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def notebook_page(notebook: NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook with its outputs as Markdown, and its pictures by the path beside it that the page shows them from."""
    parts, pictures = [], {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":  # Python-Markdown reads Markdown in HTML where it is told to
            parts.append(re.sub(r"<(details|summary)>", r'<\1 markdown="1">', cell.source))
        elif cell.source:
            parts.append(_fence(cell.source, "python"))
        for place, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data:
                file = f"{name}/{number}-{place}.png"
                pictures[file] = base64.b64decode(data["image/png"])
                alt = cell.metadata.get("alt", "What the cell above draws")
                parts.append(f"![{alt}]({file}){{ .output }}")
            elif "text/html" in data:
                parts.append(f'<div class="output">\n{data["text/html"]}\n</div>')
            elif "text/markdown" in data:
                parts.append(f'<div class="output" markdown="1">\n\n{data["text/markdown"]}\n\n</div>')
            else:  # a stream, or a value; a widget has a picture or a text beside it
                parts.append(_fence(output.get("text") or data["text/plain"], "{ .text .output }"))
    return "\n\n".join(parts) + "\n", pictures


def rewrite_links(text: str, source: str, uri: str, pages: dict[str, str], linked: dict[str, str]) -> str:
    """The text of a page with its links to files of the repository as links of the site.

    Args:
        source: the page's path in the repository, which its links are relative to.
        uri: its place in the site.
        pages: the place of every page by its path in the repository.
        linked: takes the place of every other file that is linked.

    Raises:
        FileNotFoundError: a link to a file that the repository does not have.
    """

    def link(found: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        if path.startswith("notebooks/") and path.endswith(PICTURES) and not (ROOT / path).exists():
            return found[0]  # a picture that a notebook draws
        if (ROOT / path).is_dir():
            path += next(f"/{name}" for name in ("README.md", "__init__.py") if (ROOT / path / name).exists())
        if not (ROOT / path).is_file():
            raise FileNotFoundError(f"{source} links {found[1]}, and the repository has no {path}: correct the link")
        target = pages.get(path) or linked.setdefault(path, _place(path))
        place = re.sub(r"^#L(\d+)$", r"#__codelineno-0-\1", found[2] or "")  # a line, as GitHub and as pymdownx name it
        return f"]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{place})"

    return LINK.sub(link, text)


def source_page(path: str) -> str:
    """A file of the repository as it is, on a page of its own."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = f'{{ .{LANGUAGES.get(Path(path).suffix, "text")} linenums="1" }}'
    return f"---\nhide: [toc]\nsearch:\n  exclude: true\n---\n# {path}\n\n{_fence(text, language)}\n"


def api_page(name: str) -> str:
    """What a package offers, for mkdocstrings: the names in its `__all__`, or its modules, or the module itself."""
    package = importlib.import_module(name)
    parts = [f"# {name}"]
    if not hasattr(package, "__path__"):
        return "\n\n".join([*parts, _module(name, 2)]) + "\n"
    parts.append((inspect.getdoc(package) or "").strip())
    if hasattr(package, "__all__"):
        parts += _offered(package)
    else:
        modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
        parts += [f"## {name}.{module}\n\n{_module(f'{name}.{module}', 3)}" for module in modules if module[0] != "_"]
    return "\n\n".join(parts) + "\n"


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change a Markdown text, but for what stands between backticks."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def _offered(package: ModuleType) -> Iterator[str]:
    """Each class and function of `__all__`, under the name that it is imported by."""
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            path = f"{value.__module__}.{value.__qualname__}"
            yield f"::: {path}\n    options:\n      heading: {package.__name__}.{name}\n      toc_label: {name}"


def _module(name: str, level: int) -> str:
    """All that a module offers, without a heading of its own."""
    options = {"heading_level": level, "show_root_heading": "false", "show_root_toc_entry": "false"}
    return "\n".join([f"::: {name}", "    options:", *(f"      {key}: {value}" for key, value in options.items())])


def _place(path: str) -> str:
    """Where the site shows a file that is no page: pictures where they lie, everything else as code."""
    if path.endswith(PICTURES):
        return path.removeprefix("docs/")
    return f"files/{path}.md"


def _fence(text: str, language: str) -> str:
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _keep(found: re.Match) -> str:
    """Keep a formula as MathML; what stands for it passes through Markdown as a word."""
    display = "block" if found[1] else "inline"
    formulas.append(convert(found[1] or found[2], display=display))
    return f"formula{len(formulas) - 1}."


def _items(toc) -> Iterator:
    for item in toc:
        yield item
        yield from _items(item.children)


def _text(mathml: str) -> str:
    return re.sub("<[^>]+>", "", mathml)
