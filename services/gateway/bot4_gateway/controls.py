"""What happens to a command that holds trading back, or lets it go on? Checked, journaled, and answered when risk has
spoken: kill switches, limits, the gate, strategies and signals, equity.

Whether the caller may do so has been asked before.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument
from bot4_common.limits import BadLimits, validate
from bot4_common.messages import risk
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import (
    EngageKillSwitch,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.terms import EventId, Scope
from bot4_common.orders import order_id_of
from bot4_gateway.control_view import ControlView, GateState, KillSwitch, LimitsVersion, where
from bot4_gateway.writing import Command, finish

# Strategies of one account: what is kept of them is kept for ever, and whoever names them is a caller.
STRATEGIES_MAX = 1_000
REASON_MAX = 200
REASON_RULE = f"1 to {REASON_MAX} printable characters"
# Answers of risk that may come before we know the id of what they answer: eight frames of signals.
ANSWERS_KEPT = 4_096

# Visible ASCII: what any database, terminal and venue takes.
_NAME = re.compile(r"[!-~]{1,64}")

# What the scope of a kill switch has to name.
_NAMED: dict[Scope, tuple[str, ...]] = {
    "firm": (),
    "account": ("account",),
    "strategy": ("account", "strategy"),
    "symbol": ("symbol",),
}

# Risk's answers, by what they are about.
_ABOUT: dict[type, str] = {
    risk.KillSwitchEngaged: "kill switch",
    risk.KillSwitchReset: "kill switch",
    risk.KillSwitchResetRefused: "kill switch",
    risk.LimitsChanged: "limits",
    risk.LimitsRefused: "limits",
    risk.GateChanged: "gate",
    risk.StrategyRegistered: "strategy",
    risk.SignalAccepted: "signal",
    risk.SignalRefused: "signal",
    risk.EquityRebased: "equity",
}

# Stores a command not later than a time of the event loop and gives its id. Raises `Refused`.
Journal = Callable[[Command, float], Awaitable[str]]
# Whether the future is done by a time of the event loop.
Within = Callable[[float, asyncio.Future[bool]], Awaitable[bool]]


class Said(NamedTuple):
    """`id` is the command's, `answer` what risk said to it: none when the time was up, or nothing was left to say."""

    id: str
    answer: AnyEvent | None


