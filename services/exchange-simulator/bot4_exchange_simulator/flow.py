"""What would agents quote and trade now? Takers who come by chance, makers who return to a price they believe in.

Step n is a function of parameters, seed and n alone, so a venue that starts again goes on as if it had never stopped.
What makes that possible for a price is `Wander`: it says where a mean-reverting path stands at n without walking there.

The mid is exp of two such paths: one that makers pull back within minutes, around an anchor that takes a day. Takers
arrive by Poisson, at an intensity that wanders too, so that they come in clusters. Some want an amount of their own;
some look at what is displayed at the touch and take part of it, some all of it. They tend to be on the side to which
the price is about to move: who quotes to them is picked off now and then, as in life.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib import resources
from itertools import pairwise
from math import ceil, exp, log, sqrt
from statistics import NormalDist

import msgspec

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.draws import Draws, Wander, key
from bot4_exchange_simulator.liquidity import (
    SPACINGS,
    STEP_NS,
    STEPS_PER_SIZE,
    Aggressor,
    Step,
    ladder,
)

STEPS_PER_SECOND = 1_000_000_000 // STEP_NS
BPS = 1e-4

_STANDARD = NormalDist()


class Beta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: float
    b: float

    def __post_init__(self) -> None:
        if not (self.a > 0.0 and self.b > 0.0):
            raise ValueError("a and b of a Beta distribution are above zero")


class Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in quote from `low` to `high`, whose logarithm lies between theirs as a Beta distribution says: the sizes
    of a market spread over five powers of ten, which a Beta distribution of the amounts themselves cannot follow."""

    low: float
    high: float
    shape: Beta

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high:
            raise ValueError("low is above zero and below high")

    def drawn(self, draws: Draws) -> float:
        return self.low * exp(draws.beta(self.shape.a, self.shape.b) * log(self.high / self.low))

    def position(self, amount: float) -> float:
        """Where an amount lies, from 0 at `low` to 1 at `high`."""
        return log(amount / self.low) / log(self.high / self.low)


class Takers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those who take. Of all, `looking` and `clearing` are the shares that take part, and all, of the touch."""

    per_second: float
    # The deviation of the logarithm of the intensity, and how long half of a cluster lasts.
    clustering: float
    clustering_half_life_seconds: float
    # What the others take, in quote.
    size: Amounts
    looking: float
    clearing: float
    # The part taken by those who look: from the least on, as the Beta distribution says.
    fill_ratio_min: float
    fill_ratio: Beta
    # How much the side tells of the move to come: they buy with the probability that a normal number is below this
    # times the move in its deviations.
    foresight: float

    def __post_init__(self) -> None:
        if min(self.per_second, self.clustering, self.clustering_half_life_seconds) < 0.0:
            raise ValueError("per_second, clustering and clustering_half_life_seconds are not below zero")
        if min(self.looking, self.clearing) < 0.0 or self.looking + self.clearing > 1.0:
            raise ValueError("looking and clearing are shares of one whole")
        if not 0.0 <= self.fill_ratio_min < 1.0:
            raise ValueError("fill_ratio_min is a share below 1")


class Makers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those who quote. Volatility in basis points per square root of a second, amounts in quote."""

    volatility_bps: float
    reversion_half_life_seconds: float
    anchor_bps: float  # the deviation of what the price returns to
    anchor_half_life_seconds: float
    # The share of time in which the spread is one tick, and how many ticks more it has otherwise: log-normal.
    tight: float
    wide_ticks_median: float
    wide_sigma: float
    spread_half_life_seconds: float
    touch: Amounts
    # (basis points, amount): what stands within so far behind the touch, on average.
    behind: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if min(self.reversion_half_life_seconds, self.anchor_half_life_seconds) <= 0.0:
            raise ValueError("reversion_half_life_seconds and anchor_half_life_seconds are above zero")
        if self.volatility_bps**2 <= _moved(self.anchor_bps, self.anchor_half_life_seconds, 1.0):
            raise ValueError("the anchor alone moves more than volatility_bps")
        if not 0.0 <= self.tight <= 1.0:
            raise ValueError("tight is a share, from 0 to 1")
        if self.wide_ticks_median <= 0.0 or self.wide_sigma < 0.0:
            raise ValueError("wide_ticks_median is above zero, wide_sigma not below")
        points = [(0.0, 0.0), *self.behind]
        if len(points) < 2 or any(far <= near or more < less for (near, less), (far, more) in pairwise(points)):
            raise ValueError("behind has points ever farther away, with ever greater amounts")

    @property
    def reverting_bps(self) -> float:
        """The deviation of the mid around its anchor: what makes up the volatility together with the anchor's own."""
        left = self.volatility_bps**2 - _moved(self.anchor_bps, self.anchor_half_life_seconds, 1.0)
        return sqrt(left / _moved(1.0, self.reversion_half_life_seconds, 1.0))

    def moved(self, seconds: float) -> float:
        """The variance of the mid's move in so many seconds, in square basis points."""
        anchor = _moved(self.anchor_bps, self.anchor_half_life_seconds, seconds)
        return anchor + _moved(self.reverting_bps, self.reversion_half_life_seconds, seconds)


