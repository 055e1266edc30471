# SPDX-License-Identifier: BSD-2-Clause
"""One answer for many: clients that wait for the same fetch, stale answers while the origin is
asked or down, origins that lie or break off, and what is for one client alone."""
import threading

import pytest
from actors import Broken, await_until, chunks, get, sanitized
from cached import Site, page, unmodified

FRESH = 'Cache-Control: max-age=3600'
STALE = 'Age: 3600'


@pytest.fixture(scope='module')
def site(long_stage):
    return Site(long_stage, 'wait_timeout = 20s', threads=2)


class Crowd:
    """Clients that all asked before the origin has answered one of them."""

    def __init__(self, site, path, n, *fields):
        self.clients = [site.proxy.client() for _ in range(n)]
        for client in self.clients:
            client.send(get(path, *fields))

    def answers(self):
        return [client.answer() for client in self.clients]


# ---- waiting for one fetch ----------------------------------------------------------------

def test_a_crowd_has_one_answer(site):
    path = site.page(page(FRESH, body=b'x' * 100000))
    gate = site.gate(path)
    crowd = Crowd(site, path, 50)
    await_until(lambda: site.n(path), 'the origin is asked')
    gate.set()
    answers = crowd.answers()
    assert all(a.body == b'x' * 100000 for a in answers) and site.n(path) == 1
    told = [a['Cache-Status'] for a in answers]
    assert sum('collapsed' in t or 'hit' in t for t in told) == 49