class Controls:
    """The desk's side of it. `instruments` are what can be traded."""

    def __init__(
        self,
        view: ControlView,
        instruments: Mapping[str, Instrument],
        journal: Journal,
        within: Within,
        deadline: Callable[[], float],
    ) -> None:
        self.view = view
        self._instruments = instruments
        self._journal = journal
        self._within = within
        self._deadline = deadline
        self._answers: OrderedDict[str, AnyEvent] = OrderedDict()
        self._waiting: dict[str, dict[asyncio.Future[bool], None]] = {}

    # What callers ask for

    async def engage(self, command: EngageKillSwitch) -> tuple[KillSwitch, bool]:
        """The kill switch as it then stands, and whether it is engaged as asked by now. It goes ahead of all orders."""
        self._check_switch(command)
        place = where(command)

        def as_asked() -> bool:
            switch = self.view.switch(place)
            return switch.engaged and (switch.flatten or not command.flatten)

        if command.scope == "symbol":
            self._check_symbol(command.symbol)
        if command.scope == "strategy" and not self.view.switch(place).since:
            self._check_strategies(self.view.strategies_switched(command.account))
        await self._said(command, "kill switch", as_asked)
        return self.view.switch(place), as_asked()

    def check_reset(self, command: ResetKillSwitch) -> None:
        """Raises `Refused` when there is nothing to reset, before anybody verifies a key for it."""
        self._check_switch(command)
        if not self.view.switch(where(command)).engaged:
            raise _not_engaged(command)

    async def reset(self, command: ResetKillSwitch) -> tuple[KillSwitch, bool]:
        """The kill switch as it then stands, and whether it is reset by now."""
        self.check_reset(command)
        place = where(command)
        said = await self._said(command, "kill switch", lambda: not self.view.switch(place).engaged)
        if isinstance(said.answer, risk.KillSwitchResetRefused):
            raise _not_engaged(command)
        switch = self.view.switch(place)
        return switch, not switch.engaged

    async def set_limits(self, command: SetLimits) -> tuple[LimitsVersion | None, bool]:
        """The limits that then hold, if any were ever told, and whether they are these."""
        check_reason(command.reason)
        self._check_limits(command)
        said = await self._said(command, "limits")
        match said.answer:
            case risk.LimitsRefused() as refused:
                raise Refused(refused.code, version=str(refused.version), replaces=str(refused.replaces))
            case risk.LimitsChanged() as changed:
                return self.view.limits(changed.version), True
        return self.view.limits(), False

    async def set_gate(self, command: SetGate) -> tuple[GateState, bool]:
        """The gate as it then stands, and whether it is so as asked."""
        check_reason(command.reason)
        await self._said(command, "gate", lambda: self.view.gate.enabled == command.enabled)
        return self.view.gate, self.view.gate.enabled == command.enabled

    async def register(self, command: RegisterStrategy) -> bool:
        """Whether it is done by now. Raises `Refused` for a strategy too many."""
        check_name("strategy", command.strategy)

        def as_asked() -> bool:
            return (self.view.registration(command.account, command.strategy) is not None) == command.registered

        if as_asked():
            return True
        if command.registered:
            self._check_strategies(sum(each.account == command.account for each in self.view.strategies()))
        await self._said(command, "strategy", as_asked)
        return as_asked()

    async def signal(self, command: RecordSignal) -> tuple[str, bool]:
        """The signal's id, and whether risk has taken it by now. Raises `Refused` when it says no."""
        check_name("strategy", command.strategy)
        self._check_symbol(command.symbol)
        if len(command.note) > REASON_MAX or not command.note.isprintable():
            raise Refused("BAD_FIELD", field="note", rule=f"at most {REASON_MAX} printable characters")
        said = await self._said(command, "signal")
        if isinstance(said.answer, risk.SignalRefused):
            raise Refused(said.answer.code, **said.answer.details)
        return said.id, said.answer is not None

    async def rebase(self, command: RebaseEquity) -> bool:
        """Whether drawdown and the day's loss are counted anew by now."""
        check_reason(command.reason)
        return (await self._said(command, "equity")).answer is not None

    # What the streams tell

    def hear(self, event: AnyEvent, cause: EventId | None) -> None:
        """An event of risk's that the view has taken in; `cause` is the command that led to it."""
        about = _ABOUT.get(type(event))
        if about is None:
            return
        if cause is not None and cause.stream == streams.GATEWAY:
            self._answers[order_id_of(cause.sequence, cause.index)] = event
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        finish(list(self._waiting.pop(about, {})))

    def fail(self) -> None:
        """Nothing more will be heard: whoever waits is told how things stood last."""
        for waiting in self._waiting.values():
            finish(list(waiting), False)

    async def _said(self, command: Command, about: str, is_so: Callable[[], bool] = lambda: False) -> Said:
        """Journals the command and waits until risk has answered it, or all is as it shall be, or the time is up."""
        deadline = self._deadline()
        id = await self._journal(command, deadline)
        waiting = True
        while waiting and id not in self._answers and not is_so():
            waiters = self._waiting.setdefault(about, {})
            news = asyncio.get_running_loop().create_future()
            waiters[news] = None
            try:
                waiting = await self._within(deadline, news)
            finally:
                waiters.pop(news, None)
        return Said(id, self._answers.pop(id, None))

    # How a command is checked

    def _check_switch(self, command: EngageKillSwitch | ResetKillSwitch) -> None:
        check_reason(command.reason)
        for field in ("account", "strategy", "symbol"):
            name = getattr(command, field)
            if field in _NAMED[command.scope]:
                check_name(field, name)
            elif name:
                raise Refused("BAD_FIELD", field=field, rule=f"the scope {command.scope} has none")

    def _check_limits(self, command: SetLimits) -> None:
        try:
            validate(command.document)
        except BadLimits as bad:
            raise Refused("BAD_LIMITS", field=bad.field, rule=bad.rule) from None
        for symbol in command.document.symbols:
            if symbol not in self._instruments:
                raise Refused("BAD_LIMITS", field=f"symbols.{symbol}", rule="no such instrument")

    def _check_symbol(self, symbol: str) -> None:
        if symbol not in self._instruments:
            raise Refused("UNKNOWN_SYMBOL", symbol=symbol[:64])

    def _check_strategies(self, known: int) -> None:
        if known >= STRATEGIES_MAX:
            raise Refused("BAD_FIELD", field="strategy", rule=f"at most {STRATEGIES_MAX} strategies per account")


def _not_engaged(command: ResetKillSwitch) -> Refused:
    return Refused(
        "KILL_SWITCH_NOT_ENGAGED",
        scope=command.scope,
        **{field: getattr(command, field) for field in _NAMED[command.scope]},
    )


def check_name(field: str, value: str) -> None:
    """Raises `Refused` for what is no name of an account, a strategy or an order."""
    if _NAME.fullmatch(value) is None:
        raise Refused("BAD_FIELD", field=field, rule="1 to 64 visible ASCII characters")


def check_reason(reason: str) -> None:
    """Raises `Refused`."""
    if not is_reason(reason):
        raise Refused("BAD_FIELD", field="reason", rule=REASON_RULE)


def is_reason(reason: str) -> bool:
    """Whether it may tell somebody why."""
    return bool(reason.strip()) and len(reason) <= REASON_MAX and reason.isprintable()