def _moved(deviation: float, half_life: float, seconds: float) -> float:
    """The variance of the move of a stationary path with this deviation."""
    return 2.0 * deviation**2 * (1.0 - exp(-log(2.0) * seconds / half_life))


class MarketParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market as agents make it. `price`: what it is around, in quote per base."""

    price: Decimal
    takers: Takers
    makers: Makers


def figures(text: str) -> MarketParameters:
    """From TOML. Raises `ValueError` that says what is wrong with it."""
    return msgspec.convert(tomllib.loads(text), MarketParameters)


def shipped(symbol: str = "BTC-USDT") -> MarketParameters:
    """Figures that come with bot4. Raises `LookupError` for a symbol that has none."""
    file = resources.files("bot4_exchange_simulator").joinpath("markets", f"{symbol.lower()}.toml")
    if not file.is_file():
        raise LookupError(f"no figures of {symbol} come with bot4")
    return figures(file.read_text(encoding="utf-8"))


class Agents:
    """A market made by agents, in ticks and lots."""

    def __init__(self, parameters: MarketParameters, tick: Decimal, lot: Decimal, seed: int) -> None:
        takers, makers = parameters.takers, parameters.makers
        self._takers = takers
        self._makers = makers
        self._price = float(parameters.price / tick)
        self._amount = float(tick * lot)  # what a lot costs at one tick, in quote
        self._spacing = max(1, int(self._price) // SPACINGS)
        self._anchor_deviation = makers.anchor_bps * BPS
        self._around_deviation = makers.reverting_bps * BPS
        self._step_deviation = sqrt(makers.moved(1.0 / STEPS_PER_SECOND)) * BPS
        self._anchor = _path(seed, "anchor", makers.anchor_half_life_seconds)
        self._around = _path(seed, "around", makers.reversion_half_life_seconds)
        self._spread = _path(seed, "spread", makers.spread_half_life_seconds)
        self._intensity = _path(seed, "intensity", takers.clustering_half_life_seconds)
        self._computed = 0, self._log_mid_at(0)
        self._arrivals = key(seed, "arrivals")
        self._sizes: dict[Side, int] = {"buy": key(seed, "bid sizes"), "sell": key(seed, "ask sizes")}

    def step(self, number: int) -> Step:
        """What the market does in step `number`, from 0 without end."""
        log_mid, after = self._log_mid(number), self._log_mid(number + 1)
        ticks = self.spread(number)
        bid = max(1, round(self._price * exp(log_mid) - ticks / 2.0))
        bids = self._quotes("buy", bid, number)
        asks = self._quotes("sell", bid + ticks, number)
        buys = _STANDARD.cdf(self._takers.foresight * (after - log_mid) / self._step_deviation)
        return Step(bids, asks, self._flow(number, buys, bids, asks))

    def expected(self, number: int) -> float:
        """How many takers are expected in a step: log-normal, with `per_second` as the mean of a second."""
        deviation = self._takers.clustering
        burst = exp(deviation * self._intensity.at(number) - deviation**2 / 2.0) if deviation else 1.0
        return self._takers.per_second / STEPS_PER_SECOND * burst

    def spread(self, number: int) -> int:
        """Between bid and ask, in ticks."""
        makers = self._makers
        above = _STANDARD.cdf(self._spread.at(number)) - makers.tight
        if above <= 0.0:
            return 1
        return 1 + max(
            1, round(makers.wide_ticks_median * exp(makers.wide_sigma * _normal(above / (1 - makers.tight))))
        )

    def _log_mid(self, number: int) -> float:
        """Over the price, at the beginning of a step. The last one computed is the first of the next step."""
        if number != self._computed[0]:
            self._computed = number, self._log_mid_at(number)
        return self._computed[1]

    def _log_mid_at(self, number: int) -> float:
        return self._anchor_deviation * self._anchor.at(number) + self._around_deviation * self._around.at(number)

    # What makers show.

    def _quotes(self, side: Side, touch: int, number: int) -> list[tuple[int, int]]:
        quotes: list[tuple[int, int]] = []
        within = 0.0
        for price in ladder(side, touch, self._spacing):
            # As in a tape's market, not all prices change size in the same step.
            size = Draws(self._sizes[side], price, (number + price) // STEPS_PER_SIZE)
            if price == touch:
                amount = self._makers.touch.drawn(size)
            else:
                before, within = within, self._within(abs(price - touch) / touch / BPS)
                # Half to one and a half of what stands there on average.
                amount = (within - before) * (0.5 + size.uniform())
            quotes.append((price, self._lots(amount, price)))
        return quotes

    def _within(self, bps: float) -> float:
        """What stands within so far behind the touch; beyond the last point it goes on as before it."""
        near = less = slope = 0.0
        for far, more in self._makers.behind:
            slope = (more - less) / (far - near)
            if bps <= far:
                break
            near, less = far, more
        return less + (bps - near) * slope

    def _lots(self, amount: float, price: int) -> int:
        return max(1, int(amount / (self._amount * price)))

    # What takers take.

    def _flow(
        self, number: int, buys: float, bids: list[tuple[int, int]], asks: list[tuple[int, int]]
    ) -> list[Aggressor]:
        draws = Draws(self._arrivals, number)
        flow: list[Aggressor] = []
        for _ in range(draws.poisson(self.expected(number))):
            side: Side = "buy" if draws.uniform() < buys else "sell"
            facing = asks if side == "buy" else bids
            # They go as far as anything is shown, and no farther.
            flow.append(Aggressor(side, facing[-1][0], self._quantity(draws, facing[0])))
        return flow

    def _quantity(self, draws: Draws, touch: tuple[int, int]) -> int:
        """What a taker wants, who sees this price and quantity: as the step began, like all others of the step."""
        takers = self._takers
        price, displayed = touch
        kind = draws.uniform()
        if kind < takers.clearing:
            return displayed
        if kind < takers.clearing + takers.looking:
            drawn = draws.beta(takers.fill_ratio.a, takers.fill_ratio.b)
            return ceil(displayed * (takers.fill_ratio_min + (1.0 - takers.fill_ratio_min) * drawn))
        return self._lots(takers.size.drawn(draws), price)


def _path(seed: int, purpose: str, half_life_seconds: float) -> Wander:
    return Wander(seed, purpose, half_life_seconds * STEPS_PER_SECOND)


def _normal(share: float) -> float:
    """The quantile of the standard normal distribution; at 1, where rounding may lead, that of the next number."""
    return _STANDARD.inv_cdf(min(share, 1.0 - 2.0**-53))
