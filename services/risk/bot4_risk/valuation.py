"""What is everything worth, and is that too little? Marks are taken while something is held; losses that reach a limit
are told, and so is their end."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from bot4_common.messages.cost import CostRecorded, StatisticsPublished
from bot4_common.messages.risk import CorrelationsAdopted, FeeBooked, HaltChanged, MarksTaken
from bot4_risk.exposure import Loss
from bot4_risk.limits import of_account, of_strategy
from bot4_risk.state import Moment, State

# How often what is held is valued anew: a second's move of a market is far below any limit of losses.
MARK_NS = 1_000_000_000

LossRule = Literal["drawdown", "daily_loss"]


def next_mark(state: State) -> int | None:
    """When (ns) marks are due, if anything is held."""
    if next(iter(state.ledger.markets_held()), None) is None:
        return None
    return state.control.marked_at + MARK_NS


def take_marks(moment: Moment) -> None:
    ledger = moment.state.ledger
    marks: dict[str, Decimal] = {}
    for market in sorted(ledger.markets_held()):
        venue, _, symbol = market.partition("/")
        quote = moment.quotes.get((venue, symbol))
        if quote is not None:
            marks[market] = (quote.bid + quote.ask) / 2
    moment.emit(MarksTaken(marks=marks, at=moment.now))
    tell_halts(moment)


def book_fee(moment: Moment, cost: CostRecorded) -> None:
    if cost.fee:
        moment.emit(FeeBooked(account=cost.account, strategy=cost.strategy, fee=cost.fee))


def adopt(moment: Moment, published: StatisticsPublished) -> None:
    known = moment.state.facts
    if known is not None and published.version <= known.version:
        return
    moment.emit(
        CorrelationsAdopted(
            version=published.version,
            symbols=[each.symbol for each in published.symbols],
            correlations=published.correlations,
            volatilities=[each.volatility for each in published.symbols],
        )
    )


def tell_halts(moment: Moment) -> None:
    """The checks look at losses themselves; this is for those who watch."""
    ledger, limits = moment.state.ledger, moment.limits
    for scope, account, strategy in ledger.standings():
        part = (
            limits.firm
            if scope == "firm"
            else of_account(limits, account)
            if scope == "account"
            else of_strategy(limits, account, strategy)
        )
        name = f"{account}/{strategy}" if strategy else account
        _tell(moment, scope, name, "drawdown", ledger.drawdown(account, strategy), part.drawdown_percent)
        loss = ledger.daily_loss(moment.now, account, strategy)
        _tell(moment, scope, name, "daily_loss", loss, part.daily_loss_percent)


def _tell(
    moment: Moment,
    scope: Literal["firm", "account", "strategy"],
    name: str,
    rule: LossRule,
    loss: Loss,
    limit: Decimal,
) -> None:
    halted = loss.percent >= limit
    if halted == (halt_key(scope, name, rule) in moment.state.control.halts):
        return
    moment.emit(
        HaltChanged(
            scope=scope,
            name=name,
            rule=rule,
            halted=halted,
            value=loss.percent,
            limit=limit,
            base=loss.base,
            at=moment.now,
        )
    )


def halt_key(scope: str, name: str, rule: str) -> str:
    return f"{scope}/{name}/{rule}"
