"""What goes wrong at the venue and on the line to it? Faults, each a function of the seed and of what it hits.

A fault strikes single messages and requests by chance, or it lasts: a *spell* has a beginning and an end. Spells come
by chance (as a Poisson process, lasting log-normal times), by schedule, or by hand. No generator's state is kept:
deciding the same thing twice draws the same fault, and which spells there are at a moment is found without knowing
what was before it. A profile as TOML:

    drop = 0.02                                     # of all messages told, two in a hundred are lost

    [[outages]]                                     # by chance, four times an hour, half of them shorter than 30 s:
    kind = "submit_down"                            # no order is taken, cancels are
    per_hour = 4.0
    seconds_median = 30.0

    [[schedule]]                                    # ten minutes after the venue opened, and every hour from then on,
    kind = "slow"                                   # for one minute,
    start_s = 600.0
    seconds = 60.0
    every_s = 3600.0
    factor = 20.0                                   # everything takes 20 times as long
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec

from bot4_exchange_simulator.draws import Draws, key
from bot4_exchange_simulator.latency import Latency, LatencyProfile, Leg

Kind = Literal[
    # Strike what a session is told.
    "drop",  # a message is lost
    "duplicate",  # and told twice
    "reorder",  # and overtaken by others
    "gap",  # a run of consecutive messages is lost
    "late_fill",  # a fill is told of after the end of its order, if that comes soon
    # Strike a session, both ways.
    "disconnect",  # nothing arrives until it is connected again
    "reconnect_storm",  # it is connected and cut again several times, as is every other
    # Strike requests.
    "drop_request",  # lost: nobody answers
    "reject",  # an order is refused without reason, and may be tried again
    "reject_cancel",  # as is a cancel
    "submit_down",  # orders are refused, cancels are taken
    "cancel_down",  # cancels are refused, orders are taken
    "down",  # nothing is taken, and whether it was stays unsaid
    # Strike time.
    "slow",  # what arrives takes longer
    "stale_book",  # the quotes stand still while trading goes on
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

# Drawn for each session apart. All other spells are of the whole venue.
OF_A_SESSION: Final = ("disconnect",)

SECOND_NS: Final = 1_000_000_000
# Spells that come by chance are drawn block by block of time, each from its own number; so many blocks are looked
# back for those that still last.
BLOCK_NS: Final = 600 * SECOND_NS
REACH: Final = 6
# A spell by chance is ended after this time, however long it was drawn.
LASTS_MAX_NS: Final = REACH * BLOCK_NS
# How many blocks' worth of drawn spells are kept from being drawn again.
DRAWN_KEPT: Final = 4_096

# How often a session is cut in one reconnect storm, and the part of each turn that it is.
STORM_CUTS: Final = (3, 8)
STORM_CUT_PART: Final = (0.3, 0.9)

# At most so many spells by hand are held at once, and as many that came by chance; each lasts at most so long.
HELD_MAX: Final = 64
HELD_S_MAX: Final = 86_400.0

Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Factor = Annotated[float, msgspec.Meta(ge=1.0, le=10_000.0)]
Sigma = Annotated[float, msgspec.Meta(ge=0.0, le=3.0)]
Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=HELD_S_MAX)]


class Outages(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spells by chance. Of what one could strike, it strikes with `probability`; `factor` is how slow a slow one is."""

    kind: Kind
    per_hour: Annotated[float, msgspec.Meta(gt=0.0, le=3_600.0)]
    seconds_median: Seconds
    sigma: Sigma = 0.8
    probability: Probability = 1.0
    factor: Factor = 10.0


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A spell `start_s` after the venue opened, and again each `every_s` from then on."""

    kind: Kind
    start_s: Annotated[float, msgspec.Meta(ge=0.0)]
    seconds: Seconds
    every_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    probability: Probability = 1.0
    factor: Factor = 10.0

    def __post_init__(self) -> None:
        if self.every_s is not None and self.every_s < self.seconds:
            raise ValueError(f"{self.kind} lasts {self.seconds} s and begins every {self.every_s} s")


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The probabilities are per message told or per request, of stale_book per requote of a symbol.

    One message can cut its session, begin a storm, or freeze the book at a requote: such a spell lasts a log-normal
    time like any other.
    """

    drop: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    gap: Probability = 0.0
    late_fill: Probability = 0.0
    disconnect: Probability = 0.0
    reconnect_storm: Probability = 0.0
    drop_request: Probability = 0.0
    reject: Probability = 0.0
    reject_cancel: Probability = 0.0
    submit_down: Probability = 0.0
    cancel_down: Probability = 0.0
    down: Probability = 0.0
    slow: Probability = 0.0
    stale_book: Probability = 0.0
    # How long a message is held back to be overtaken.
    held_ms_median: Annotated[float, msgspec.Meta(gt=0.0, le=60_000.0)] = 20.0
    held_sigma: Sigma = 0.5
    # How long a fill that may be told late waits for the end of its order.
    withheld_ms_median: Annotated[float, msgspec.Meta(gt=0.0, le=60_000.0)] = 500.0
    withheld_sigma: Sigma = 0.5
    # The shortest and the longest run of messages that one gap loses, and how many times as long a slow one takes.
    gap_messages: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(le=64)]] = (2, 20)
    slow_factor: Factor = 10.0
    spell_s_median: Seconds = 2.0
    spell_sigma: Sigma = 0.8
    outages: tuple[Outages, ...] = ()
    schedule: tuple[Scheduled, ...] = ()

    def __post_init__(self) -> None:
        shortest, longest = self.gap_messages
        if shortest > longest:
            raise ValueError(f"a gap of {shortest} to {longest} messages")


