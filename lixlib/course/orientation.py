"""The strip at the top of every chapter: LIX as a whole, and the part that the chapter studies lit."""

from html import escape

BLUE, GREY, LINE, WORD = "#0072B2", "#666666", "#bbbbbb", "#333333"  # of plots/lix.mplstyle
WIDTH, HEIGHT = 920, 112
# What lights up, by the part of LIX that a chapter studies: names of PLACES
PARTS = {
    "question": ("RGB", "X", "teacher", "student"),
    "NCLD": ("NCLD",),
    "W": ("W",),
    "DWLD": ("DWLD", "TCLD", "NCLD", "W"),
    "kernel": ("align", "kernel"),
    "CKA": ("CKA",),
    "ARFD": ("ARFD", "align", "kernel", "CKA"),
    "networks": ("teacher", "student"),
    "data": ("RGB", "X"),
    "losses": ("CE", "DWLD", "ARFD"),
    "student": ("student", "features below", "logits below"),
    "X": ("X",),
}
# Boxes: left, top, width, height; a small one lies in a large one
PLACES = {
    "X": (10, 12, 46, 32),
    "RGB": (10, 68, 46, 32),
    "teacher": (88, 12, 74, 32),
    "student": (88, 68, 74, 32),
    "features": (180, 12, 70, 32),
    "features below": (180, 68, 70, 32),
    "logits": (268, 12, 56, 32),
    "logits below": (268, 68, 56, 32),
    "CE": (368, 12, 66, 88),
    "DWLD": (486, 12, 182, 88),
    "TCLD": (496, 66, 50, 24),
    "NCLD": (552, 66, 52, 24),
    "W": (610, 66, 48, 24),
    "ARFD": (720, 12, 192, 88),
    "align": (730, 66, 52, 24),
    "kernel": (788, 66, 58, 24),
    "CKA": (852, 66, 50, 24),
}
SUBTITLES = {"CE": "labels", "DWLD": "both logits", "ARFD": "both features"}
PARTS["whole"] = tuple(PLACES)
ROWS = [((56, y), (88, y)) for y in (28, 84)] + [((a, y), (a + 18, y)) for y in (28, 84) for a in (162, 250)]
ARROWS = [*ROWS, ((56, 76), (88, 36))]  # the last one hands RGB to the teacher
COMPARED = [((215, 44), (215, 68)), ((296, 44), (296, 68))]  # features with features, logits with logits


def orientation(part: str) -> str:
    """LIX on one strip, as SVG: RGB and X, both networks, and Eq. (18) with the studied part lit.

    Its title says the same in words. It is white in light and in dark pages, and needs no font of its own.

    Args:
        part: one of PARTS.

    Raises:
        ValueError: another part.
    """
    if part not in PARTS:
        raise ValueError(f"part {part!r}: expected one of {', '.join(PARTS)}")
    lit, words = PARTS[part], escape(alt(part))
    shapes = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>']
    shapes += [_line(*arrow, 'marker-end="url(#tip)"') for arrow in ARROWS]
    shapes += [_line(*pair, 'stroke-dasharray="3 3"') for pair in COMPARED]
    shapes += [_box(name, name in lit) for name in PLACES]
    shapes += [_words(346, 61, "L =", 16), _words(460, 61, "+ λ", 16, "L"), _words(694, 61, "+ λ", 16, "F")]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{words}" font-family="system-ui, sans-serif" text-anchor="middle">\n'
        f"<title>{words}</title>\n"
        '<marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0L6 3L0 6z" fill="{GREY}"/></marker>\n' + "\n".join(shapes) + "\n</svg>\n"
    )


def alt(part: str) -> str:
    """The strip in words."""
    studied = "all of it" if part == "whole" else ", ".join(PARTS[part]).replace("below", "of the student")
    return f"LIX: RGB, X, teacher, student, and L = CE + DWLD + ARFD. Lit: {studied}."


def _box(name: str, lit: bool) -> str:
    x, y, width, height = PLACES[name]
    large = name in SUBTITLES
    fill, colour, edge = ("#ffffff", WORD, LINE)
    if lit:
        fill, colour, edge = ("#d9e9f4" if large else BLUE), (WORD if large else "#ffffff"), BLUE
    middle = x + width / 2
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}" stroke="{edge}"'
    frame += ' stroke-width="2"/>' if lit else "/>"
    if not large:
        return frame + _words(middle, y + height / 2 + 4.5, name.split()[0], 13, colour=colour)
    title = _words(middle, y + 22, name, 15, colour=BLUE if lit else colour, weight=' font-weight="bold"')
    return frame + title + _words(middle, y + 40, SUBTITLES[name], 12, colour=WORD if lit else GREY)


def _line(start: tuple[int, int], end: tuple[int, int], look: str) -> str:
    return f'<path d="M{start[0]} {start[1]}L{end[0]} {end[1]}" stroke="{GREY}" {look}/>'


def _words(x: float, y: float, text: str, size: int, below: str = "", colour: str = WORD, weight: str = "") -> str:
    """A word, with an index below the line if there is one."""
    index = f'<tspan dy="5" font-size="11">{below}</tspan>' if below else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}"{weight}>{text}{index}</text>'
