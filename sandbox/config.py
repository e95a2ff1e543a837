"""The sandbox's settings: flags, SANDBOX_* variables, or a JSON file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """A setting is wrong; the text names it."""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be chosen; those below the line also while it runs."""

    host: str = "127.0.0.1"
    port: int = 8790
    ledger_size: int = 200_000
    # ----
    webhook_url: str = ""
    app_secret: str = "sandbox-secret"  # noqa: S105 - signs webhooks of a sandbox
    latency_ms: int = 50  # before a send is answered
    status_delays_ms: str = "100,300,600"  # sent, delivered, read: after the answer
    slow_seconds: float = 40.0  # how late a slow answer is
    statuses: bool = True  # off: nothing is posted
    statuses_per_post: int = 1  # more: gathered for up to 50 ms
    messaging_limit: str = "TIER_UNLIMITED"  # of the portfolio, as its numbers show it
    rate: int = 0  # sends per second and number; 0: not enforced
    pair_limit: bool = False  # one send per 6 s and person, bursts of 45
    enforce_window: bool = False  # free-form outside 24 h fails with 131047

    def delays(self) -> list[float]:
        """Return the delays of sent, delivered and read, in seconds."""
        return [float(word) / 1000 for word in self.status_delays_ms.split(",")]

    def changed(self, values: Mapping[str, Any]) -> Config:
        """Return a copy with some settings changed; raise ConfigError naming a wrong one."""
        known = {item.name: item for item in fields(self)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                message = f"There is no setting {name}; there are: {', '.join(known)}."
                raise ConfigError(message)
            checked[name] = _converted(name, value, getattr(self, name))
        config = replace(self, **checked)
        _check(config)
        return config


def read(arguments: Sequence[str]) -> Config:
    """Return the settings of file, environment and flags, in rising order of weight."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--config", help="a JSON file with any of the settings")
    for item in fields(Config):
        flag = f"--{item.name.replace('_', '-')}"
        parser.add_argument(flag, dest=item.name, help=f"default: {item.default}")
    given = vars(parser.parse_args(arguments))
    file_name = given.pop("config") or os.environ.get("SANDBOX_CONFIG")
    values: dict[str, Any] = _from_file(file_name) if file_name else {}
    for name in given:
        variable = os.environ.get(f"SANDBOX_{name.upper()}")
        if variable is not None:
            values[name] = variable
    values |= {name: value for name, value in given.items() if value is not None}
    return Config().changed(values)


def _from_file(name: str) -> dict[str, Any]:
    try:
        values = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"The file {name} cannot be read as JSON ({type(error).__name__})."
        raise ConfigError(message) from error
    if not isinstance(values, dict):
        message = f"The file {name} must hold a JSON object."
        raise ConfigError(message)
    return values


def _converted(name: str, value: Any, present: Any) -> Any:
    try:
        if isinstance(present, bool):
            return value if isinstance(value, bool) else _flag(str(value))
        return type(present)(value)
    except (TypeError, ValueError):
        message = f"{name} must be {_EXPECTED[type(present)]}."
        raise ConfigError(message) from None


_EXPECTED = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _flag(word: str) -> bool:
    if word.lower() not in {"true", "false", "1", "0", "on", "off", "yes", "no"}:
        raise ValueError
    return word.lower() in {"true", "1", "on", "yes"}


def _check(config: Config) -> None:
    try:
        delays = config.delays()
    except ValueError:
        delays = []
    if len(delays) != 3 or min(delays) < 0:
        message = "status_delays_ms must be three numbers, such as 100,300,600."
        raise ConfigError(message)
    if not 0 <= config.port <= 65_535:
        message = "port must be from 0 to 65535."
        raise ConfigError(message)
    for name in ("latency_ms", "slow_seconds", "rate"):
        if getattr(config, name) < 0:
            message = f"{name} must not be negative."
            raise ConfigError(message)
    if config.statuses_per_post < 1 or config.ledger_size < 1:
        message = "statuses_per_post and ledger_size must be at least 1."
        raise ConfigError(message)
