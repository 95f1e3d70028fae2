"""A headless Chromium for the tests that drive a page."""

import contextlib
import json
import shutil
import tempfile
import time
from pathlib import Path

# Nothing of the browser's own may ask the network; no graphics card is assumed.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def missing():
    """What is missing to drive a browser, with the cure; None if nothing is."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install selenium"
    if not any(map(shutil.which, _NAMES)) or not shutil.which("chromedriver"):
        return "no Chromium here: apt-get install chromium chromium-driver"
    return None


@contextlib.contextmanager
def started(width=1100, height=800, dark=False):
    """A browser with an empty profile; ends with the block."""
    reason = missing()
    if reason:
        raise RuntimeError(f"A browser cannot be driven: {reason}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, _NAMES)))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for option in (*_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.add_argument(f"--window-size={width},{height}")
        options.set_capability(
            "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
        )
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            driver.get("about:blank")
            # What the browser's own first page has asked for.
            driver.get_log("performance")
            scheme = [{"name": "prefers-color-scheme", "value": "dark"}] * dark
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            yield driver
        finally:
            driver.quit()


def requests(driver):
    """Addresses that pages have asked for since the last call, data URIs left out."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return [url for url in found if not url.startswith(("data:", "blob:"))]


def complaints(driver):
    """Errors in the console since the last call.

    Warnings are the browser's own: of the drawing without a graphics card.
    """
    return [
        entry["message"]
        for entry in driver.get_log("browser")
        if entry["level"] == "SEVERE"
    ]


def until(condition, seconds=30.0):
    """Waits for a condition; its first true value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value, "the page did not come to it"
            return value
        time.sleep(0.03)


def visit(driver, url):
    """Opens a page and waits until all of it is there.

    `get` may come back while the parser is still in the page.
    """
    driver.get(url)
    loaded = (
        "return document.readyState === 'complete' && location.href !== 'about:blank'"
    )
    until(lambda: driver.execute_script(loaded), seconds=60)


class Page:
    """The projector's page in a browser.

    Args:
        driver: the browser.
        url: where the page is; None if it is open already.
    """

    def __init__(self, driver, url=None):
        self.driver = driver
        if url is not None:
            visit(driver, url)
        self.ready()

    def ready(self):
        until(lambda: self.run("return typeof projector !== 'undefined'"))
        self.run_later("projector.then(p => { window.page = p; done(); })")
        self.run_later("page.pictures.sheet ? page.pictures.ready.then(done) : done()")
        self.run_later("requestAnimationFrame(() => requestAnimationFrame(done))")

    def run(self, program, *arguments):
        return self.driver.execute_script(program, *arguments)

    def run_later(self, program):
        """A program that calls `done` when it is at its end."""
        self.driver.set_script_timeout(60)
        return self.driver.execute_async_script(f"const done = arguments[0]; {program}")

    def place(self, i):
        """Where point i is in the window."""
        place = self.run("return page.place(arguments[0])", i)
        return round(place["x"]), round(place["y"])

    def mouse(self):
        from selenium.webdriver.common.action_chains import ActionChains

        return _Mouse(ActionChains(self.driver, duration=10))

    def hover(self, i):
        x, y = self.place(i)
        self.mouse().to(x - 3, y - 3).to(x, y).perform()

    def click(self, i):
        self.mouse().to(*self.place(i)).click().perform()

    def text(self, selector):
        return self.run(
            "const found = document.querySelector(arguments[0]);"
            "return found && !found.hidden ? found.innerText : ''",
            selector,
        )

    def save(self, path: Path):
        self.driver.save_screenshot(str(path))


class _Mouse:
    """Pointer actions by places in the window."""

    def __init__(self, chain):
        self.chain = chain
        self.pointer = chain.w3c_actions.pointer_action

    def to(self, x, y):
        self.pointer.move_to_location(x, y)
        return self

    def click(self):
        self.pointer.pointer_down().pointer_up()
        return self

    def down(self):
        self.pointer.pointer_down()
        return self

    def up(self):
        self.pointer.pointer_up()
        return self

    def perform(self):
        self.chain.w3c_actions.perform()
