"""How do log and bus look on NATS JetStream? The only module that knows NATS.

A stream named `RISK_0` takes the subjects `RISK_0.<writer>`. Reading uses ephemeral push consumers in callback
form with flow control, made anew from our own cursor whenever the connection was lost or a message is missing:
the client library's own ordered consumer takes about 19 seconds to notice a restarted server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import blake2b
from itertools import count
from typing import Any, TypeVar

import msgspec
import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
    StreamSource,
)

from bot4_common.log import AppendUnknown, ChainBroken, Fenced, Into, Reading, Record, Snapshot

logger = logging.getLogger(__name__)

# How long an append may go unanswered before it is unknown. A healthy one takes about a millisecond.
APPEND_TIMEOUT_S = 2.0
# Other calls to the broker; they are repeated by whoever needs them.
CALL_TIMEOUT_S = 2.0
# The server sends a sign of life this often when a stream is quiet; three missed ones mean the consumer is gone.
HEARTBEAT_S = 0.5
# Unread messages a subscription may hold. Flow control keeps it far below; beyond it the library drops, which the
# continuity check then repairs by reading again.
PENDING_MESSAGES = 65_536
# A snapshot part stays below the server's max_payload (8 MB) with room for headers.
SNAPSHOT_PART_BYTES = 4_000_000
# A repeated message is caught by the expected sequence; the server's own window is kept short because every start
# scans it.
DUPLICATE_WINDOW_S = 1.0
# A pause before a call without answer is made again.
RETRY_S = 0.05
# The server's error codes for "another message came first" and "no such message".
WRONG_LAST_SEQUENCE = {10071, 10164}
NO_MESSAGE = 10037
# What a call may raise when the server is away or on its way back.
UNANSWERED = (nats.errors.Error, TimeoutError, OSError)
SNAPSHOTS = "SNAPSHOTS"

T = TypeVar("T")


class NatsLog:
    """A connection to the broker. Made by `connect`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=CALL_TIMEOUT_S)
        self._readings: set[_NatsReading] = set()
        self._calls: set[asyncio.Timeout] = set()
        # Appends that wait for their answer. They have an inbox of their own: the library's request costs half as much
        # again as all the rest of an append.
        self._stored: dict[str, asyncio.Future[bytes]] = {}
        self._numbers = count(1)
        self._inbox = client.new_inbox()
        self._connected = asyncio.Event()
        self._connected.set()

    async def open(self) -> NatsLog:
        await self._client.subscribe(f"{self._inbox}.*", cb=self._hear_stored, pending_msgs_limit=PENDING_MESSAGES)
        return self

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def is_closed(self) -> bool:
        return self._client.is_closed

    async def append(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(expected)}
        try:
            return await self._publish(stream, f"{stream}.{writer}", data, headers)
        except nats.js.errors.APIError as error:
            if error.err_code in WRONG_LAST_SEQUENCE:
                raise Fenced(f"{stream}: {writer} expected {expected}: {error.description}") from error
            raise AppendUnknown(f"{stream}: {error.description}") from error

    async def last(self, stream: str, writer: str) -> Record | None:
        found = await self._last(stream, f"{stream}.{writer}")
        return None if found is None else Record(stream, found[0], found[1], (stream, found[0]))

    async def end(self, stream: str) -> int:
        return (await self._answered(lambda: self._jetstream.stream_info(stream))).state.last_seq

    async def read(self, stream: str, after: int, into: Into, failed: Callable[[Exception], None]) -> Reading:
        reading = _NatsReading(self, stream, after, into, failed)
        self._readings.add(reading)
        return reading

    async def save(self, snapshot: Snapshot) -> None:
        """Parts first, then the head that names them, then the older ones are removed: one of them is always whole.

        One that is older than what is saved, of a leader that was left behind, is not saved.
        """
        data, hashed = await asyncio.to_thread(_packed, snapshot)
        subject = f"{SNAPSHOTS}.{snapshot.writer}"
        try:
            at, head = await self._head(snapshot.writer)
            if head.sequence > snapshot.sequence:
                return
            parts: list[int] = []
            for start in range(0, len(data), SNAPSHOT_PART_BYTES):
                part = data[start : start + SNAPSHOT_PART_BYTES]
                parts.append(await self._publish(SNAPSHOTS, f"{subject}.part", part, {}))
            head = _Head(parts=parts, hash=hashed, sequence=snapshot.sequence)
            expected = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(at)}
            await self._publish(SNAPSHOTS, f"{subject}.head", msgspec.json.encode(head), expected)
        except nats.js.errors.APIError as error:
            raise AppendUnknown(f"{subject}: {error.description}") from error
        await self._answered(lambda: self._jetstream.purge_stream(SNAPSHOTS, seq=parts[0], subject=f"{subject}.*"))

    async def saved(self, writer: str) -> Snapshot | None:
        at, head = await self._head(writer)
        if not at:
            return None
        data = b"".join([await self._part(sequence) for sequence in head.parts])
        if blake2b(data, digest_size=16).hexdigest() == head.hash:
            return msgspec.msgpack.decode(zlib.decompress(data), type=Snapshot)
        if (await self._head(writer))[0] != at:
            return await self.saved(writer)  # it was replaced while it was fetched
        logger.error("the snapshot of %s is damaged; the whole stream is folded instead", writer)
        return None

    async def say(self, subject: str, data: bytes) -> None:
        # Lost while there is no connection, as anything said on the bus may be.
        if self.is_connected:
            await self._client.publish(subject, data)

    async def listen(self, subject: str, into: Callable[[bytes], None]) -> Reading:
        async def hear(message: Msg) -> None:
            into(message.data)

        return _Listening(await self._client.subscribe(subject, cb=hear, pending_msgs_limit=PENDING_MESSAGES))

    async def ask(self, subject: str, data: bytes, timeout: float) -> bytes:
        try:
            async with self._call(timeout):
                return (await self._client.request(subject, data, timeout=timeout)).data
        except (nats.errors.NoRespondersError, TimeoutError) as error:
            raise TimeoutError(f"nobody answers {subject}: {error!r}") from error

    async def answer(self, subject: str, respond: Callable[[bytes], Awaitable[bytes]]) -> Reading:
        async def hear(message: Msg) -> None:
            await message.respond(await respond(message.data))

        return _Listening(await self._client.subscribe(subject, cb=hear, pending_msgs_limit=PENDING_MESSAGES))

    async def streams(self) -> list[StreamInfo]:
        return await self._answered(self._jetstream.streams_info)

    async def add_stream(self, config: StreamConfig) -> None:
        await self._answered(lambda: self._jetstream.add_stream(config))

    async def close(self) -> None:
        for reading in list(self._readings):
            await reading.stop()
        await self._client.close()

    # What the connection says about itself.

    def disconnected(self) -> None:
        """No answer will come to what was asked: those who wait for one need not wait for its time to be up."""
        self._connected.clear()
        now = asyncio.get_running_loop().time()
        for call in self._calls:
            if not call.expired():
                call.reschedule(now)
        for answer in self._stored.values():
            _lapse(answer)

    def reconnected(self) -> None:
        self._connected.set()
        for reading in self._readings:
            reading.restart()

    # What the calls above are made of.

    @contextlib.asynccontextmanager
    async def _call(self, seconds: float) -> AsyncIterator[None]:
        """Raises `TimeoutError` after so long, or as soon as the connection is lost."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        if not self.is_connected:
            raise TimeoutError("not connected")
        async with asyncio.timeout(seconds) as call:
            self._calls.add(call)
            try:
                yield
            finally:
                self._calls.discard(call)

    async def _answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until the broker answers. A refusal is an answer, and raised."""
        while True:
            try:
                async with self._call(CALL_TIMEOUT_S):
                    return await ask()
            except nats.js.errors.ServiceUnavailableError:
                pass
            except (nats.js.errors.APIError, nats.errors.ConnectionClosedError):
                raise
            except UNANSWERED:
                pass
            await asyncio.sleep(RETRY_S)

    async def _publish(self, stream: str, subject: str, data: bytes, headers: dict[str, str]) -> int:
        """Raises `APIError` when the broker refuses, `AppendUnknown` when it does not answer."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        if not self.is_connected:
            raise AppendUnknown(f"{subject}: not connected")
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        answer = self._stored[number] = loop.create_future()
        timer = loop.call_later(APPEND_TIMEOUT_S, _lapse, answer)
        headers[Header.EXPECTED_STREAM.value] = stream
        try:
            await self._client.publish(subject, data, reply=f"{self._inbox}.{number}", headers=headers)
            stored = _stored.decode(await answer)
        # Neither a closed connection nor a message that is too large gets better by trying again.
        except (nats.errors.ConnectionClosedError, nats.errors.MaxPayloadError):
            raise
        except (*UNANSWERED, msgspec.DecodeError) as error:
            # What cannot be read is the empty word of a server that has no such stream yet.
            raise AppendUnknown(f"{subject}: {error!r}") from error
        finally:
            timer.cancel()
            del self._stored[number]
        if stored.error is not None:
            nats.js.errors.APIError.from_error(msgspec.structs.asdict(stored.error))
        return stored.seq

    async def _hear_stored(self, message: Msg) -> None:
        answer = self._stored.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message.data)

    async def _last(self, stream: str, subject: str) -> tuple[int, bytes] | None:
        try:
            found = await self._answered(lambda: self._jetstream.get_last_msg(stream, subject))
        except nats.js.errors.NotFoundError as error:
            if error.err_code != NO_MESSAGE:
                raise
            return None
        assert found.seq is not None
        return found.seq, found.data or b""

    async def _head(self, writer: str) -> tuple[int, _Head]:
        """Where the head of the writer's snapshot stands, 0 when there is none, and what it says."""
        found = await self._last(SNAPSHOTS, f"{SNAPSHOTS}.{writer}.head")
        if found is None:
            return 0, _Head(parts=[], hash="", sequence=0)
        return found[0], msgspec.json.decode(found[1], type=_Head)

    async def _part(self, sequence: int) -> bytes:
        try:
            return (await self._answered(lambda: self._jetstream.get_msg(SNAPSHOTS, sequence))).data or b""
        except nats.js.errors.NotFoundError:
            return b""  # the hash will tell


