"""The newcomer's walk, in a real browser: what somebody does in their first two minutes with the playground.

An admin types `/broadcast 销售部 …`, an approver presses 通过, every member of 销售部 receives the message exactly
once and nobody else does, and the admin reads the result. Then a list of people in a file, and what becomes of it.
By mouse and by keyboard, on a desk and on a phone.

    tests/run --only browser                                        as the tests run it
    newcomer.py --playground target/debug/examples/sandbox          the same by hand
    newcomer.py --page http://127.0.0.1:PORT [--show]               against a playground that is there, visibly

Screenshots of each station go to target/browser/. The page is found by its hooks for tests, `data-testid`
(composer, send, as-NAME for each persona), and by the words that people read.
"""

import argparse
import os
import re
import shutil
import sys
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "authority"))

from playground import ROOT, Connection, leave_politely, playground  # noqa: E402
from playwright.sync_api import TimeoutError as NotSeen  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

DEPARTMENT = "销售部"
COMMAND = f"/broadcast {DEPARTMENT} 明天下午三点全员会"
LIST = "周会名单.csv"

# Seconds until something that the page should show is there; the machine may be busy.
SOON = 20
# Seconds until a whole department has its message.
DELIVERED = 60
# Seconds to look whether anybody gets it a second time.
AND_NOT_AGAIN = 2

DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}

# Without these Chromium calls home at every start, and needs a sandbox that containers and root do not have.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Walk:
    """One browser, one company, and what was seen on the way."""

    def __init__(self, page, here, pictures):
        self.page, self.here, self.pictures = page, here, pictures
        self.station = 0
        self.started = time.monotonic()
        self.wrong = []
        page.set_default_timeout(SOON * 1000)
        page.on("pageerror", lambda error: self.wrong.append(f"the page's script failed: {error}"))
        page.on("request", self.note_request)

    def note_request(self, request):
        url = urllib.parse.urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname not in ("127.0.0.1", "localhost", "::1"):
            self.wrong.append(f"the page asked the outside world for {request.url}")

    def picture(self, name):
        self.station += 1
        self.page.screenshot(path=self.pictures / f"{self.station:02}-{name}.png")
        print(f"{time.monotonic() - self.started:5.1f} s  {name}", flush=True)

    def become(self, name):
        self.page.get_by_test_id(f"as-{name}").first.click()

    def composer(self):
        return self.page.get_by_test_id("composer")

    def say_by_keyboard(self, text):
        """Types and sends without a mouse."""
        self.composer().focus()
        self.page.keyboard.type(text)
        expect(self.composer()).to_have_value(text)
        for _ in range(8):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement?.dataset?.testid") == "send":
                break
        else:
            raise AssertionError("Tab does not lead from the composer to the send button")
        self.page.keyboard.press("Enter")
        expect(self.composer()).to_have_value("")

    def nothing_sticks_out(self):
        """No sideways scrolling: neither the page nor what it shows is wider than the window."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"at {self.page.viewport_size['width']} px the page is {wide} px too wide"


def people_by_id(world):
    return {person["open_id"]: person for person in world["people"]}


def audience(world, name):
    """The open_ids of everybody in the department and below it whom the bot can reach."""
    inside = {d["open_department_id"] for d in world["departments"] if d["name"] == name}
    assert len(inside) == 1, f"the company has {len(inside)} departments named {name}"
    grown = True
    while grown:
        below = {d["open_department_id"] for d in world["departments"] if d["parent"] in inside}
        grown = not below <= inside
        inside |= below
    return {
        person["open_id"]
        for person in world["people"]
        if person["available"] and not person.get("resigned") and inside & set(person["departments"])
    }


def received(here):
    """How many copies of broadcasts each person (open_id) has, those with none left out."""
    ids = {person["name"]: person["open_id"] for person in here.world()["people"]}
    # The state tells them by the person's name and, within, by batch.
    by_person = here.state()["deliveries"]["by_person"]
    counts = {ids.get(who, who): sum(b.values()) if isinstance(b, dict) else b for who, b in by_person.items()}
    return {who: count for who, count in counts.items() if count}


def the_login(walk):
    """Another admin has not authorized yet: the link on the bot's card, the consent page, and the command goes on."""
    here, page = walk.here, walk.page
    page.set_viewport_size(DESK)
    names = people_by_id(here.world())
    newcomer = next(names[who]["name"] for who in here.admins[1:] if who not in here.approvers)
    walk.become(newcomer)
    walk.say_by_keyboard("/broadcast 市场部 周五下午茶")
    login = page.get_by_role("link", name="去授权").last
    expect(login).to_be_visible(timeout=SOON * 1000)
    walk.picture("login")
    with page.expect_popup() as opened:
        login.click()
    consent = opened.value
    consent.get_by_role("link", name="授权").first.click()
    expect(consent.get_by_role("heading", name="授权成功")).to_be_visible(timeout=SOON * 1000)
    consent.screenshot(path=walk.pictures / "authorized.png")
    consent.close()
    expect(page.get_by_role("button", name="取消群发").last).to_be_visible(timeout=SOON * 1000)
    walk.picture("goes-on")


def the_menu(walk):
    """An item of the bot's menu, which writes nothing and is answered."""
    messages = walk.page.get_by_test_id("message")
    before = messages.count()
    walk.page.get_by_test_id("menu-pending").click()
    expect(messages).to_have_count(before + 1, timeout=SOON * 1000)
    expect(messages.last).to_contain_text("没有在等的群发")
    walk.picture("menu")


