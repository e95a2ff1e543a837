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
        redirect: "error", // logged out: the log-in page is no dashboard
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      show(await answer.text());
      since = new Date();
      stale.hidden = true;
    } catch {
      stale.textContent =
        `The server does not answer; these figures are of ${since.toISOString().slice(11, 19)} UTC. ` +
        "It is asked again by itself; reload the page if you were logged out.";
      stale.hidden = false;
    }
    later();
  }

  function show(html) {
    // Whoever works with the keyboard keeps their place.
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    place.innerHTML = html;
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
  later();
})();
