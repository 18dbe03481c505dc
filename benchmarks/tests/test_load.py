from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from benchmarks.load import Expected, Market, Measured, drive, script

MARKET = Market("BTC-USDT", "0.0002", "58800.00", "61200.00", "57600.00", "62400.00")
EXPECTED = Expected(taken=("filled",), rested=("open",), cancelled=("cancelled",))

# The answer to the request of this number.
Answers = Callable[[int, bytes], bytes]


def test_right_answers_are_counted_and_timed() -> None:
    measured = traded(right)
    assert measured.mistakes == {}
    assert measured.counted["order"] > 0 and len(measured.times["order"]) >= measured.counted["order"]
    assert min(measured.times["order"]) > 0


def test_every_second_order_is_cancelled() -> None:
    measured = traded(right)
    assert abs(measured.counted["order"] - 2 * measured.counted["cancel"]) <= 2


def test_an_order_id_that_was_given_before_is_a_mistake() -> None:
    measured = traded(lambda _, request: right(1, request))
    assert set(measured.mistakes) == {"order: given twice, or called a duplicate"}


def test_another_status_than_the_right_one_is_a_mistake() -> None:
    measured = traded(lambda number, _: answer(202, number, "received"))
    assert set(measured.mistakes) == {"order: 202 received", "cancel: 202 received"}


def test_a_pause_of_the_server_counts_for_all_that_were_due_in_it() -> None:
    def pausing(number: int, request: bytes) -> bytes:
        if number == 10:
            time.sleep(0.2)
        return right(number, request)

    measured = traded(pausing, rate=200)
    slow = sum(spent > 50_000_000 for times in measured.times.values() for spent in times)
    assert measured.mistakes == {}
    # Due every 5 ms, 30 of them wait at least 50 of the 200 ms; in a closed loop it would be one.
    assert slow >= 25


def right(number: int, request: bytes) -> bytes:
    if request.startswith(b"DELETE"):
        return answer(200, number, "cancelled")
    return answer(201, number, "filled" if b'"ioc"' in request else "open")


def answer(status: int, number: int, became: str) -> bytes:
    body = f'{{"order_id":"{number}","status":"{became}","duplicate":false}}'
    return f"HTTP/1.1 {status} Done\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def traded(answers: Answers, rate: float | None = None) -> Measured:
    """One connection for 0.4 s with a server that answers so."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, args=(listening, answers))
        serving.start()
        address = listening.getsockname()
        measured = drive(address, [script("a", "test", "key", MARKET, EXPECTED)], set(), 0.4, rate, warm_up_s=0.0)
        serving.join()
    return measured


def serve(listening: socket.socket, answers: Answers) -> None:
    connection, _ = listening.accept()
    with connection:
        number = 0
        while request := connection.recv(65_536):
            number += 1
            connection.sendall(answers(number, request))
