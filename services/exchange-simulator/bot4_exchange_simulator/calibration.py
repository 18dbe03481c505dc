"""Which figures make agents trade and quote as a recorded market did, and how well do they?

Each figure comes from the moments of what was recorded; each distribution's fit is told by its Kolmogorov–Smirnov
distance: 0 is a perfect fit, and whoever takes the one for the other errs by at most so much of all cases. What a
recording is silent about stays as it was in the figures that one begins with, and the report says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from math import exp, gcd, log, pi, sqrt
from statistics import NormalDist, median

import msgspec

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.distributions import (
    Cdf,
    beta_cdf,
    beta_of_moments,
    deviation,
    ks_distance,
    ks_distance_of_counts,
    log_normal_cdf,
    moments,
    normal_cdf,
    poisson_cdf,
)
from bot4_exchange_simulator.flow import BPS, STEPS_PER_SECOND, Amounts, Beta, MarketParameters
from bot4_exchange_simulator.liquidity import STEP_NS
from bot4_exchange_simulator.recording import Ladder, Recording
from bot4_exchange_simulator.tape import TapeError

# Fewer takers, or seconds, than this say nothing about how they are distributed.
TAKERS_MIN = 100
SECONDS_MIN = 60

# A recording is looked at for a day at most, in steps.
STEPS_MAX = 24 * 3_600 * STEPS_PER_SECOND

# How far behind the touch depth is measured, in basis points, as far as the recording shows it.
DISTANCES_BPS = (0.25, 0.5, 1.0, 2.0, 4.0)
# Levels of a side that are added up, at most.
LEVELS_MAX = 1_000

# Who takes a tenth of the touch or more has looked at it.
LOOKING_FROM = 0.1

# Clusters are told from chance over the first five seconds; the pull on the price from two minutes, which a recording
# has to hold ten times. Without any pull, half of a move is over after an hour.
LAGS = 5 * STEPS_PER_SECOND
PULL_SECONDS = 120
PULL_TIMES_MIN = 5
HALF_LIFE_SECONDS_MIN = 10.0
HALF_LIFE_SECONDS_MAX = 3_600.0

# Points at which the mixture over intensities is added up.
INTENSITIES = 400


class Fit(msgspec.Struct, frozen=True):
    """How far a distribution is from the recorded one (Kolmogorov–Smirnov), and how many cases were recorded."""

    distance: float
    cases: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`fits` by what is distributed; `kept`: the figures that the recording is silent about."""

    parameters: MarketParameters
    seconds: float
    takers: int
    fits: dict[str, Fit]
    kept: tuple[str, ...]


class _Taker(msgspec.Struct):
    """Prints of one side at one instant were one order. `touch`: what was displayed to it, where that is known."""

    offset_ns: int
    side: Side
    quantity: float
    notional: float
    touch: float | None


class _Seen(msgspec.Struct):
    """What the market showed as each step began, in quote; nothing where the recording has no depth."""

    mids: list[float] = []
    spreads_ticks: list[int] = []
    touches: list[float] = []
    behind: dict[float, list[float]] = {}


def fit(recording: Recording, start: MarketParameters) -> Report:
    """The figures of a recorded market, beginning with those of `start`. Raises `TapeError` where it is too short."""
    takers = _takers(recording)
    if recording.prints and len(takers) < TAKERS_MIN:
        raise TapeError(f"{len(takers)} takers are too few, {TAKERS_MIN} are needed")
    steps = _steps(recording)
    seconds = steps / STEPS_PER_SECOND
    if (recording.prints or recording.changes) and seconds < SECONDS_MIN:
        raise TapeError(f"{seconds:g} s are too short, {SECONDS_MIN} s are needed")
    takers = [each for each in takers if each.offset_ns < steps * STEP_NS]
    seen = _watch(recording, takers, steps) if recording.changes else _Seen()
    mids = seen.mids or _last_prices(recording, steps)
    fitting = _Fitting(start)
    if takers:
        fitting.arrivals(takers, steps)
        fitting.sizes(takers)
        fitting.ratios(takers)
        fitting.foresight(takers, mids)
    if mids:
        fitting.price(mids)
    if seen.mids:
        fitting.spread(seen.spreads_ticks)
        fitting.touch(seen.touches)
    fitting.behind(seen, recording)
    return fitting.report(seconds, len(takers))


def _takers(recording: Recording) -> list[_Taker]:
    takers: list[_Taker] = []
    for each in recording.prints:
        quantity, notional = float(each.quantity), float(each.price * each.quantity)
        last = takers[-1] if takers else None
        if last is not None and last.offset_ns == each.offset_ns and last.side == each.taker_side:
            last.quantity += quantity
            last.notional += notional
        else:
            takers.append(_Taker(each.offset_ns, each.taker_side, quantity, notional, None))
    return takers


