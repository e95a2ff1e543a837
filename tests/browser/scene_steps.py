"""The pages of a scene one after the other, also those no address leads to: each by a few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.conf import settings
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, Route

from tests.browser.pages import address
from tests.orgs.test_second_factor import code_of

Scene = dict[str, str]
ADA = "ada"


def visits(page: Page, scene: Scene) -> Iterator[str]:
    """Open every page there is to look at, and yield the name of each.

    The last ones leave the page logged out.
    """
    for name, path in scene.items():
        page.goto(path)
        page.wait_for_load_state("load")
        yield name
    for name, step in STEPS.items():
        step(page, scene)
        page.wait_for_load_state("load")
        yield name


def _reveal(page: Page, scene: Scene) -> None:
    page.goto(scene["message-recipient"])
    page.click("button:has-text('Show')")
    page.wait_for_selector("text=stands in the audit trail")


def _issue_key(page: Page, _scene: Scene) -> None:
    page.goto(address("orgs_apikey_add"))
    page.select_option("[name=org]", index=1, force=True)
    page.fill("[name=name]", "till of the shop")
    page.click("button[name=_save]")
    page.wait_for_selector("#id_secret")


def _change_limit(action: str) -> Callable[[Page, Scene], None]:
    def step(page: Page, _scene: Scene) -> None:
        page.goto(address("ratelimit_whatsappratelimit_changelist"))
        page.click("#result_list tbody input[name=_selected_action] >> nth=0")
        page.select_option("select[name=action]", action, force=True)
        page.click("button:has-text('Run')")
        page.wait_for_selector("[name=confirmed]", state="attached")

    return step


def _set_up_factor(page: Page, scene: Scene) -> None:
    page.goto(scene["second-factor"])
    page.fill("[name=code]", code_of(get_user_model().objects.get(username=ADA)))
    page.press("[name=code]", "Enter")
    page.wait_for_selector("text=Keep these codes")


def _own_factor(page: Page, scene: Scene) -> None:
    page.goto(scene["second-factor"])


def _log_out(page: Page, _scene: Scene) -> None:
    page.context.clear_cookies()
    page.goto("/admin/")
    page.wait_for_selector("[name=password]")


def _ask_factor(page: Page, _scene: Scene) -> None:
    page.fill("[name=username]", ADA)
    page.fill("[name=password]", "correct-horse")
    page.press("[name=password]", "Enter")
    page.wait_for_selector("[name=code]")


def _shut_out(page: Page, scene: Scene) -> None:
    _log_out(page, scene)
    # The browser reports a page that comes with a refusal as a fault, and this one is meant.
    page.route("**/admin/login/**", _as_if_fine)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        page.fill("[name=username]", ADA)
        page.fill("[name=password]", "wrong")
        page.press("[name=password]", "Enter")
        page.wait_for_load_state("load")
    page.wait_for_selector("text=Too many wrong passwords")


def _as_if_fine(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, status=200 if answer.status == 429 else answer.status)


# In this order: each of the last ones goes on where the one before it ends.
STEPS: dict[str, Callable[[Page, Scene], None]] = {
    "revealed": _reveal,
    "key-issued": _issue_key,
    "quota-raise": _change_limit("raise_quota"),
    "throttle-lift": _change_limit("lift_throttle"),
    "second-factor-codes": _set_up_factor,
    "second-factor-own": _own_factor,
    "log-in": _log_out,
    "second-factor-ask": _ask_factor,
    "shut-out": _shut_out,
}
