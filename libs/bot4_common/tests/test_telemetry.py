from __future__ import annotations

import json
import logging
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from bot4_common.telemetry import JsonFormatter, Meters, Tracing, open_traces, serve_health

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans(folder: Path, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{service}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_span_is_one_line_of_json_with_the_trace_of_its_parent(tmp_path: Path) -> None:
    tracing = Tracing("risk-0", 1.0, open_traces(str(tmp_path), "risk-0"))
    tracing.record(
        "risk-0 order_approved", PARENT, 1_700_000_000_000_000_000, 1_700_000_000_001_000_000, {"sequence": "7"}
    )
    tracing.close()
    [span] = spans(tmp_path, "risk-0")
    assert span["context"]["trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"
    assert span["parent_id"] == "0xb7ad6b7169203331"
    assert span["attributes"] == {"sequence": "7"}
    assert (span["start_time"], span["end_time"]) == ("2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:20.001000Z")
    assert span["resource"]["attributes"]["service.name"] == "risk-0"


def test_a_trace_is_handed_on(tmp_path: Path) -> None:
    gateway = Tracing("gateway-0", 1.0, open_traces(str(tmp_path), "gateway-0"))
    risk = Tracing("risk-0", 1.0, open_traces(str(tmp_path), "risk-0"))
    span, trace = gateway.start("POST /v1/orders", None)
    assert trace is not None
    risk.record("risk-0 order_approved", trace, 1, 2, {})
    span.end()
    gateway.close()
    risk.close()
    [asked], [approved] = spans(tmp_path, "gateway-0"), spans(tmp_path, "risk-0")
    assert approved["context"]["trace_id"] == asked["context"]["trace_id"]
    assert approved["parent_id"] == asked["context"]["span_id"]


def test_a_callers_trace_is_followed() -> None:
    _, trace = Tracing("gateway-0", 1.0, None).start("POST /v1/orders", PARENT)
    assert trace is not None and trace.split("-")[1] == PARENT.split("-")[1]


def test_what_is_not_sampled_is_not_handed_on() -> None:
    tracing = Tracing("gateway-0", 0.0, None)
    assert tracing.start("POST /v1/orders", None)[1] is None
    assert tracing.start("POST /v1/orders", PARENT[:-1] + "0")[1] is None


def test_without_a_folder_there_is_no_file() -> None:
    assert open_traces(None, "risk-0") is None


def test_a_log_line_is_one_json_object() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("bot4", logging.ERROR, "", 1, "lost %d of %s", (3, "them\n"), sys.exc_info())
    line = JsonFormatter("risk-0").format(record)
    said = json.loads(line)
    assert "\n" not in line
    assert (said["service"], said["level"], said["message"]) == ("risk-0", "ERROR", "lost 3 of them\n")
    assert "ValueError: two" in said["exception"]


def test_two_services_of_one_process_count_apart() -> None:
    one, other = Meters("one"), Meters("other")
    one.frames.inc(3)
    assert one.registry.get_sample_value("bot4_frames_total", {"service": "one"}) == 3
    assert other.registry.get_sample_value("bot4_frames_total", {"service": "other"}) == 0


@contextmanager
def served(status: dict[str, Any], meters: Meters) -> Iterator[str]:
    server = serve_health("127.0.0.1", 0, meters.registry, lambda: status)
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_service_is_ready_when_it_says_so() -> None:
    status = {"service": "risk-0", "ready": False}
    with served(status, Meters("risk-0")) as url:
        code, body = get(f"{url}/readyz")
        assert (code, json.loads(body)) == (503, status)
        status["ready"] = True
        assert get(f"{url}/readyz")[0] == 200


def test_a_living_service_is_healthy_before_it_is_ready() -> None:
    with served({"ready": False}, Meters("risk-0")) as url:
        assert get(f"{url}/healthz")[0] == 200


def test_metrics_are_shown() -> None:
    meters = Meters("risk-0")
    meters.append.observe(0.0003)
    with served({"ready": True}, meters) as url:
        code, body = get(f"{url}/metrics")
    assert code == 200
    assert b'bot4_append_seconds_bucket{le="0.0005",service="risk-0"} 1.0' in body


def test_there_is_nothing_else() -> None:
    with served({"ready": True}, Meters("risk-0")) as url:
        assert get(f"{url}/admin") == (404, b'{"code": "NOT_FOUND"}')


def test_a_slow_probe_does_not_hold_up_the_others() -> None:
    def slow() -> dict[str, Any]:
        time.sleep(0.5)
        return {"ready": True}

    server = serve_health("127.0.0.1", 0, Meters("risk-0").registry, slow)
    waiting = threading.Thread(target=get, args=(f"http://127.0.0.1:{server.server_port}/readyz",))
    waiting.start()
    started = time.monotonic()
    get(f"http://127.0.0.1:{server.server_port}/metrics")
    assert time.monotonic() - started < 0.4
    waiting.join()
    server.shutdown()
    server.server_close()


def test_the_health_server_asks_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda name="": pytest.fail("asked"))
    with served({"ready": True}, Meters("risk-0")) as url:
        assert get(f"{url}/healthz")[0] == 200
