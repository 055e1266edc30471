# SPDX-License-Identifier: BSD-2-Clause
"""Requests that are sent to another backend: after a failure, or because the answer is late; and
backends that are put aside for what they answer."""
import threading

import pytest
from actors import answers, await_until, get, ok

POST = get('/', 'Content-Length: 5', method='POST') + b'hello'
BUSY = 'HTTP/1.1 503 Service Unavailable'


def named(name):
    return answers(ok(name.encode()))


def failing(status='500 Oops'):
    return answers(ok(b'bad', start=f'HTTP/1.1 {status}'))


class Never:
    """A story: takes requests and does not answer."""

    def __init__(self):
        self.over, self.arrived, self.ended = threading.Event(), [], []

    def __call__(self, conn):
        self.arrived.append(conn.request())
        try:
            conn.more()
        finally:
            self.ended.append(conn)


# ---- after a failure --------------------------------------------------------------------

@pytest.mark.parametrize('on, status', [('5xx', '500 Oops'), ('503', BUSY[9:]), ('429', '429 Slow'),
                                        ('5xx', '599 Odd')])
def test_a_status_is_another_ones_to_answer(stage, on, status):
    bad = stage.origin(failing(status))
    proxy = stage.proxy(bad, stage.origin(named('good')),
                        service=f'retry {{ on = {{ "{on}" }} }}')
    client = proxy.client()
    assert {client.ask(get()).body for _ in range(4)} == {b'good'}
    assert bad.conns and sorted(line['retries'] for line in proxy.logged(4)) == list('0011')


def test_without_another_one_it_is_handed_on(stage):
    proxy = stage.proxy(stage.origin(failing()), stage.origin(failing('502 Bad')),
                        service='retry { on = { "5xx" } }')
    answer = proxy.ask()
    assert answer.status in (500, 502) and answer.body == b'bad'
    assert proxy.logged(1)[0]['reason'] == 'ok'


@pytest.mark.parametrize('retry, request_bytes', [
    ('on = { "5xx" }', POST), ('on = { "5xx" }', get(method='PATCH')), ('on = { "503" }', get()),
    ('attempts = 0  on = { "5xx" }', get()), ('budget = 0  on = { "5xx" }', get()), ('', get()),
], ids=['POST', 'PATCH', 'other status', 'no attempts', 'no budget', 'default'])
def test_what_is_not_to_be_repeated_is_handed_on(stage, retry, request_bytes):
    bad = stage.origin(failing())
    proxy = stage.proxy(bad, (stage.origin(named('good')), 1, 'backup = yes'),
                        service=f'retry {{ {retry} }}')
    assert proxy.ask(request_bytes).status == 500


def test_the_budget_ends(stage):
    """Some a second, and a part of the requests beyond that."""
    origins = [stage.origin(failing()) for _ in range(2)]
    proxy = stage.proxy(*origins, service='retry { on = { "5xx" }  budget = 10 }')
    client = proxy.client()
    for _ in range(200):
        assert client.ask(get()).status == 500
    retries = sum(int(line['retries']) for line in proxy.logged(200))
    assert 10 <= retries <= 100


def test_a_late_answer_is_another_ones_to_give(stage):
    never = Never()
    proxy = stage.proxy(stage.origin(never), (stage.origin(named('good')), 1, 'backup = yes'),
                        service='response_timeout = 300ms  retry { on = { timeout, connect } }')
    assert proxy.ask().body == b'good'
    line = proxy.logged(1)[0]
    assert line['reason'] == 'ok' and line['retries'] == '1' and len(never.arrived) == 1


def test_attempts_are_counted(stage):
    origins = [stage.origin(failing()) for _ in range(5)]
    proxy = stage.proxy(*origins, service='retry { on = { "5xx" }  attempts = 2 }')
    assert proxy.ask().status == 500
    assert sum(len(o.conns) for o in origins) == 3


def test_a_refused_connection_is_not_tried_elsewhere_unless_said(stage):
    dead = stage.origin()
    dead.close()
    proxy = stage.proxy(dead, (stage.origin(named('good')), 1, 'backup = yes'),
                        service='retry { on = { closed } }')
    assert proxy.ask().status == 502 and proxy.ask().body == b'good'


# ---- hedges -----------------------------------------------------------------------------

def test_the_faster_of_two_answers(stage):
    """The loser's connection is closed."""
    never = Never()
    proxy = stage.proxy(stage.origin(never), stage.origin(named('good')),
                        service='retry { hedge_after = 20ms }')
    client = proxy.client()
    for _ in range(4):
        assert client.ask(get()).body == b'good'
    await_until(lambda: len(never.ended) == 2, 'the losers are closed')
    lines = proxy.logged(4)
    assert all(int(line['total_ms']) < 5000 and line['reason'] == 'ok' for line in lines)