def the_list(walk):
    """A file from this machine with people in it, and a reply to it that is meant for them."""
    page = walk.page
    chosen = [one for one in walk.here.world()["people"] if one["available"] and not one["roles"]][:3]
    lines = ["姓名,open_id", *(f"{one['name']},{one['open_id']}" for one in chosen), ""]
    page.get_by_test_id("attach").focus()
    page.keyboard.press("Enter")
    with page.expect_file_chooser() as choosing:
        page.get_by_role("menuitem", name="文件", exact=True).click()
    choosing.value.set_files({"name": LIST, "mimeType": "text/csv", "buffer": "\r\n".join(lines).encode()})
    sent = page.get_by_test_id("message").filter(has=page.get_by_role("link", name=LIST))
    expect(sent).to_be_visible(timeout=SOON * 1000)
    sent.hover()
    sent.get_by_role("button", name="回复").click()
    walk.say_by_keyboard("/broadcast file 你好")
    preview = page.get_by_test_id("card").last
    expect(preview).to_contain_text(f"{LIST}：{len(chosen)} 行可用", timeout=SOON * 1000)
    expect(preview).to_contain_text(f"约 {len(chosen)} 人")
    expect(preview.get_by_role("button", name="取消群发")).to_be_visible()
    walk.picture("list")


def wait_for_delivery(here, before, expected):
    """Until everybody expected has one message more; then a moment longer, since twice would be worse than late."""
    names = {who: person["name"] for who, person in people_by_id(here.world()).items()}
    end = time.monotonic() + DELIVERED
    while True:
        got = received(here)
        more = {who: got.get(who, 0) - before.get(who, 0) for who in got.keys() | expected}
        missing = [names[who] for who in expected if more[who] < 1]
        if not missing:
            break
        assert time.monotonic() < end, f"after {DELIVERED} s still without the message: {'、'.join(missing[:10])}"
        time.sleep(0.2)
    time.sleep(AND_NOT_AGAIN)
    got = received(here)
    for who in got.keys() | expected:
        times, due = got.get(who, 0) - before.get(who, 0), int(who in expected)
        assert times == due, f"{names.get(who, who)} received it {times} times instead of {due}"


def the_walk(walk):
    here, page = walk.here, walk.page
    world = here.world()
    people = people_by_id(world)
    admin = people[here.admins[0]]["name"]
    approver = next(people[who]["name"] for who in here.approvers if who != here.admins[0])
    expected = audience(world, DEPARTMENT)
    assert expected, f"{DEPARTMENT} has nobody to reach"
    before = received(here)

    page.goto(here.page_url)
    expect(walk.composer()).to_be_visible()
    walk.become(admin)
    walk.nothing_sticks_out()
    walk.picture("opened")

    walk.say_by_keyboard(COMMAND)
    expect(page.get_by_text(COMMAND).first).to_be_visible()
    expect(page.get_by_role("button", name="取消群发").last).to_be_visible(timeout=SOON * 1000)
    expect(page.get_by_text("定时发送：选择时间").last).to_be_visible()
    walk.picture("asked")
    assert received(here) == before, "something was sent before anybody approved"

    walk.become(approver)
    approve = page.get_by_role("button", name="通过", exact=True).last
    expect(approve).to_be_visible(timeout=SOON * 1000)
    approve.scroll_into_view_if_needed()
    walk.picture("approver")
    approve.click()
    wait_for_delivery(here, before, expected)
    walk.picture("approved")

    walk.become(admin)
    result = page.get_by_text(re.compile(r"bm-[0-9a-z]", re.I)).last
    expect(result).to_be_visible(timeout=SOON * 1000)
    result.scroll_into_view_if_needed()
    walk.picture("result")

    the_menu(walk)
    the_list(walk)

    page.set_viewport_size(PHONE)
    page.wait_for_timeout(300)
    walk.nothing_sticks_out()
    expect(walk.composer()).to_be_visible()
    walk.picture("phone")
    page.reload()
    expect(walk.composer()).to_be_visible()
    walk.nothing_sticks_out()

    the_login(walk)
    assert not walk.wrong, "\n".join(walk.wrong)
    print(f"{len(expected)} people of {DEPARTMENT} have it once, nobody else has it", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = arguments.add_mutually_exclusive_group(required=True)
    where.add_argument("--playground", help="the program to start")
    where.add_argument("--page", help="a running playground, http://127.0.0.1:PORT")
    arguments.add_argument("--show", action="store_true", help="in a window, slowly")
    asked = arguments.parse_args()
    browser_program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not browser_program:
        sys.exit("newcomer.py: no Chromium here; set CHROMIUM to its path")
    pictures = ROOT / "target" / "browser"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    leave_politely()
    with ExitStack() as stack:
        here = stack.enter_context(playground(asked.playground)) if asked.playground else Connection.at(asked.page)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=browser_program,
            args=FLAGS,
            headless=not asked.show,
            slow_mo=700 if asked.show else 0,
            # This program answers to signals itself, above.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        stack.callback(browser.close)
        print(f"Chromium {browser.version}, playground at {here.page_url}", flush=True)
        walk = Walk(browser.new_page(viewport=DESK, locale="zh-CN"), here, pictures)
        try:
            the_walk(walk)
        except Exception as error:
            walk.page.screenshot(path=pictures / "failed.png", full_page=True)
            print("\n".join(walk.wrong), file=sys.stderr)
            print(f"newcomer.py: {error}\nsee {(pictures / 'failed.png').relative_to(ROOT)}", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
