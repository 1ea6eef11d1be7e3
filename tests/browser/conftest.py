"""A real Chromium, pages that may talk to this machine alone, and a served app."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import gradio as gr
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.conftest import free_port
from ui.app import look

LOCAL_HOSTS = {"127.0.0.1", "localhost", ""}
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
"""How long a test waits for what it expects: the machine may be busy with other tests."""
Serve = Callable[[gr.Blocks], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Chromium is missing: run the tests with `make test`, which installs it"
    browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser. The test fails if one of its pages asked another machine for anything, or threw."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    strangers: list[str] = []
    thrown: list[str] = []
    context.on("request", lambda request: strangers.append(request.url) if is_elsewhere(request.url) else None)
    context.on("weberror", lambda error: thrown.append(str(error.error)))
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    assert not strangers, f"the page asked other machines: {strangers}"
    assert not thrown, f"the page threw: {thrown}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    """A person closes the page before the server goes; a page that is still loading then would throw."""
    try:
        return (yield)
    finally:
        if "context" in item.funcargs:
            item.funcargs["context"].close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def serve() -> Serve:
    """`with serve(demo) as url:` launches the app as launch.py does, and ends it."""
    return served


@contextmanager
def served(demo: gr.Blocks) -> Iterator[str]:
    port = free_port()
    demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **look())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        demo.close()


def is_elsewhere(url: str) -> bool:
    return (urlsplit(url).hostname or "") not in LOCAL_HOSTS
