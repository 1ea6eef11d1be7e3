"""Markdown that others wrote, as HTML that runs nothing and fetches nothing."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

FRONT_MATTER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)
"""The settings at the top of a hub model's card."""


def safe_html(markdown: str) -> str:
    """HTML inside shows as text, an image as a link to it, and only links into the web are links."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    tokens = parser.parse(FRONT_MATTER.sub("", markdown))
    for token in tokens:
        _tame_links(token.children or ())
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def _tame_links(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrGet("href") or "")
            if not href.startswith(("https://", "http://")):
                token.attrs.pop("href", None)
            token.attrSet("target", "_blank")
            token.attrSet("rel", "noopener noreferrer nofollow")