class LineProfile(FaultPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults, and how long everything takes without them."""

    latency: LatencyProfile = LatencyProfile()


def legs(median_ms: float, sigma: float = 0.5) -> LatencyProfile:
    """The same latency on every leg."""
    leg = Leg(median_ms=median_ms, sigma=sigma)
    return LatencyProfile(entry=leg, cancel=leg, feed=leg)


# A line without faults; one on which messages are lost and late several times a minute and sessions are cut several
# times an hour; and one on which everything that can happen does, many times an hour.
PERFECT: Final = LineProfile()
FAULTY: Final = LineProfile(
    latency=legs(2.0),
    drop=0.02,
    duplicate=0.02,
    reorder=0.02,
    gap=0.001,
    late_fill=0.02,
    drop_request=0.005,
    outages=(
        Outages(kind="disconnect", per_hour=12.0, seconds_median=1.0),
        Outages(kind="slow", per_hour=12.0, seconds_median=5.0),
    ),
)
HOSTILE: Final = LineProfile(
    latency=legs(10.0),
    drop=0.05,
    duplicate=0.05,
    reorder=0.05,
    held_ms_median=100.0,
    gap=0.005,
    late_fill=0.05,
    disconnect=0.001,
    drop_request=0.02,
    reject=0.02,
    reject_cancel=0.02,
    slow=0.02,
    outages=(
        Outages(kind="disconnect", per_hour=60.0, seconds_median=2.0),
        Outages(kind="reconnect_storm", per_hour=6.0, seconds_median=10.0),
        Outages(kind="submit_down", per_hour=12.0, seconds_median=5.0),
        Outages(kind="cancel_down", per_hour=12.0, seconds_median=5.0),
        Outages(kind="down", per_hour=6.0, seconds_median=3.0),
        Outages(kind="slow", per_hour=30.0, seconds_median=10.0, factor=20.0),
        Outages(kind="stale_book", per_hour=12.0, seconds_median=5.0),
    ),
)
PROFILES: Final[Mapping[str, LineProfile]] = {"perfect": PERFECT, "faulty": FAULTY, "hostile": HOSTILE}


def parsed(text: str) -> LineProfile:
    """A profile from TOML. Raises `ValueError` that says what is wrong with it."""
    return msgspec.convert(tomllib.loads(text), LineProfile)


class Spell(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that lasts, from `since` until before `until` (ns): of one session, or of the whole venue.

    Of the messages and requests that it could strike it strikes each with `probability`; a disconnect, a storm and a
    stale book strike all. `factor` is how many times as long what is slow takes.
    """

    kind: Kind
    since: int
    until: int
    session: str = ""
    probability: float = 1.0
    factor: float = 10.0
    cause: Literal["chance", "schedule", "hand"] = "chance"

    def lasts(self, now: int) -> bool:
        return self.since <= now < self.until

    def concerns(self, session: str) -> bool:
        return self.session in ("", session)


class MessageFault(NamedTuple):
    """What happens to a message on its way to a session. All but the duplicate and the delayed one are lost."""

    kind: Literal["drop", "gap", "disconnect", "duplicate", "delay"]
    delay_ns: int = 0


class RequestFault(NamedTuple):
    """What happens to a request on its way in: it is refused with `code`, or lost if there is none."""

    kind: Literal["disconnect", "drop_request", "down", "submit_down", "cancel_down", "reject", "reject_cancel"]
    code: str = ""


# What a client can ask of a venue. An amend may add to what stands in the book, so it goes where orders and lists go.
Request = Literal["place", "list", "amend", "cancel", "query"]

# Which faults refuse which requests, in this order, and the code they are refused with.
_PLACING: Final = (RequestFault("submit_down", "SUBMIT_DOWN"), RequestFault("reject", "VENUE_BUSY"))
REFUSING: Final[Mapping[Request, tuple[RequestFault, ...]]] = {
    "place": _PLACING,
    "list": _PLACING,
    "amend": _PLACING,
    "cancel": (RequestFault("cancel_down", "CANCEL_DOWN"), RequestFault("reject_cancel", "VENUE_BUSY")),
    "query": (),
}


class Line:
    """The faults of one venue. `active` is everywhere what `active` gives for the moment and the session at hand."""

    def __init__(self, seed: int, profile: LineProfile) -> None:
        self._seed = seed
        self._profile = profile
        # Whether nothing strikes but while a spell lasts: the short way of a line without faults.
        self._calm = not any(getattr(profile, kind) for kind in KINDS)
        self._latency = Latency(seed, profile.latency)
        self._drawn: dict[tuple[str, int], tuple[Spell, ...]] = {}

    # Which spells are there?

    def active(self, now: int, session: str, held: Iterable[Spell] = (), opened_at: int = 0) -> list[Spell]:
        """All spells at `now` that concern the session, with those of `held`, which were begun by hand or by a
        message. The schedule counts from `opened_at`."""
        there = [spell for spell in self._by_chance(session, now // BLOCK_NS) if spell.lasts(now)]
        there += [spell for each in self._profile.schedule if (spell := _scheduled(each, now, opened_at)).lasts(now)]
        there += [spell for spell in held if spell.lasts(now) and spell.concerns(session)]
        return there

    def next_spell_at(self, now: int, sessions: Iterable[str], opened_at: int = 0) -> int:
        """Not later than the next spell begins: when to look again (ns), after `now`."""
        block = now // BLOCK_NS
        ahead = [(block + 1) * BLOCK_NS] if self._profile.outages else []
        for session in ("", *sessions):
            ahead += [spell.since for spell in self._by_chance(session, block) if spell.since > now]
        for each in self._profile.schedule:
            since = _scheduled(each, now, opened_at).since
            ahead += [at for at in (since, since + _ns(each.every_s or 0.0)) if at > now][:1]
        return min(ahead, default=now + BLOCK_NS)

    def begins(
        self, kind: Literal["disconnect", "reconnect_storm", "stale_book"], what: str, session: str, now: int
    ) -> Spell | None:
        """The spell that a message to a session, or the requote of a symbol (`session` is empty), begins. Few do."""
        if self._calm or not self._strikes(kind, what, ()):
            return None
        lasts = self._draws("begun", kind, what)
        until = now + _lasting_ns(lasts, self._profile.spell_s_median, self._profile.spell_sigma)
        return Spell(kind=kind, since=now, until=until, session=session if kind in OF_A_SESSION else "")

    def _by_chance(self, session: str, block: int) -> tuple[Spell, ...]:
        """The spells of a session, and of the whole venue, that may last at some time of a block."""
        if not self._profile.outages:
            return ()
        spells = self._drawn.get((session, block))
        if spells is None:
            if len(self._drawn) >= DRAWN_KEPT:
                self._drawn.clear()
            spells = self._drawn[session, block] = tuple(
                spell
                for number, outages in enumerate(self._profile.outages)
                for back in range(REACH, -1, -1)
                for spell in self._beginning(number, outages, session, block - back)
                if spell.until > block * BLOCK_NS
            )
        return spells

    def _beginning(self, number: int, outages: Outages, session: str, block: int) -> Iterable[Spell]:
        """The spells of one kind that begin in a block. From block to block a Poisson process has no memory."""
        of_a_session = outages.kind in OF_A_SESSION
        if of_a_session and not session:
            return
        of = session if of_a_session else ""
        draws = self._draws("outages", outages.kind, number, of, block)
        mean_ns = 3_600 * SECOND_NS / outages.per_hour
        since = block * BLOCK_NS + int(-log(draws.uniform()) * mean_ns)
        while since < (block + 1) * BLOCK_NS:
            yield Spell(
                kind=outages.kind,
                since=since,
                until=since + _lasting_ns(draws, outages.seconds_median, outages.sigma),
                session=of,
                probability=outages.probability,
                factor=outages.factor,
            )
            since += int(-log(draws.uniform()) * mean_ns)

    # What do they do?

    def message(self, session: str, number: int, now: int, active: Sequence[Spell]) -> MessageFault | None:
        """What happens to message `number` of a session's feed."""
        if self._calm and not active:
            return None
        name = f"{session}/{number}"
        if self.cut_until(session, now, active) > now:
            return MessageFault("disconnect")
        if self.in_gap(session, number, active):
            return MessageFault("gap")
        if self.drops(name, active):
            return MessageFault("drop")
        if self.duplicates(name, active):
            return MessageFault("duplicate")
        held_ns = self.reorders_ns(name, active)
        return MessageFault("delay", held_ns) if held_ns else None

    def request(self, asks: Request, name: str, session: str, now: int, active: Sequence[Spell]) -> RequestFault | None:
        """What happens to a request; `name` tells it from every other."""
        if self._calm and not active:
            return None
        if self.cut_until(session, now, active) > now:
            return RequestFault("disconnect")
        if self.drops_request(name, active):
            return RequestFault("drop_request")
        if self._strikes("down", name, active):
            return RequestFault("down", "VENUE_UNAVAILABLE")
        for fault in REFUSING[asks]:
            if self._strikes(fault.kind, name, active):
                return fault
        return None

    def cut_until(self, session: str, now: int, active: Sequence[Spell]) -> int:
        """When a session that is cut at `now` is connected again (ns); 0 if it is not cut."""
        until = 0
        for spell in active:
            if spell.kind == "disconnect":
                until = max(until, spell.until)
            elif spell.kind == "reconnect_storm":
                until = max(until, self._storm_cut_until(spell, session, now))
        return until

    def in_gap(self, session: str, number: int, active: Sequence[Spell] = ()) -> bool:
        """Whether a run of lost messages began at this one or at one before it, and goes as far as this."""
        if not self._probability("gap", active):
            return False
        shortest, longest = self._profile.gap_messages
        for first in range(max(number - longest + 1, 1), number + 1):
            name = f"{session}/{first}"
            if self._strikes("gap", name, active):
                length = _whole(self._draws("gap length", name), shortest, longest)
                if first + length > number:
                    return True
        return False

    def drops(self, message: str, active: Sequence[Spell] = ()) -> bool:
        return self._strikes("drop", message, active)

    def duplicates(self, message: str, active: Sequence[Spell] = ()) -> bool:
        return self._strikes("duplicate", message, active)

    def reorders_ns(self, message: str, active: Sequence[Spell] = ()) -> int:
        """By how much the message is held back so that others overtake it; 0 for most."""
        if not self._strikes("reorder", message, active):
            return 0
        held = self._draws("held", message)
        return _lasting_ns(held, self._profile.held_ms_median / 1_000, self._profile.held_sigma)

    def withheld_ns(self, fill: str, active: Sequence[Spell] = ()) -> int:
        """How long at most a fill is not told, so that the end of its order overtakes it; 0 for most."""
        if not self._strikes("late_fill", fill, active):
            return 0
        withheld = self._draws("withheld", fill)
        return _lasting_ns(withheld, self._profile.withheld_ms_median / 1_000, self._profile.withheld_sigma)

    def drops_request(self, request: str, active: Sequence[Spell] = ()) -> bool:
        return self._strikes("drop_request", request, active)

    def slowness(self, what: str, active: Sequence[Spell]) -> float:
        """How many times as long a message or request takes as its latency says; 1 for most."""
        if not self._strikes("slow", what, active):
            return 1.0
        slow = [spell.factor for spell in active if spell.kind == "slow"]
        return max(slow, default=self._profile.slow_factor)

    def entry_ns(self, asks: Request, request: str, now: int, active: Sequence[Spell] = ()) -> int:
        """How long a request takes to the matching engine."""
        latency = self._latency.ns("cancel" if asks == "cancel" else "entry", now, request)
        return int(latency * self.slowness(request, active)) if latency else 0

    def feed_ns(self, message: str, now: int, active: Sequence[Spell] = ()) -> int:
        """How long a message takes to its session."""
        latency = self._latency.ns("feed", now, message)
        return int(latency * self.slowness(message, active)) if latency else 0

    def _strikes(self, kind: Kind, what: str, active: Sequence[Spell]) -> bool:
        """One draw for all causes: what would be struck without a spell is struck with it, too."""
        probability = self._probability(kind, active)
        return probability > 0 and self._draws(kind, what).uniform() < probability

    def _probability(self, kind: Kind, active: Sequence[Spell]) -> float:
        probability: float = getattr(self._profile, kind)
        for spell in active:
            if spell.kind == kind:
                probability = max(probability, spell.probability)
        return probability

    def _draws(self, *name: object) -> Draws:
        return Draws(key(self._seed, "/".join(map(str, name))))

    def _storm_cut_until(self, spell: Spell, session: str, now: int) -> int:
        """In each of its turns, all equally long, a storm cuts the session for a part of the turn from its start."""
        draws = self._draws("storm", session, spell.since)
        turn_ns = max((spell.until - spell.since) // _whole(draws, *STORM_CUTS), 1)
        turn = (now - spell.since) // turn_ns
        shortest, longest = STORM_CUT_PART
        part = shortest + (longest - shortest) * self._draws("cut", session, spell.since, turn).uniform()
        until = min(spell.since + turn * turn_ns + int(part * turn_ns), spell.until)
        return until if until > now else 0


def by_hand(
    kind: str, now: int, seconds: float, held: Sequence[Spell], session: str = "", **parameters: float
) -> Spell:
    """A spell that begins now because somebody says so. `parameters` are the spell's `probability` and `factor`.

    Raises `ValueError` that says what is wrong with it.
    """
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
    if not 0 < seconds <= HELD_S_MAX:
        raise ValueError(f"a fault lasts up to {HELD_S_MAX:.0f} s, not {seconds} s")
    if sum(spell.cause == "hand" and spell.until > now for spell in held) >= HELD_MAX:
        raise ValueError(f"{HELD_MAX} faults by hand last at this moment, no more can be begun")
    limits = {"probability": (0.0, 1.0), "factor": (1.0, 10_000.0)}
    for name, value in parameters.items():
        if name not in limits:
            raise ValueError(f"no parameter {name!r}; there are {', '.join(limits)}")
        lowest, highest = limits[name]
        if not lowest <= value <= highest:
            raise ValueError(f"{name} is from {lowest} to {highest}, not {value}")
    return Spell(kind=kind, since=now, until=now + _ns(seconds), session=session, cause="hand", **parameters)


def held_after(held: Iterable[Spell], begun: Spell) -> list[Spell]:
    """What is held once a spell has begun: those that are over are forgotten, and of those that nobody asked for the
    oldest beyond what is kept."""
    lasting = [*(spell for spell in held if spell.until > begun.since), begun]
    unasked = [spell for spell in lasting if spell.cause != "hand"]
    forgotten = unasked[:-HELD_MAX]
    return [spell for spell in lasting if spell not in forgotten]


def _scheduled(each: Scheduled, now: int, opened_at: int) -> Spell:
    """The last of its spells to begin before now or now, or the first if it is still to come."""
    since = opened_at + _ns(each.start_s)
    if each.every_s is not None and now > since:
        every_ns = _ns(each.every_s)
        since += (now - since) // every_ns * every_ns
    return Spell(
        kind=each.kind,
        since=since,
        until=since + _ns(each.seconds),
        probability=each.probability,
        factor=each.factor,
        cause="schedule",
    )


def _ns(seconds: float) -> int:
    return int(seconds * SECOND_NS)


def _lasting_ns(draws: Draws, seconds_median: float, sigma: float) -> int:
    """How long a spell lasts: log-normal, as far as one may last."""
    return min(max(_ns(seconds_median * exp(sigma * draws.normal())), 1), LASTS_MAX_NS)


def _whole(draws: Draws, first: int, last: int) -> int:
    """A whole number from `first` to `last`, each as likely."""
    return first + int(draws.uniform() * (last - first + 1))
