"""What all connections of a process may take together, and which of them go first."""

from __future__ import annotations

import asyncio

from service.web.server.connections import Connections
from tests.unit.web.server.peer import App, Peer, request


def test_above_the_limit_the_one_that_was_silent_for_longest_goes() -> None:
    async def check() -> None:
        connections = Connections(most=3, most_bytes=1000)
        first, second, third = (Peer(connections=connections) for _ in range(3))
        await first.send(request())  # it has been silent for a shorter time than the others now
        fourth = Peer(connections=connections)
        assert second.transport.aborted
        assert not any(peer.transport.aborted for peer in (first, third, fourth))
        assert len(connections) == 3

    asyncio.run(check())


def test_who_is_being_answered_stays_and_the_newcomer_goes() -> None:
    async def check() -> None:
        connections = Connections(most=2, most_bytes=1000)
        app = App()
        app.hold = asyncio.Event()
        busy = [Peer(app, connections) for _ in range(2)]
        for peer in busy:
            await peer.send(request())
        newcomer = Peer(app, connections)
        assert newcomer.transport.aborted
        assert not any(peer.transport.aborted for peer in busy)

    asyncio.run(check())


def test_above_the_limit_of_bytes_the_oldest_unfinished_request_goes_and_whole_ones_are_answered() -> None:
    async def check() -> None:
        connections = Connections(most=100, most_bytes=1000)
        big = App(most=10_000)
        silent = Peer(connections=connections)
        unfinished = [Peer(big, connections) for _ in range(4)]
        for peer in unfinished:
            await peer.send(request(body=b"x" * 400)[:-100])
        webhook = Peer(connections=connections)
        await webhook.send(request())
        assert [peer.transport.aborted for peer in unfinished] == [True, True, False, False]
        assert not silent.transport.aborted
        assert webhook.statuses == [200]

    asyncio.run(check())


def test_bytes_are_given_back_when_a_request_is_answered_or_its_client_leaves() -> None:
    async def check() -> None:
        connections = Connections(most=100, most_bytes=1000)
        for _ in range(20):
            peer = Peer(connections=connections)
            sent = request(body=b"x" * 90)
            await peer.send(sent[:-1], sent[-1:])
            assert peer.statuses == [200]
            assert peer.connection.held == 0
            await peer.send(sent[:-1])
            peer.leave()
        assert len(connections) == 0

    asyncio.run(check())


def test_large_requests_that_wait_for_their_answer_count_too() -> None:
    async def check() -> None:
        connections = Connections(most=100, most_bytes=50_000)
        app = App(most=100_000)
        app.hold = asyncio.Event()
        peers = [Peer(app, connections) for _ in range(3)]
        for peer in peers:
            await peer.send(request(body=b"x" * 20_000))
        assert [peer.statuses for peer in peers] == [[], [], [503]]

    asyncio.run(check())