@pytest.mark.parametrize('threads', [1, 2])
def test_a_crowd_reads_while_it_arrives(stage, threads):
    origin = stage.origin()
    proxy = stage.proxy(origin, top='cache "main" { }', service='cache { }', threads=threads)
    clients = [proxy.client() for _ in range(5)]
    for client in clients:
        client.send(get('/'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n'
              b'Transfer-Encoding: chunked\r\n\r\n' + chunks(b'first', end=b''))
    for client in clients:
        client.until(b'first\r\n')
    clients.append(proxy.client())
    clients[-1].send(get('/'))
    clients[-1].until(b'first\r\n')
    conn.send(chunks(b'second'))
    for client in clients:
        assert client.until(b'0\r\n\r\n') == b'6\r\nsecond\r\n0\r\n\r\n'
    assert proxy.ask(get('/')).body == b'firstsecond' and origin.accepts_nothing()


@pytest.mark.parametrize('fields', [
    ['Cache-Control: private, max-age=60'], ['Cache-Control: no-store'], [],
    ['Set-Cookie: user=1'], [FRESH, 'Vary: *']])
def test_what_is_for_one_alone_goes_to_one(site, fields):
    count = iter(range(100))
    path = site.page(lambda request: page(*fields, body=b'%d' % next(count)))
    gate = site.gate(path)
    crowd = Crowd(site, path, 5)
    await_until(lambda: site.n(path), 'the origin is asked')
    gate.set()
    assert len({a.body for a in crowd.answers()}) == 5 and site.n(path) == 5


def test_users_with_authorization_do_not_wait_for_each_other(site):
    path = site.page(lambda r: page(FRESH, body=r['Authorization'].encode()))
    gate = site.gate(path)
    clients = [site.proxy.client() for _ in range(3)]
    for n, client in enumerate(clients):
        client.send(get(path, f'Authorization: Bearer {n}'))
    await_until(lambda: site.n(path) == 3, 'each is asked for')
    gate.set()
    assert [c.answer().body for c in clients] == [b'Bearer 0', b'Bearer 1', b'Bearer 2']


def test_variants_are_not_mixed_up(site):
    path = site.page(lambda r: page(FRESH, 'Vary: Foo', body=r['Foo'].encode()))
    gate = site.gate(path)
    clients = [site.proxy.client() for _ in range(4)]
    for n, client in enumerate(clients):
        client.send(get(path, f'Foo: {n % 2}'))
    await_until(lambda: site.n(path), 'the origin is asked')
    gate.set()
    assert [c.answer().body for c in clients] == [b'0', b'1', b'0', b'1']


def test_who_asked_first_may_leave(site):
    path = site.page(page(FRESH))
    gate = site.gate(path)
    first = site.proxy.client()
    first.send(get(path))
    await_until(lambda: site.n(path), 'the origin is asked')
    second = site.proxy.client()
    second.send(get(path))
    first.reset()
    gate.set()
    assert second.answer().body == b'one'
    assert 'hit' in site.get(path)['Cache-Status'] and site.n(path) == 1


def test_who_waited_too_long_asks_alone(stage):
    site = Site(stage, 'wait_timeout = 1ms')
    path = site.page(page(FRESH))
    gate = site.gate(path)
    crowd = Crowd(site, path, 2)
    await_until(lambda: site.n(path) == 2, 'both are asked for')
    gate.set()
    assert [a.body for a in crowd.answers()] == [b'one'] * 2


def test_a_failure_is_everybodys(site):
    path = site.page(b'nonsense\r\n\r\n')
    gate = site.gate(path)
    crowd = Crowd(site, path, 3)
    await_until(lambda: site.n(path), 'the origin is asked')
    gate.set()
    assert [a.status for a in crowd.answers()] == [502] * 3


def test_an_answer_that_changed_meanwhile_is_not_kept(site):
    path = site.page(page(FRESH), page(), page(FRESH, body=b'new'))
    gate = site.gate(path)
    first = site.proxy.client()
    first.send(get(path))
    await_until(lambda: site.n(path), 'the origin is asked')
    del site.gates[path]
    assert site.get(path, 'Content-Length: 0', method='POST').status == 200
    gate.set()
    assert first.answer().body == b'one'
    assert site.get(path).body == b'new'


# ---- stale answers ------------------------------------------------------------------------

def test_stale_while_revalidate(site):
    path = site.page(page('Cache-Control: max-age=3600, stale-while-revalidate=60', STALE),
                     page(FRESH, body=b'two'))
    site.get(path)
    stale = site.get(path)
    assert stale.body == b'one' and 'hit' in stale['Cache-Status']
    await_until(lambda: site.get(path).body == b'two', 'it is fetched anew')
    assert site.n(path) == 2


def test_stale_while_revalidate_has_an_end(site):
    path = site.page(page('Cache-Control: max-age=3600, stale-while-revalidate=60', 'ETag: "x"',
                          'Age: 3660'), unmodified(FRESH))
    site.get(path)
    assert site.get(path)['Cache-Status'].startswith('sluice; fwd=stale; fwd-status=304')


BROKEN = {'a failure of its own': page(start='HTTP/1.1 503 No'), 'nonsense': b'nonsense\r\n\r\n'}


@pytest.mark.parametrize('failure', BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize('control, served', [
    ('max-age=3600, stale-if-error=60', True), ('max-age=3600', True),
    ('max-age=3600, stale-if-error=0', False), ('max-age=3600, must-revalidate', False),
    ('max-age=3600, proxy-revalidate', False), ('s-maxage=3600', False),
    ('max-age=3600, no-cache', False)])
def test_stale_if_error(site, failure, control, served):
    path = site.page(page(f'Cache-Control: {control}', STALE, 'ETag: "x"'), failure)
    site.get(path)
    answer = site.get(path)
    assert (answer.status == 200) == served
    if served:
        assert answer.body == b'one' and 'stale-if-error' in answer['Cache-Status']


# ---- origins that are not to be trusted ---------------------------------------------------

def closing(answer):
    """The connection ends behind it."""
    return answer.replace(b'\r\n', b'\r\nConnection: close\r\n', 1)


@pytest.mark.parametrize('answer', [
    b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nshort',
    b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh',
    b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshortx',
], ids=['short', 'chunk', 'framing'])
def test_what_broke_off_is_not_kept(stage, answer):
    origin = stage.origin()
    proxy = stage.proxy(origin, top='cache "main" { }', service='cache { }')
    for _ in range(2):
        client = proxy.client()
        client.send(get('/'))
        conn = origin.accept()
        conn.request()
        conn.send(answer)
        client.until(b'\r\n\r\n')
        conn.close()
        with pytest.raises(Broken):
            client.until(b'never')


def test_more_than_max_object_is_passed_on(stage):
    site = Site(stage, memory='memory = 4m  max_object = 100k')
    large = b'0123456789' * 300000
    known = site.page(page(FRESH, body=large))
    unknown = site.page(b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n'
                        b'Transfer-Encoding: chunked\r\n\r\n' + chunks(large))
    for path in (known, unknown):
        for n in (1, 2):
            assert site.get(path).body == large and site.n(path) == n


def test_memory_is_bounded(stage):
    site = Site(stage, memory='memory = 4m')
    before = site.proxy.memory()
    sizes = {site.page(page(FRESH, body=b'x' * 100000)): 100000 for _ in range(200)}
    for path, size in sizes.items():
        assert len(site.get(path).body) == size
    hits = sum('hit' in site.get(path)['Cache-Status'] for path in list(sizes)[-20:])
    assert hits > 10
    if not sanitized():  # which keeps what was freed for a while
        assert site.proxy.memory() - before < 12000


def test_what_is_asked_for_again_stays(stage):
    site = Site(stage, memory='memory = 2m')
    hot = site.page(page(FRESH, body=b'x' * 1000))
    for _ in range(4):
        site.get(hot)
    for _ in range(100):
        site.get(site.page(page(FRESH, body=b'x' * 100000)))
        site.get(hot)
    assert site.n(hot) == 1


# ---- poisoning ----------------------------------------------------------------------------

POISONS = ['X-Original-URL: /admin', 'X-Rewrite-URL: /admin', 'X-HTTP-Method-Override: POST',
           'X-Host: evil', 'X-Forwarded-Host: evil', 'X-Forwarded-Scheme: http',
           'Forwarded: host=evil', 'X-Forwarded-Prefix: /x']


@pytest.mark.parametrize('field', POISONS)
def test_fields_that_poison_are_not_forwarded(site, field):
    name = field.split(':')[0]
    path = site.page(page(FRESH))
    site.get(path, field)
    assert site.asked[path][0][name] in ('', 'test')


def test_fields_that_are_allowed_or_in_the_key(stage):
    site = Site(stage, 'key_headers = { "X-Host" }  allow_headers = { "X-Original-URL" }  '
                       'key_cookies = { "lang" }')
    path = site.page(lambda r: page(FRESH, body=f"{r['X-Host']} {r['Cookie']}".encode()))
    assert site.get(path, 'X-Host: a', 'X-Original-URL: /x').body == b'a '
    assert site.asked[path][0]['X-Original-URL'] == '/x'
    assert site.get(path, 'X-Host: b').body == b'b '
    assert site.get(path, 'X-Host: a').body == b'a '
    assert site.get(path, 'X-Host: a', 'Cookie: x=1; lang=de').body == b'a x=1; lang=de'
    assert site.get(path, 'X-Host: a', 'Cookie: lang=de; y=2').body == b'a x=1; lang=de'
    assert site.n(path) == 3


# ---- settings -----------------------------------------------------------------------------

def test_settings(stage):
    site = Site(stage, 'default_ttl = 1h  ttl = { "404 1h", "200 0s" }  query = no  '
                       'set_cookie = never  request_directives = no  cache_status = no  '
                       'bypass_cookies = { "session" }')
    path = site.page(page(start='HTTP/1.1 203 x'), page(body=b'two'))
    assert [site.get(path).body for _ in range(2)] == [b'one'] * 2
    site.planned[path + '?x'] = [page(body=b'query')]
    assert site.get(path + '?x', 'Cache-Control: no-cache').body == b'one'
    assert not site.get(path)['Cache-Status']
    assert site.get(path, 'Cookie: a=b; session=1').body == b'two'
    path = site.page(page('Cache-Control: no-cache', 'ETag: "x"', start='HTTP/1.1 404 x'))
    site.get(path), site.get(path)
    path = site.page(page('Cache-Control: max-age=60', 'Set-Cookie: x=y', start='HTTP/1.1 203 x'))
    site.get(path), site.get(path)
    assert site.n(path) == 2
    path = site.page(page(FRESH))
    site.get(path), site.get(path)
    assert site.n(path) == 2


def test_hits_are_told_apart_in_the_access_log(stage):
    site = Site(stage)
    path = site.page(page(FRESH))
    site.get(path), site.get(path)
    first, second = site.proxy.logged(2)
    assert first['reason'] == 'ok' and first['upstream'] == site.origin.address()
    assert second['reason'] == 'cached' and second['upstream'] == '-'
    assert first['status'] == second['status'] == '200'
