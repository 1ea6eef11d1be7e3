"""Markdown that others wrote: it is formatted, and it can neither run nor fetch anything."""

import pytest

from ui.markdown import safe_html


def test_headings_tables_and_code_are_formatted() -> None:
    html = safe_html("# Title\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n```json\n{}\n```\n")
    assert "<h1>Title</h1>" in html
    assert "<td>2</td>" in html
    assert "<pre><code" in html


@pytest.mark.parametrize(
    "markdown",
    [
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "![x](http://10.0.0.1/x.png)",
        "![x][p]\n\n[p]: http://10.0.0.1/x.png",
        "<iframe src=//10.0.0.1></iframe>",
        "text <style>@import url(//10.0.0.1)</style>",
        '<a href="javascript:alert(1)">x</a>',
    ],
)
def test_html_and_images_become_text(markdown: str) -> None:
    html = safe_html(markdown)
    assert not any(tag in html for tag in ("<img", "<script", "<iframe", "<style", 'href="javascript'))


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "data:text/html,x", "//10.0.0.1/x", "/models", "file:///etc"]
)
def test_only_links_into_the_web_are_links(target: str) -> None:
    assert "href" not in safe_html(f"[x]({target})")


def test_a_link_opens_elsewhere_and_tells_nothing_of_this_page() -> None:
    html = safe_html("[x](https://example.org)")
    assert html == ('<p><a href="https://example.org" target="_blank" rel="noopener noreferrer nofollow">x</a></p>\n')


def test_the_settings_on_top_of_a_hub_card_are_left_out() -> None:
    assert safe_html("---\nlicense: mit\ntags: [a]\n---\n# Card\n") == "<h1>Card</h1>\n"
    assert "<hr" in safe_html("text\n\n---\n\nmore")
