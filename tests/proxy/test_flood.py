# SPDX-License-Identifier: BSD-2-Clause
"""Connections opened and left, as many as there are descriptors for: each holds little, all of
them end in time, and who has something to say is served meanwhile."""
import resource

import pytest
from actors import answers, await_until, get, ok, sanitized

MOST = 10000
LEFT = {
    'silent': b'',
    'in a head': b'GET / HTTP/1.1\r\nHost: test\r\nX: ',
    'in a body': get('/', 'Content-Length: 100000', method='POST') + b'x' * 100,
}


def affordable():
    """Connections; each in the body has an end at the origin too, which lives here."""
    return min(MOST, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2)


@pytest.mark.parametrize('left, kilobytes', zip(LEFT.values(), (1, 4, 8)), ids=LEFT)
def test_connections_that_are_left(stage, left, kilobytes):
    n = affordable()
    if n < 1000:
        pytest.skip('needs 2500 descriptors: ulimit -n')
    origin = stage.origin(answers(ok(b'hello'))) if b'POST' not in left else stage.origin()
    proxy = stage.proxy(origin, service='header_timeout = 5s  body_timeout = 5s',
                        daemon='max_connections = 40000')
    good = stage.origin(answers(ok(b'hello')))
    other = stage.proxy(good).client()
    before, memory = proxy.descriptors(), proxy.memory()
    clients = []
    for _ in range(n if b'POST' not in left else n // 4):
        client = proxy.client()
        if left:
            client.send(left)
        clients.append(client)
        if b'POST' in left:
            origin.accept()
    await_until(lambda: proxy.descriptors() >= before + len(clients), 'all are accepted')
    assert sanitized() or proxy.memory() - memory < kilobytes * len(clients)
    if b'POST' not in left:
        assert proxy.ask().body == b'hello'
    assert other.ask(get()).body == b'hello'
    await_until(lambda: proxy.descriptors() <= before + 4, 'all have been ended')
    if b'POST' not in left:
        assert proxy.ask().body == b'hello'