def _steps(recording: Recording) -> int:
    """How many whole steps trades and depth, or what there is of the two, cover."""
    ends = [each[-1].offset_ns for each in (recording.prints, recording.changes) if each]
    return min(STEPS_MAX, min(ends, default=0) // STEP_NS)


def _watch(recording: Recording, takers: list[_Taker], steps: int) -> _Seen:
    """Goes through the depth once: what is displayed as each step begins, and to each taker when it comes."""
    bids, asks = Ladder[float](1), Ladder[float](-1)
    seen = _Seen(behind={distance: [] for distance in DISTANCES_BPS})
    tick = _tick(recording)
    moments_ns = sorted(
        [(step * STEP_NS, -1) for step in range(steps)] + [(each.offset_ns, index) for index, each in enumerate(takers)]
    )
    changed = 0
    for offset_ns, taker in moments_ns:
        # A taker meets what stood before it, a step begins with what is there by then.
        while changed < len(recording.changes) and recording.changes[changed].offset_ns <= offset_ns - (taker >= 0):
            for ladder, levels in ((bids, recording.changes[changed].bids), (asks, recording.changes[changed].asks)):
                # Statistics of what others did long ago: nobody trades at these.
                for price, quantity in levels:
                    ladder.set(float(price), float(quantity))
            changed += 1
        best = bids.best(), asks.best()
        if best[0] is None or best[1] is None or best[0][0] >= best[1][0]:
            _same_again(seen, taker)
        elif taker >= 0:
            takers[taker].touch = best[1][1] if takers[taker].side == "buy" else best[0][1]
        else:
            _note(seen, best[0], best[1], tick)
            _note_behind(seen, bids, best[0][0])
            _note_behind(seen, asks, best[1][0])
    # Until there is a mid, it is the first one.
    seen.mids[:0] = seen.mids[:1] * (steps - len(seen.mids))
    return seen


def _tick(recording: Recording) -> float:
    """The step that all recorded prices are multiples of."""
    unit = Decimal("1e-8")
    levels = [level for change in recording.changes for level in (*change.bids, *change.asks)]
    return float(unit * gcd(*(int(price / unit) for price, _ in levels)))


def _same_again(seen: _Seen, taker: int) -> None:
    """While a side is empty nothing new is known of the mid."""
    if taker < 0 and seen.mids:
        seen.mids.append(seen.mids[-1])


def _note(seen: _Seen, bid: tuple[float, float], ask: tuple[float, float], tick: float) -> None:
    seen.mids.append((bid[0] + ask[0]) / 2.0)
    seen.spreads_ticks.append(max(1, round((ask[0] - bid[0]) / tick)))
    seen.touches += [bid[0] * bid[1], ask[0] * ask[1]]


def _note_behind(seen: _Seen, ladder: Ladder[float], touch: float) -> None:
    # The last level seen says how far the recording reaches: beyond it, that there is nothing is not known.
    levels = ladder.within(2.0 * DISTANCES_BPS[-1] * BPS * touch, LEVELS_MAX)[1:]
    away = [abs(price - touch) / touch / BPS for price, _ in levels]
    totals = list(accumulate((price * quantity for price, quantity in levels), initial=0.0))
    for distance in DISTANCES_BPS:
        if away and distance <= away[-1]:
            seen.behind[distance].append(totals[bisect_right(away, distance)])


def _last_prices(recording: Recording, steps: int) -> list[float]:
    """Without depth the price of the last trade stands for the mid."""
    offsets = [each.offset_ns for each in recording.prints]
    prices = [float(each.price) for each in recording.prints]
    return [prices[max(0, bisect_right(offsets, step * STEP_NS) - 1)] for step in range(steps)]


def toml(report: Report) -> str:
    """The figures as a file that `flow` reads, with the fits as comments."""
    lines = [f"# {report.takers} takers in {report.seconds:g} s. Kolmogorov-Smirnov distances, and cases:"]
    lines += [f"# {name}: {fit.distance:.3f}, {fit.cases}" for name, fit in report.fits.items()]
    lines += [f"# Kept as they were: {', '.join(report.kept)}."] if report.kept else []
    lines.append(f'price = "{report.parameters.price}"')
    for name in ("takers", "makers"):
        lines.append(f"\n[{name}]")
        figures = msgspec.to_builtins(getattr(report.parameters, name))
        lines += [f"{field} = {_inline(value)}" for field, value in figures.items()]
    return "\n".join(lines) + "\n"


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_inline(each)}" for name, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return f"{float(f'{value:.4g}')}"