def _lapse(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError("no answer"))


class _ApiError(msgspec.Struct, frozen=True):
    code: int
    err_code: int = 0
    description: str = ""


class _Stored(msgspec.Struct, frozen=True):
    """The broker's word on an append."""

    seq: int = 0
    error: _ApiError | None = None


_stored = msgspec.json.Decoder(_Stored)


class _Head(msgspec.Struct, frozen=True):
    """Which parts make a snapshot, and what they must hash to."""

    parts: list[int]
    hash: str
    sequence: int


def _packed(snapshot: Snapshot) -> tuple[bytes, str]:
    """The stored form and its hash. Takes long enough for a large state to be done in a thread."""
    data = zlib.compress(msgspec.msgpack.encode(snapshot), 1)
    return data, blake2b(data, digest_size=16).hexdigest()


class _Listening:
    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()


class _NatsReading:
    """Keeps one consumer delivering, from `position` on, whatever happens to server and connection."""

    def __init__(self, log: NatsLog, stream: str, after: int, into: Into, failed: Callable[[Exception], None]) -> None:
        self._log = log
        self._client = log._client
        self._stream = stream
        self._position = after
        self._into = into
        self._failed = failed
        self._restart = asyncio.Event()
        self._ended = False
        # A sign of life came since it was last looked for.
        self._alive = False
        # What the reader asked to be waited for, if anything.
        self._busy: asyncio.Future[object] | None = None
        # Messages of any consumer but the newest are ignored.
        self._generation = 0
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._over)

    def restart(self) -> None:
        self._restart.set()

    async def stop(self) -> None:
        self._log._readings.discard(self)
        self._end()
        if self._busy is not None:
            self._busy.cancel()
        self._task.cancel()
        await asyncio.wait({self._task})

    def _end(self) -> None:
        self._ended = True
        self._restart.set()

    def _fail(self, error: Exception) -> None:
        """The reader stops at the frame it cannot take, and its owner hears why."""
        if not self._ended:
            self._end()
            self._failed(error)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._fail(error)

    async def _run(self) -> None:
        while not self._ended:
            self._restart.clear()
            await self._log._connected.wait()
            await self._taken()
            try:
                await self._deliver()
            except nats.js.errors.NotFoundError as error:
                raise ChainBroken(f"{self._stream} is gone: {error.description}") from error
            except nats.errors.ConnectionClosedError:
                raise  # the server sent this client away for good
            except UNANSWERED as error:
                logger.debug("reading %s is interrupted: %r", self._stream, error)
                await asyncio.sleep(RETRY_S)

    async def _deliver(self) -> None:
        """The life of one consumer. Returns when it has to be made anew."""
        self._generation += 1
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(
            inbox, cb=self._callback(self._generation), pending_msgs_limit=PENDING_MESSAGES
        )
        try:
            async with self._log._call(CALL_TIMEOUT_S):
                await self._consume(inbox)
            await self._watch()
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _consume(self, inbox: str) -> None:
        """Has the server deliver to `inbox` from our position on. Raises `ChainBroken` if that is trimmed or lost."""
        state = (await self._log._jetstream.stream_info(self._stream)).state
        if state.last_seq < self._position or (
            state.first_seq > self._position + 1 and state.last_seq > self._position
        ):
            raise ChainBroken(
                f"{self._stream}: the frames after {self._position} are wanted, "
                f"the log has {state.first_seq} to {state.last_seq}"
            )
        await self._log._jetstream.add_consumer(
            self._stream,
            ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._position + 1,
                ack_policy=AckPolicy.NONE,
                max_deliver=1,
                flow_control=True,
                idle_heartbeat=HEARTBEAT_S,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=5.0,
            ),
        )

    async def _watch(self) -> None:
        """Returns when there was no sign of life, or a restart was asked for."""
        while True:
            self._alive = False
            try:
                async with asyncio.timeout(3 * HEARTBEAT_S):
                    await self._restart.wait()
                return
            except TimeoutError:
                # A busy reader does not look at signs of life.
                if not self._alive and self._busy is None:
                    return

    def _callback(self, generation: int) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            if generation != self._generation or self._restart.is_set():
                return
            self._alive = True
            if message.headers and "Status" in message.headers:
                await self._control(message, message.headers)
                return
            sequence = _sequence(message.reply)
            if sequence <= self._position:
                return
            if sequence != self._position + 1:
                await self._missing(sequence)
                return
            self._position = sequence
            try:
                busy = self._into(
                    Record(self._stream, sequence, message.data, _origin(self._stream, sequence, message))
                )
                if busy is not None:
                    self._busy = asyncio.ensure_future(busy)
                    await self._taken()
            except Exception as error:  # noqa: BLE001 - not swallowed: the owner hears it
                self._fail(error)

        return hear

    async def _taken(self) -> None:
        """Waits for a busy reader, also when its consumer was lost meanwhile. Raises what it raised."""
        busy = self._busy
        if busy is not None:
            await asyncio.wait({busy})
            self._busy = None
            busy.result()

    async def _control(self, message: Msg, headers: dict[str, str]) -> None:
        """Flow control is answered when everything before it has been taken, so a slow reader slows the server."""
        if headers["Status"] != "100":
            self._restart.set()  # the server says that the consumer is over
            return
        reply = message.reply or headers.get("Nats-Consumer-Stalled", "")
        if reply and self._log.is_connected:
            await self._client.publish(reply)
        last = int(headers.get("Nats-Last-Stream", 0))
        if last > self._position:
            await self._missing(last)

    async def _missing(self, sequence: int) -> None:
        """Tells a message lost on the way (read again) from one lost in the store (fail)."""
        wanted = self._position + 1
        logger.warning("%s: expected %d, got %d; reading again", self._stream, wanted, sequence)
        try:
            async with self._log._call(CALL_TIMEOUT_S):
                await self._log._jetstream.get_msg(self._stream, wanted)
        except UNANSWERED as error:
            if isinstance(error, nats.js.errors.APIError) and error.err_code == NO_MESSAGE:
                self._fail(ChainBroken(f"{self._stream}: frame {wanted} is gone, {sequence} is there"))
        self._restart.set()


