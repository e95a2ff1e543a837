// Fetches the dashboard's figures again while somebody looks at them.
"use strict";

(() => {
  const EVERY_MS = 10_000;
  const PATIENCE_MS = 8_000;
  const place = document.getElementById("console-dashboard");
  const stale = document.getElementById("console-stale");
  let timer = 0;
  let since = new Date();

  function later() {
    clearTimeout(timer);
    if (!document.hidden) {
      timer = setTimeout(refresh, EVERY_MS);
    }
  }

  async function refresh() {
    try {
      const answer = await fetch(place.dataset.url, {
        headers: { "X-Requested-With": "XMLHttpRequest" },
        redirect: "error",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.status === 401) {
        // The session has ended; the address comes back here afterwards.
        location.assign(answer.headers.get("HX-Redirect"));
        return;
      }
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      show(await answer.text());
      since = new Date();
      stale.hidden = true;
    } catch {
      stale.textContent =
        `The server does not answer; these figures are of ${since.toISOString().slice(11, 19)} UTC. ` +
        "It is asked again by itself.";
      stale.hidden = false;
    }
    later();
  }

  function show(html) {
    // Whoever reads or works with the keyboard keeps their place.
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    const opened = [...place.querySelectorAll("details[open]")].map((each) => each.id);
    const scrolled = place.querySelector(".console-scroll").scrollLeft;
    place.innerHTML = html;
    place.querySelector(".console-scroll").scrollLeft = scrolled;
    for (const id of opened) {
      document.getElementById(id).open = true;
    }
    if (focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) {
      refresh();
    }
  });
  // On a narrow screen the latest hours are the ones to see.
  const chart = place.querySelector(".console-scroll");
  chart.scrollLeft = chart.scrollWidth;
  later();
})();
