# SPDX-License-Identifier: BSD-2-Clause
"""What requests that go past the cache change in it: HEAD and POST."""
import pytest
from actors import Broken, await_until, get, ok
from cached import Site, page

FRESH = 'Cache-Control: max-age=3600'


@pytest.fixture(scope='module')
def site(long_stage):
    return Site(long_stage, 'stale_if_error = 0s')


# ---- invalidation (section 4.4) where keys have more than a target ------------------------

def test_what_an_unsafe_method_names_in_a_route(stage):
    site = Site(stage, 'key_headers = { "X-Host" }')
    routed = Site(stage, beside='route "pages" { path = "/page*" }')
    for at, fields in ((site, ['X-Host: a']), (routed, [])):
        named = at.page(page(FRESH), page(FRESH, body=b'two'))
        path = at.page(page(f'Location: {named}'))
        at.get(named, *fields)
        assert at.get(named, *fields).body == b'one'
        at.get(path, 'Content-Length: 0', *fields, method='POST')
        assert at.get(named, *fields).body == b'two'


# ---- HEAD renews what is kept (section 4.3.5) ---------------------------------------------

def old(*fields, body=b'12345'):
    return page('Cache-Control: max-age=60', 'Age: 61', *fields, body=body)


def head_only(*fields, status='200 OK'):
    return '\r\n'.join([f'HTTP/1.1 {status}', *fields, '', '']).encode()


@pytest.mark.parametrize('fields', [
    ['ETag: "x"', 'Content-Length: 5'], ['ETag: "x"'],
], ids=['a length that is the same', 'no length'])
def test_head_renews_a_stale_response(site, fields):
    path = site.page(old('ETag: "x"', 'X-A: 1', 'X-B: 1'), head_only(*fields, FRESH, 'X-A: 2'))
    site.get(path)
    assert site.get(path, method='HEAD')['Cache-Status'] == 'sluice; fwd=stale'
    again = site.get(path)
    assert again.body == b'12345' and site.n(path) == 2
    assert again['X-A'] == '2' and again['X-B'] == '1' and 'hit' in again['Cache-Status']


@pytest.mark.parametrize('answer', [
    head_only('ETag: "y"', FRESH), head_only('ETag: "x"', 'Content-Length: 6', FRESH),
    head_only('ETag: "x"', 'Cache-Control: no-store'),
], ids=['another tag', 'another length', 'not to be kept'])
def test_head_tells_that_a_response_is_not_the_same(site, answer):
    path = site.page(page(FRESH, 'ETag: "x"', body=b'12345'), answer, page(FRESH, body=b'two'))
    site.get(path)
    site.get(path, 'Cache-Control: no-cache', method='HEAD')
    assert site.get(path).body == b'two'
    assert site.asked[path][2]['If-None-Match'] == '"x"'


@pytest.mark.parametrize('asked, answer', [
    ([], head_only('ETag: "y"', status='404 Not Found')),
    (['Authorization: x'], head_only('ETag: "y"', FRESH)),
], ids=['another status', 'for one user'])
def test_head_that_says_nothing_about_what_is_kept(site, asked, answer):
    path = site.page(page(FRESH, 'ETag: "x"', body=b'12345'), answer)
    site.get(path)
    site.get(path, 'Cache-Control: no-cache', *asked, method='HEAD')
    assert site.get(path).body == b'12345' and site.n(path) == 2


def test_head_does_not_bring_back_what_was_purged(site):
    path = site.page(old('ETag: "x"'), head_only('ETag: "x"', FRESH), ok(b''),
                     page(FRESH, body=b'two'))
    site.get(path)
    gate = site.gate(path)
    client = site.proxy.client()
    client.send(get(path, method='HEAD'))
    await_until(lambda: site.n(path) == 2, 'the origin is asked')
    del site.gates[path]
    site.get(path, 'Content-Length: 0', method='POST')
    gate.set()
    assert client.answer(method='HEAD').status == 200
    assert site.get(path).body == b'two'


# ---- POST that says what GET would get (RFC 9110 section 9.3.3) ---------------------------

def post(site, path, *fields):
    return site.proxy.ask(get(path, 'Content-Length: 2', *fields, method='POST') + b'hi')


def test_an_answer_to_post_is_kept_for_get(site):
    path = site.page(page(FRESH, body=b'old'), None, page(FRESH, body=b'never'))
    body = bytes(range(256)) * 3000
    site.planned[path][1] = page(FRESH, f'Content-Location: {path}', body=body)
    site.get(path)
    answer = post(site, path)
    assert answer.body == body and answer['Cache-Status'] == 'sluice; fwd=method; stored'
    again = site.get(path)
    assert again.body == body and 'hit' in again['Cache-Status'] and site.n(path) == 2
    assert site.get(path, method='HEAD')['Content-Length'] == str(len(body))


POST_NOT_KEPT = {
    'no Content-Location': ([], [FRESH]),
    'of another target': ([], [FRESH, 'Content-Location: /elsewhere']),
    'no lifetime of its own': ([], ['Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT',
                                    'Content-Location: {}']),
    'private': ([], [FRESH, 'Cache-Control: private', 'Content-Location: {}']),
    'variants': ([], [FRESH, 'Vary: X', 'Content-Location: {}']),
    'asked with Authorization': (['Authorization: x'], [FRESH, 'Content-Location: {}']),
    'asked with no-store': (['Cache-Control: no-store'], [FRESH, 'Content-Location: {}']),
    'asked with what may poison': (['X-Original-URL: /x'], [FRESH, 'Content-Location: {}']),
}


@pytest.mark.parametrize('asked, fields', POST_NOT_KEPT.values(), ids=POST_NOT_KEPT)
def test_an_answer_to_post_is_not_kept(site, asked, fields):
    path = site.page()
    site.planned[path] = [page(*(f.format(path) for f in fields)), page(FRESH, body=b'two')]
    assert post(site, path, *asked)['Cache-Status'] == 'sluice; fwd=method'
    assert site.get(path).body == b'two'


def test_an_answer_to_post_that_broke_off_is_not_kept(stage):
    origin = stage.origin()
    proxy = stage.proxy(origin, top='cache "main" { }', service='cache { }')
    client = proxy.client()
    client.send(get('/x', 'Content-Length: 2', method='POST') + b'hi')
    conn = origin.accept()
    conn.request()
    conn.send(page(FRESH, 'Content-Location: /x', body=b'0123456789')[:-3])
    client.until(b'0123456')
    conn.close()
    with pytest.raises(Broken):
        client.until(b'never')
    client = proxy.client()
    client.send(get('/x'))
    conn = origin.accept()
    conn.request()
    conn.send(page(FRESH, body=b'two'))
    assert client.answer().body == b'two'


def test_who_asks_meanwhile_reads_the_answer_to_post(stage):
    origin = stage.origin()
    proxy = stage.proxy(origin, top='cache "main" { }', service='cache { }')
    poster, reader = proxy.client(), proxy.client()
    poster.send(get('/x', 'Content-Length: 2', method='POST') + b'hi')
    conn = origin.accept()
    conn.request()
    conn.send(page(FRESH, 'Content-Location: /x', body=b'0123456789')[:-3])
    poster.until(b'0123456')
    reader.send(get('/x'))
    reader.until(b'0123456')
    conn.send(b'789')
    assert poster.until(b'789') and reader.until(b'789')
    assert origin.accepts_nothing()