def _sequence(reply: str) -> int:
    """The stream sequence from `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>...`, which newer servers begin with
    `$JS.ACK.<domain>.<account>.<stream>...`."""
    tokens = reply.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])


def _origin(stream: str, sequence: int, message: Msg) -> tuple[str, int]:
    source = message.headers.get("Nats-Stream-Source") if message.headers else None
    if source is None:
        return stream, sequence
    name, number = source.split(" ", 2)[:2]
    return name, int(number)


async def connect(url: str, name: str) -> NatsLog:
    """Connects, waiting for the server as long as it takes; afterwards the connection mends itself."""
    log: NatsLog | None = None
    # What stands before the @ is a secret.
    address = url.rpartition("@")[2].removeprefix("nats://")

    async def disconnected() -> None:
        if log is not None and not log.is_closed:
            logger.warning("the connection to %s is lost", address)
            log.disconnected()

    async def reconnected() -> None:
        if log is not None:
            logger.info("connected to %s again", address)
            log.reconnected()

    async def failed(error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            logger.warning("a reader is too slow: %r", error)
        elif isinstance(error, nats.errors.Error | OSError):
            logger.debug("nats: %r", error)  # ten times a second while the server is away
        else:
            logger.error("a message was not taken", exc_info=error)

    logger.info("connecting to %s", address)
    while True:
        try:
            client = await nats.connect(
                url,
                name=name,
                connect_timeout=1,
                reconnect_time_wait=0.1,
                max_reconnect_attempts=-1,
                # A server that does not answer for three seconds, or the way to it, is given up and looked for anew.
                ping_interval=1,
                max_outstanding_pings=2,
                # No buffer while disconnected: it would send publishes that were given up long before.
                pending_size=0,
                disconnected_cb=disconnected,
                reconnected_cb=reconnected,
                error_cb=failed,
            )
        except (nats.errors.Error, OSError, TimeoutError):
            await asyncio.sleep(RETRY_S)
            continue
        log = await NatsLog(client).open()
        return log


async def define(log: NatsLog, streams: list[str], merged: str, sources: list[str], replicas: int = 1) -> None:
    """Creates what is missing: one stream per writer, the merged one, and that of the snapshots."""
    existing = {info.config.name for info in await log.streams()}
    configs = [_stream(stream, replicas, subjects=[f"{stream}.*"], deny_delete=True) for stream in streams]
    configs.append(
        _stream(merged, replicas, sources=[StreamSource(name=source) for source in sources], deny_delete=True)
    )
    configs.append(_stream(SNAPSHOTS, replicas, subjects=[f"{SNAPSHOTS}.*.*"]))
    for config in configs:
        if config.name not in existing:
            await log.add_stream(config)


def _stream(name: str, replicas: int, **given: Any) -> StreamConfig:
    return StreamConfig(
        name=name,
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW_S,
        **given,
    )
