"""Alert rules and dashboard ask for what /metrics really shows."""

from __future__ import annotations

import ipaddress
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from messaging import metrics as message_metrics

pytestmark = [pytest.mark.django_db, pytest.mark.core]

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "outbound-alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "outbound.json"
# Grafana writes a duration for it; the exact one does not matter here.
VARIABLES = {"$__rate_interval": "5m"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text


def selectors(node: Any) -> Iterator[Any]:
    """Return the selectors of a parsed expression, however deep."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from selectors(node.vector_selector)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from selectors(node.lhs)
        yield from selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from selectors(argument)
    elif hasattr(node, "expr"):
        yield from selectors(node.expr)


@pytest.fixture
def shown(client, settings) -> dict[str, dict[str, set[str]]]:
    """The samples of the page: name → label → values."""
    settings.OUTBOUND_METRICS_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    client.get("/healthz")
    message_metrics.FAILED.add("WHATSAPP", "131026")
    message_metrics.call_seconds("WHATSAPP", "ACCEPTED")
    text = client.get("/metrics").content.decode()
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(text):
        # A family without a series yet is known by its name alone.
        for suffix in ("", "_total") if family.type == "counter" else ("",):
            found[family.name + suffix]
        for sample in family.samples:
            labels = found[sample.name]
            for name, value in sample.labels.items():
                labels[name].add(value)
    return found


def test_every_expression_asks_for_what_there_is(shown):
    asked = 0
    for where, text in expressions():
        for selector in selectors(promql_parser.parse(text)):
            asked += 1
            assert selector.name in shown, f"{where}: {selector.name}"
            labels = shown[selector.name]
            for matcher in selector.matchers.matchers:
                assert matcher.name in labels, f"{where}: {selector.name}{{{matcher.name}}}"
                if matcher.op == promql_parser.MatchOp.Equal:
                    assert matcher.value in labels[matcher.name], f"{where}: {matcher.value}"
    assert asked > 50


def test_a_wrong_name_or_expression_would_be_noticed(shown):
    (selector,) = selectors(promql_parser.parse("sum(rate(outbound_nonsense_total[5m]))"))
    assert selector.name not in shown
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum(rate(outbound_message_sent_total[5m])")


def test_every_rule_says_what_it_is_and_how_bad():
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} <= set(rule["annotations"])
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_the_rules_cover_what_operators_must_hear():
    asked = {
        selector.name
        for rule in rules()
        for selector in selectors(promql_parser.parse(rule["expr"]))
    }
    assert {
        "outbound_heartbeat_age_seconds",
        "outbound_message_dlq_size",
        "outbound_message_queue_depth",
        "outbound_message_failed_total",
        "outbound_circuits_open",
        "outbound_webhook_lag_seconds_bucket",
        "outbound_webhook_events_total",
        "outbound_database_up",
    } <= asked


def test_the_panels_of_the_dashboard_lie_beside_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))


def test_the_example_scrapes_the_page_and_loads_the_rules():
    example = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert example["scrape_configs"][0]["metrics_path"] == "/metrics"
    assert example["rule_files"] == [f"/etc/prometheus/{RULES.name}"]
