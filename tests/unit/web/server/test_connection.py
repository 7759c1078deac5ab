"""One connection: order, back-pressure, deadlines, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from service.web.server.connections import Connections
from tests.unit.web.server.peer import LIMITS, App, Peer, request, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def run(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on a loop of its own."""

    def run_it() -> None:
        asyncio.run(test())

    return run_it


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_request_in_pieces_of_any_size_is_put_together(size: int) -> None:
    async def check() -> None:
        peer = Peer()
        sent = request(body=b"hello") + request("POST /?a=b", b"", "X-A:  b ")
        await peer.send(*(sent[at : at + size] for at in range(0, len(sent), size)))
        assert peer.statuses == [200, 200]
        assert b"<hello>" in peer.came
        assert (peer.app.asked[1].path, peer.app.asked[1].query) == (b"/", b"a=b")
        assert peer.app.asked[1].header(b"x-a") == b"b"

    asyncio.run(check())


@run
async def test_requests_that_come_at_once_are_answered_one_after_the_other() -> None:
    peer = Peer()
    peer.app.hold = asyncio.Event()
    await peer.send(request(body=b"1") + request(body=b"2") + request(body=b"3"))
    assert [one.body for one in peer.app.asked] == [b"1"]
    peer.app.hold.set()
    await turns()
    assert [one.body for one in peer.app.asked] == [b"1", b"2", b"3"]
    assert peer.came.index(b"<1>") < peer.came.index(b"<2>") < peer.came.index(b"<3>")


@run
async def test_what_comes_while_an_answer_is_made_waits_outside() -> None:
    peer = Peer()
    peer.app.hold = asyncio.Event()
    await peer.send(request(), request())
    assert peer.transport.paused
    assert len(peer.app.asked) == 1
    peer.app.hold.set()
    await turns()
    assert not peer.transport.paused
    assert peer.statuses == [200, 200]


@run
async def test_who_does_not_read_the_answers_gets_no_more_of_them() -> None:
    peer = Peer(enough=3)
    await peer.send(request() * 10)
    assert len(peer.statuses) == 3
    peer.connection.resume_writing()
    await turns(100)
    assert len(peer.statuses) == 10


@run
async def test_who_never_reads_the_answers_is_cut_off() -> None:
    peer = Peer(enough=3)
    await peer.send(request() * 10)
    peer.wait(LIMITS.send - 1)
    assert not peer.transport.aborted
    peer.wait(LIMITS.send + 1)
    assert peer.transport.aborted


@run
async def test_many_requests_of_one_connection_let_others_have_their_turn() -> None:
    peer = Peer()
    peer.connection.data_received(request() * 100)
    await turns(20)
    assert 0 < len(peer.statuses) < 30


@pytest.mark.parametrize(
    ("sent", "limit", "status"),
    [
        (b"", LIMITS.first_byte, []),
        (b"\r\n\r\n\r\n", LIMITS.first_byte, []),
        (b"POST / HTTP/1.1\r\nHost: ", LIMITS.head, [408]),
        (request(body=b"hello")[:-1], LIMITS.body, [408]),
        (request(), LIMITS.silence, [200]),
    ],
    ids=["no byte", "empty lines", "half a head", "half a body", "silence after an answer"],
)
def test_every_byte_has_a_deadline(sent: bytes, limit: float, status: list[int]) -> None:
    async def check() -> None:
        peer = Peer()
        await peer.send(*(sent[at : at + 1] for at in range(len(sent))))
        peer.wait(limit - 1)
        assert (peer.transport.ended, peer.transport.aborted) == (False, False)
        peer.wait(limit + 1)
        assert peer.transport.ended or peer.transport.aborted
        assert peer.statuses == status

    asyncio.run(check())


@run
async def test_more_bytes_do_not_move_a_deadline() -> None:
    peer = Peer()
    await peer.send(b"POST / HTTP/1.1\r\n")
    deadline = peer.connection.deadline
    await peer.send(b"Host: x\r\n", b"X-A: b\r\n")
    assert peer.connection.deadline == deadline


@run
async def test_what_a_refused_peer_still_sends_is_thrown_away_so_that_it_can_read_why() -> None:
    peer = Peer()
    await peer.send(request("POST /unsigned", b"x" * 90)[:-80], b"x" * 80, request())
    assert peer.statuses == [401]
    assert peer.transport.ended
    assert not peer.transport.aborted
    assert not peer.app.asked
    peer.wait(2)
    assert peer.transport.aborted


@run
async def test_a_request_that_its_head_condemns_leaves_the_connection_alive_if_its_body_is_there() -> None:
    peer = Peer()
    await peer.send(request("POST /unsigned") + request())
    assert peer.statuses == [401, 200]
    assert not peer.transport.ended


@run
async def test_a_client_that_leaves_is_noticed_and_its_answer_is_made_to_the_end() -> None:
    peer = Peer()
    peer.app.hold = asyncio.Event()
    await peer.send(request())
    gone = asyncio.ensure_future(peer.app.asked[0].gone())
    await turns()
    assert not gone.done()
    peer.leave()
    await turns()
    assert gone.done()
    peer.app.hold.set()
    await turns()
    assert peer.came == b""
    assert len(peer.connections) == 0


@run
async def test_a_process_that_ends_answers_what_is_under_way_and_closes_what_is_idle() -> None:
    connections = Connections(most=100, most_bytes=1000)
    idle, fresh, busy, half = (Peer(connections=connections) for _ in range(4))
    await idle.send(request())
    busy.app.hold = asyncio.Event()
    await busy.send(request())
    await half.send(request()[:-1])
    now = asyncio.get_running_loop().time()
    connections.finish(now + 1)
    assert idle.transport.ended
    assert (fresh.transport.aborted, busy.transport.ended, half.transport.ended) == (False, False, False)
    await half.send(b".")
    assert half.statuses == [200]
    assert half.transport.ended
    connections.sweep(now + 2)
    assert fresh.transport.aborted
    busy.app.hold.set()
    await turns()
    assert busy.statuses == [200]
    assert b"connection: close" in busy.came
    assert busy.transport.ended
    for peer in (idle, fresh, busy, half):
        peer.leave()
    async with asyncio.timeout(1):
        await connections.until_all_left()


@run
async def test_a_connection_that_is_over_is_forgotten_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        peer = Peer(App())
        await peer.send(request(), request()[:-1])
        peer.leave()
        await turns()
        connection = weakref.ref(peer.connection)
        del peer.transport.connection, peer.connection
        assert connection() is None
    finally:
        gc.enable()
