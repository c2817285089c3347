"""Text between two marks of a Markdown page, which a program writes."""

END = "<!-- end -->"


def between(page: str, start: str, text: str) -> str:
    """The page with this text between a mark and its end.

    Raises:
        ValueError: the mark has no end.
    """
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no `{END}` after `{start}`")
    return f"{before}{start}\n{text}\n{END}{after}"
