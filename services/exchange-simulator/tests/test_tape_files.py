"""Where does a recorded tape come from?"""

from __future__ import annotations

import gzip
import os
import tomllib
import zipfile
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bot4_exchange_simulator.calibration import toml
from bot4_exchange_simulator.flow import MarketParameters, shipped
from bot4_exchange_simulator.liquidity import STEP_NS
from bot4_exchange_simulator.replay import Replay
from bot4_exchange_simulator.tape import TapeError
from bot4_exchange_simulator.tape_files import calibrate, read, record

HEADER = "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch\n"
TRADES = "11,100.5,0.25,25.1,1700000000000,True,True\n12,100.6,0.1,10.0,1700000000250,False,True\n"

# Recorded market data is not part of the project. Where somebody has it, it is read.
CAPTURES = Path(os.environ.get("BOT4_DATA") or Path(__file__).parents[4] / "shared" / "data")


def prices(path: Path) -> list[Decimal]:
    return [each.price for each in read(path).prints]


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_plain_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades.csv"
    path.write_text(TRADES, encoding="utf-8")
    assert prices(path) == [Decimal("100.5"), Decimal("100.6")]


@pytest.mark.parametrize("header", ["", HEADER, "\ufeff" + HEADER, "\ufeff"])
def test_a_byte_order_mark_costs_no_trade(tmp_path: Path, header: str) -> None:
    path = tmp_path / "BTCUSDT-trades.csv"
    path.write_text(header + TRADES, encoding="utf-8")
    assert prices(path) == [Decimal("100.5"), Decimal("100.6")]


@pytest.mark.parametrize("header", ["", HEADER, "\ufeff"])
def test_a_zip_as_binance_publishes_it_is_read(tmp_path: Path, header: str) -> None:
    path = zipped(tmp_path / "BTCUSDT-trades-2024-08-08.zip", {"BTCUSDT-trades-2024-08-08.csv": header + TRADES})
    assert prices(path) == [Decimal("100.5"), Decimal("100.6")]


@pytest.mark.parametrize("header", ["", HEADER, "\ufeff"])
def test_gzip_is_read(tmp_path: Path, header: str) -> None:
    path = tmp_path / "trades.csv.gz"
    path.write_bytes(gzip.compress((header + TRADES).encode()))
    assert prices(path) == [Decimal("100.5"), Decimal("100.6")]


def test_a_bad_line_is_named_with_its_file(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bad.zip", {"bad.csv": HEADER + TRADES + "13,much,1,1,1700000000500,True,True\n"})
    with pytest.raises(TapeError) as caught:
        read(path)
    assert str(caught.value) == f"{path}, line 4: 'much' is not a decimal number"


@pytest.mark.parametrize("files", [{}, {"a.csv": TRADES, "b.csv": TRADES}])
def test_a_zip_holds_one_file(tmp_path: Path, files: dict[str, str]) -> None:
    path = zipped(tmp_path / "odd.zip", files)
    with pytest.raises(TapeError, match=rf"odd.zip: holds {len(files)} files, not one"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("not.zip", b"id,price"),
        ("not.gz", b"id,price"),
        ("cut.gz", gzip.compress(TRADES.encode() * 50, mtime=0)[:-12]),
        ("broken.gz", gzip.compress(b"x" * 99, mtime=0)[:10] + b"\xff" * 40),
        ("latin.csv", b"11,100,1,1,1700000000000,True,\xe9\n"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TapeError, match=name):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=r"nowhere\.csv"):
        read(tmp_path / "nowhere.csv")


BEST = "7,100.5,3,100.6,4,1700000000000,1700000000000\n"


def test_files_of_one_time_are_one_recording(tmp_path: Path) -> None:
    trades = zipped(tmp_path / "trades.zip", {"trades.csv": HEADER + TRADES})
    best = tmp_path / "bookTicker.csv"
    best.write_text(BEST, encoding="utf-8")
    told: list[tuple[str, int]] = []
    whole = record([trades, best], lambda name, lines: told.append((name, lines)))
    assert (len(whole.prints), len(whole.changes)) == (2, 1)
    assert told == [(str(trades), 3), (str(best), 1)]


def test_of_several_files_the_damaged_one_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.gz"
    good.write_text(TRADES, encoding="utf-8")
    bad.write_bytes(gzip.compress(TRADES.encode() * 50, mtime=0)[:-12])
    with pytest.raises(TapeError, match=r"bad\.gz: "):
        record([good, bad])
    good.write_text(TRADES + "13,x,1,1,1700000000500,True,True\n", encoding="utf-8")
    with pytest.raises(TapeError, match=r"good\.csv, line 3: 'x' is not"):
        record([good])


def test_what_is_too_short_is_not_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text(TRADES, encoding="utf-8")
    with pytest.raises(TapeError, match="2 takers are too few"):
        calibrate([path])


captures = pytest.mark.skipif(not (CAPTURES / "spot__btcusdt_20240808.gz").exists(), reason="no recorded captures here")
BOTH = [CAPTURES / f"spot__btcusdt_{day}.gz" for day in ("20240808", "20240809")]


@captures
def test_the_figures_that_come_along_are_those_of_the_captures() -> None:
    report = calibrate(BOTH)
    assert msgspec.convert(tomllib.loads(toml(report)), MarketParameters) == shipped("BTC-USDT")
    assert {name: round(fit.distance, 2) for name, fit in report.fits.items()} == {
        "takers in a step": 0.02,
        "size of a taker": 0.08,
        "fill ratio": 0.08,
        "move of the mid in a second": 0.28,
        "spread beyond a tick": 0.1,
        "depth at the touch": 0.1,
    }


@captures
def test_a_replay_of_the_captures_shows_a_market() -> None:
    whole, lot = record(BOTH), Decimal("0.00001")
    market = Replay(whole, Decimal("0.01"), lot)
    steps = [market.step(number) for number in range(whole.prints[-1].offset_ns // STEP_NS + 1)]
    assert all(step.bids and step.asks and step.bids[0][0] < step.asks[0][0] for step in steps)
    assert sum(taken.quantity for step in steps for taken in step.flow) == sum(p.quantity // lot for p in whole.prints)
    assert sum(len(step.bids) for step in steps) / len(steps) > 80


@captures
def test_recorded_captures_are_read_whole() -> None:
    tapes = [read(CAPTURES / f"spot__btcusdt_{day}.gz") for day in ("20240808", "20240809")]
    assert sum(len(each.prints) for each in tapes) == 19_904
    assert all(Decimal(61_000) < printed.price < Decimal(63_000) for each in tapes for printed in each.prints)
