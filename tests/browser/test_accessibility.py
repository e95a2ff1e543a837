"""Nobody is shut out: axe finds no serious fault on any page, in light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import pages, scene_steps
from tests.browser.scene import scene as scene

pytestmark = pytest.mark.full

# Django's own two-column choice of rights makes these by script.
OF_DJANGO = ("help-tooltip search-label-icon", 'placeholder="Filter"')
SERIOUS = {"serious", "critical"}
AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("theme", pages.THEMES)
def test_no_page_has_a_serious_fault(open_page, staff, scene, settings, theme):
    settings.OUTBOUND_TOTP = "optional"
    page = open_page(staff, color_scheme=theme)
    faults: dict[str, set[str]] = {}
    for name in scene_steps.visits(page, scene):
        for violation in Axe().run(page, options=AXE).response["violations"]:
            if violation["impact"] not in SERIOUS:
                continue
            for node in violation["nodes"]:
                if any(known in node["html"] for known in OF_DJANGO):
                    continue
                what = f"{violation['id']}: {node['html'][:160]}"
                faults.setdefault(what, set()).add(name)
    told = [f"{what} on {', '.join(sorted(where)[:3])}" for what, where in sorted(faults.items())]
    assert not told, "\n".join(told)


@pytest.mark.timeout(600)
def test_no_page_is_wider_than_a_phone(open_page, staff, scene, settings):
    settings.OUTBOUND_TOTP = "optional"
    page = open_page(staff, viewport=pages.NARROW)
    wide = {}
    for name in scene_steps.visits(page, scene):
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > pages.NARROW["width"]:
            wide[name] = width
    assert wide == {}