def test_the_first_one_may_answer_after_all(stage):
    go, never = threading.Event(), Never()

    def late(conn):
        conn.request()
        go.wait()
        conn.send(ok(b'late'))
    proxy = stage.proxy(stage.origin(late), stage.origin(never),
                        service='retry { hedge_after = 20ms }')
    client = proxy.client()
    client.send(get())
    await_until(lambda: never.arrived, 'the hedge')
    go.set()
    assert client.answer().body == b'late'
    await_until(lambda: never.ended, 'the loser is closed')


@pytest.mark.parametrize('first_goes', [True, False])
def test_when_one_of_two_fails_the_other_goes_on(stage, first_goes):
    gone, go = threading.Event(), threading.Event()

    def leaves(conn):
        conn.request()
        gone.wait()

    def stays(conn):
        conn.request()
        go.wait()
        conn.send(ok(b'stays'))
    one, other = stage.origin(leaves if first_goes else stays), stage.origin(
        stays if first_goes else leaves)
    proxy = stage.proxy(one, other, service='retry { hedge_after = 20ms }')
    client = proxy.client()
    client.send(get())
    await_until(lambda: one.conns and other.conns, 'both are asked')
    gone.set()
    leaver = one if first_goes else other
    await_until(lambda: leaver.conns[0].sock.fileno() < 0, 'it has left')
    go.set()
    assert client.answer().body == b'stays'


def test_what_is_not_to_be_repeated_is_not_hedged(stage):
    never, other = Never(), stage.origin()
    proxy = stage.proxy(stage.origin(never), other,
                        service='response_timeout = 500ms  retry { hedge_after = 20ms }')
    assert proxy.ask(POST).status == 504 and other.untouched()


def test_hedges_after_the_percentile(stage):
    """Nothing is hedged before latencies are known; then what is later than most is."""
    asked = []

    def story(conn):
        while True:
            request = conn.request()
            asked.append(request.target)
            if request.target == '/slow' and asked.count('/slow') == 1:
                conn.more()
                return
            conn.send(ok(b'quick'))
    proxy = stage.proxy(stage.origin(story), stage.origin(story),
                        service='retry { hedge_after = p95  budget = 100 }')
    client = proxy.client()
    for _ in range(120):
        assert client.ask(get()).body == b'quick'
    assert client.ask(get('/slow')).body == b'quick' and asked.count('/slow') == 2


def test_a_client_that_leaves_takes_both_along(stage):
    nevers = Never(), Never()
    proxy = stage.proxy(*map(stage.origin, nevers), service='retry { hedge_after = 20ms }')
    before = proxy.descriptors()
    client = proxy.client()
    client.send(get())
    await_until(lambda: all(n.arrived for n in nevers), 'both are asked')
    client.reset()
    await_until(lambda: proxy.descriptors() == before, 'all is closed')
    assert proxy.logged(1)[0]['reason'] == 'client_gone'


# ---- outliers ---------------------------------------------------------------------------

def test_who_fails_in_a_row_is_put_aside(stage):
    bad, good = stage.origin(failing()), stage.origin(named('good'))
    proxy = stage.proxy(bad, good, service='outlier { consecutive = 3 }')
    client = proxy.client()
    statuses = [client.ask(get()).status for _ in range(20)]
    assert statuses.count(500) == 3
    assert 'backend stands out pool=site backend=b0' in proxy.said()


def test_it_comes_back(stage):
    bad, good = stage.origin(failing()), stage.origin(named('good'))
    proxy = stage.proxy(bad, good, service='outlier { consecutive = 3  time = 200ms }')
    client = proxy.client()
    await_until(lambda: client.ask(get()).status == 500, 'the first failure')
    await_until(lambda: 'stands out' in proxy.said() or client.ask(get()) and False, 'aside')
    await_until(lambda: client.ask(get()).status == 500, 'it is asked again')


def test_only_so_many_are_put_aside(stage):
    origins = [stage.origin(failing()) for _ in range(4)]
    proxy = stage.proxy(*origins, service='outlier { consecutive = 2  share = 50 }')
    client = proxy.client()
    for _ in range(30):
        assert client.ask(get()).status == 500
    assert proxy.said().count('stands out') <= 2
    requests = sorted(sum(c.got.count(b'GET ') for c in o.conns) for o in origins)
    assert requests[0] <= 3 and requests[1] <= 3 and requests[2] >= 8


def test_who_fails_more_often_than_others_is_put_aside(stage):
    seen = [0]

    def sometimes(conn):
        while True:
            conn.request()
            seen[0] += 1
            conn.send(ok(b'', start='HTTP/1.1 500 Oops') if seen[0] % 2 else ok())
    proxy = stage.proxy(stage.origin(sometimes), *(stage.origin(answers(ok())) for _ in range(4)),
                        service='outlier { consecutive = 0  interval = 1s  latency = 0 }')
    client = proxy.client()

    def found():
        for _ in range(300):
            client.ask(get())
        return 'backend=b0: put aside' in proxy.said()
    await_until(found, 'it is put aside')
    assert proxy.said().count('stands out') == 1
