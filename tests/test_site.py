"""The built site: whole, without warnings, and without a network."""

import fcntl
import functools
import html
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from tests import browser

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs mkdocs-material"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built once, whichever worker comes first."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, log = base / "site", base / "site.log"
    with open(base / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            command = "mkdocs build --quiet --strict --config-file .mkdocs.yml"
            done = subprocess.run(
                [sys.executable, "-m", *command.split(), "--site-dir", str(folder)],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            log.write_text(f"{done.returncode}\n{done.stderr}")
    return folder


@functools.cache
def ids(path):
    return set(re.findall(r'\bid="([^"]*)"', path.read_text("utf-8")))


def pages(site):
    # The page for what is not found has addresses of a site at the root.
    return [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def test_site_builds_without_a_warning(site):
    code, log = (site.parent / "site.log").read_text().split("\n", 1)
    assert code == "0", log
    assert "WARNING  -" not in log


def test_every_public_name_has_an_entry_which_the_index_leads_to(site):
    import tensorflow_similarity as tfsim

    index = (site / "api" / "index.html").read_text("utf-8")
    rooms = [name for name in tfsim.__all__ if not name.startswith("_")]
    assert len(rooms) > 15
    for room in rooms:
        names = getattr(tfsim, room).__all__
        assert names, room
        found = ids(site / "reference" / room / "index.html")
        for name in names:
            # A function in a module of its own name stands under both.
            plain = f"tensorflow_similarity.{room}.{name}"
            (anchor,) = {plain, f"{plain}.{name}"} & found
            assert f'href="../reference/{room}/#{anchor}"' in index, plain


def test_what_users_call_on_a_model_is_documented(site):
    found = ids(site / "reference" / "models" / "index.html")
    for method in ("index", "lookup", "calibrate", "match", "project", "save"):
        assert f"tensorflow_similarity.models.SimilarityModel.{method}" in found


def test_every_link_of_the_site_leads_somewhere(site):
    checked = 0
    for path in pages(site):
        own = path.as_uri()
        for link in set(re.findall(r'\bhref="([^"]*)"', path.read_text("utf-8"))):
            target, anchor = urldefrag(urljoin(own, html.unescape(link)))
            if not target.startswith("file:"):
                continue
            file = Path(unquote(urlsplit(target).path))
            file = file / "index.html" if file.is_dir() else file
            assert file.exists(), f"{path}: {link}"
            if anchor and file.suffix == ".html":
                assert unquote(anchor) in ids(file), f"{path}: {link}"
            checked += 1
    assert checked > 1000


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = re.compile(
        r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
        r"|<link\b[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect)[^>]*//"
    )
    for path in pages(site):
        assert not loaded.search(path.read_text("utf-8")), path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing()))
def test_pages_read_in_a_browser_light_and_dark_and_ask_no_other_host(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            for dark in (False, True):
                with browser.started(width=1400, dark=dark) as driver:
                    read_in(driver, home, dark)
        finally:
            server.shutdown()


def read_in(driver, home, dark):
    for page in ("", "quickstart/", "scale/", "api/", "reference/models/"):
        browser.visit(driver, home + page)
        scheme = driver.execute_script("return document.body.dataset.mdColorScheme")
        assert scheme == ("slate" if dark else "default")
        assert driver.execute_script(
            "return [...document.images].every(i => i.complete && i.naturalWidth)"
        )
        keep(driver, page, dark)
    # The search answers from the site's own index.
    driver.execute_script(
        "document.querySelector('.md-search__input').focus();"
        "document.querySelector('.md-search__input').value = 'TripletLoss';"
        "document.querySelector('.md-search__input').dispatchEvent("
        "new Event('keyup', {bubbles: true}))"
    )
    browser.until(
        lambda: driver.execute_script(
            "return document.querySelector('.md-search-result__link') !== null"
        )
    )
    asked = browser.requests(driver)
    assert asked
    assert [url for url in asked if not url.startswith(home)] == []
    assert browser.complaints(driver) == []


def keep(driver, page, dark):
    """A picture for who looks: SITE_PICTURES names the folder."""
    if "SITE_PICTURES" in os.environ:
        time.sleep(0.3)
        name = f"{page.strip('/').replace('/', '_') or 'home'}_{'dark' * dark}.png"
        driver.save_screenshot(str(Path(os.environ["SITE_PICTURES"]) / name))