class _Fitting:
    """Parameters in the making, each group fitted by the method of moments."""

    def __init__(self, start: MarketParameters) -> None:
        self._price = start.price
        self._start = start
        self._of_takers: dict[str, object] = {}
        self._of_makers: dict[str, object] = {}
        self._fits: dict[str, Fit] = {}

    def report(self, seconds: float, takers: int) -> Report:
        parameters = MarketParameters(
            price=self._price,
            takers=msgspec.structs.replace(self._start.takers, **self._of_takers),
            makers=msgspec.structs.replace(self._start.makers, **self._of_makers),
        )
        fields = (*self._start.takers.__struct_fields__, *self._start.makers.__struct_fields__)
        kept = tuple(field for field in fields if field not in self._of_takers and field not in self._of_makers)
        return Report(parameters=parameters, seconds=seconds, takers=takers, fits=self._fits, kept=kept)

    def _compare(self, name: str, sample: Sequence[float], cdf: Cdf) -> None:
        self._fits[name] = Fit(ks_distance(sample, cdf), len(sample))

    def arrivals(self, takers: list[_Taker], steps: int) -> None:
        """A Poisson count with a log-normal mean has mean m and variance m + m² (exp(c²) - 1), and with the count of k
        steps later the covariance m² (exp(c² r^k) - 1): the logarithms of 1 + covariance / m² add up to c² r / (1 - r).
        """
        counts = [0] * steps
        for each in takers:
            counts[each.offset_ns // STEP_NS] += 1
        mean, variance = moments(counts)
        square = _log_above_one((variance - mean) / mean**2)
        memory = sum(_log_above_one(_covariance(counts, mean, lag) / mean**2) for lag in range(1, LAGS + 1))
        self._of_takers |= {
            "per_second": mean * STEPS_PER_SECOND,
            "clustering": sqrt(square),
            "clustering_half_life_seconds": _half_life(memory / (memory + square)) if square else 0.0,
        }
        distance = ks_distance_of_counts(counts, counts_cdf(mean, sqrt(square)))
        self._fits["takers in a step"] = Fit(distance, steps)

    def sizes(self, takers: list[_Taker]) -> None:
        looked_on = [each for each in takers if each.touch]
        own = [each.notional for each in looked_on if each.quantity < LOOKING_FROM * (each.touch or 0.0)]
        own = own if looked_on else [each.notional for each in takers]
        self._of_takers["size"] = self._amounts("size of a taker", own, self._start.takers.size)

    def ratios(self, takers: list[_Taker]) -> None:
        ratios = [each.quantity / each.touch for each in takers if each.touch]
        if len(ratios) < TAKERS_MIN:
            return
        parts = [(ratio - LOOKING_FROM) / (1.0 - LOOKING_FROM) for ratio in ratios if LOOKING_FROM <= ratio < 1.0]
        self._of_takers |= {
            "looking": len(parts) / len(ratios),
            "clearing": sum(ratio >= 1.0 for ratio in ratios) / len(ratios),
            "fill_ratio_min": LOOKING_FROM,
        }
        shape = _beta(parts)
        if shape is not None:
            self._of_takers["fill_ratio"] = shape
            self._compare("fill ratio", parts, beta_cdf(shape.a, shape.b))

    def foresight(self, takers: list[_Taker], mids: list[float]) -> None:
        """If a buy has the probability F(f z), F that of a normal number and z the move, then the mean of the sign
        times z is 2 f / sqrt(2 pi (1 + f²))."""
        moves = [log(after / before) for before, after in pairwise(mids)]
        scale = deviation(moves) if moves else 0.0
        if scale == 0.0:
            return
        signed = [
            moves[each.offset_ns // STEP_NS] / scale * (1.0 if each.side == "buy" else -1.0)
            for each in takers
            if each.offset_ns // STEP_NS < len(moves)
        ]
        tilt = max(0.0, min(0.95, sum(signed) / len(signed) * sqrt(pi / 2.0)))
        self._of_takers["foresight"] = tilt / sqrt(1.0 - tilt**2)

    def price(self, mids: list[float]) -> None:
        """Volatility from moves of a second; the pull from what is left of it in moves of two minutes."""
        self._price = Decimal(f"{median(mids):.8g}")
        makers = self._start.makers
        square = _square_move(mids, 1)
        least = (makers.anchor_bps**2) * 2.0 * (1.0 - 0.5 ** (1.0 / makers.anchor_half_life_seconds))
        if square <= least:
            return
        self._of_makers["volatility_bps"] = sqrt(square)
        seconds = mids[::STEPS_PER_SECOND]
        moves = [log(after / before) / BPS for before, after in pairwise(seconds)]
        self._compare("move of the mid in a second", [move / sqrt(square) for move in moves], normal_cdf)
        if len(seconds) < PULL_TIMES_MIN * PULL_SECONDS:
            return
        left = _square_move(mids, PULL_SECONDS) / PULL_SECONDS
        self._of_makers["reversion_half_life_seconds"] = _pull((left - least) / (square - least))

    def spread(self, ticks: list[int]) -> None:
        wide = [each - 1.0 for each in ticks if each > 1]
        self._of_makers["tight"] = 1.0 - len(wide) / len(ticks)
        if not wide:
            return
        varies = len(set(wide)) > 1
        mean, square = moments([log(each) for each in wide])
        self._of_makers |= {"wide_ticks_median": exp(mean), "wide_sigma": sqrt(square) if varies else 0.0}
        if varies:
            self._compare("spread beyond a tick", wide, log_normal_cdf(exp(mean), sqrt(square)))
        spells = sum(after > 1 and before == 1 for before, after in pairwise(ticks))
        if spells:
            # Roughly: as long as the spread stays wide on average.
            self._of_makers["spread_half_life_seconds"] = len(wide) / spells / STEPS_PER_SECOND

    def touch(self, touches: list[float]) -> None:
        self._of_makers["touch"] = self._amounts("depth at the touch", touches, self._start.makers.touch)

    def behind(self, seen: _Seen, recording: Recording) -> None:
        """Means, so that what stands there adds up; of what reaches farther, those of the public files."""
        within = [(distance, sum(sums) / len(sums)) for distance, sums in seen.behind.items() if sums]
        by_distance: dict[float, list[float]] = {}
        for reach in recording.reaches:
            by_distance.setdefault(float(reach.bps), []).append(float(reach.notional))
        within += [(distance, sum(sums) / len(sums)) for distance, sums in sorted(by_distance.items())]
        growing: list[tuple[float, float]] = []
        for distance, amount in within:
            near, less = growing[-1] if growing else (0.0, 0.0)
            if distance > near and amount >= less:
                growing.append((distance, amount))
        if growing:
            self._of_makers["behind"] = tuple(growing)

    def _amounts(self, name: str, sample: list[float], otherwise: Amounts) -> Amounts:
        if len(set(sample)) < 2:
            return otherwise
        unshaped = Amounts(low=min(sample), high=max(sample), shape=Beta(1.0, 1.0))
        positions = [unshaped.position(each) for each in sample]
        shape = _beta(positions)
        if shape is None:
            return otherwise
        self._compare(name, positions, beta_cdf(shape.a, shape.b))
        return msgspec.structs.replace(unshaped, shape=shape)


def counts_cdf(mean: float, clustering: float) -> Cdf:
    """Of Poisson counts whose mean is log-normal around `mean`, with this deviation of its logarithm."""
    normals = [NormalDist().inv_cdf((index + 0.5) / INTENSITIES) for index in range(INTENSITIES)]
    cdfs = [poisson_cdf(mean * exp(clustering * each - clustering**2 / 2.0)) for each in normals]
    return lambda x: sum(cdf(x) for cdf in cdfs) / INTENSITIES


def _covariance(counts: Sequence[int], mean: float, lag: int) -> float:
    return sum((a - mean) * (b - mean) for a, b in zip(counts, counts[lag:], strict=False)) / len(counts)


def _log_above_one(value: float) -> float:
    """log(1 + value), and 0 where chance made the value negative."""
    return log(1.0 + max(0.0, value))


def _beta(sample: list[float]) -> Beta | None:
    """By the method of moments; none where fewer than three values, of which two may be the ends, tell no shape."""
    if len(set(sample)) < 3:
        return None
    return Beta(*beta_of_moments(*moments(sample)))


def _half_life(persistence: float) -> float:
    """In seconds, of what is left of a correlation from step to step."""
    return 0.0 if persistence <= 0.0 else log(0.5) / log(persistence) / STEPS_PER_SECOND


def _square_move(mids: list[float], seconds: int) -> float:
    """The mean square of the moves in so many seconds, in square basis points."""
    lag = seconds * STEPS_PER_SECOND
    moves = [log(after / before) / BPS for before, after in zip(mids, mids[lag:], strict=False)]
    return sum(move * move for move in moves) / len(moves)


def _pull(ratio: float) -> float:
    """The half-life at which the moves of two minutes have this ratio to what those of a second would add up to."""
    low, high = HALF_LIFE_SECONDS_MIN, HALF_LIFE_SECONDS_MAX
    while high / low > 1.001:
        middle = sqrt(low * high)
        left = (1.0 - 0.5 ** (PULL_SECONDS / middle)) / (1.0 - 0.5 ** (1.0 / middle)) / PULL_SECONDS
        low, high = (middle, high) if left < ratio else (low, middle)
    return high
