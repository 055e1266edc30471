# SPDX-License-Identifier: BSD-2-Clause
"""What is kept, for how long and for whom: RFC 9111, a row for each of its rules. A response that
is old when it comes (Age) is stale without waiting."""
import pytest
from actors import chunks, get, ok
from cached import Site, date, page, unmodified

FRESH = 'Cache-Control: max-age=3600'


@pytest.fixture(scope='module')
def site(long_stage):
    return Site(long_stage, 'stale_if_error = 0s')


# ---- storing and freshness (sections 3 and 4.2) -------------------------------------------

KEPT = {
    'max-age': [FRESH],
    'max-age, whatever Expires says': [FRESH, 'Expires: 0'],
    'max-age of more than 31 bits': ['Cache-Control: max-age=99999999999'],
    'max-age in quotes': ['Cache-Control: max-age="3600"'],
    'max-age with leading zeros': ['Cache-Control: max-age=003600'],
    'max-age in any letters': ['Cache-Control: MaX-aGe=3600'],
    'max-age beside unknown directives': ['Cache-Control: foobar, max-age=3600'],
    's-maxage alone': ['Cache-Control: s-maxage=3600'],
    's-maxage over max-age': ['Cache-Control: max-age=0, s-maxage=3600'],
    's-maxage over Expires': ['Cache-Control: s-maxage=3600', 'Expires: 0'],
    'Expires': [lambda: 'Expires: ' + date(3600), lambda: 'Date: ' + date()],
    'Expires without a good Date': [lambda: 'Expires: ' + date(3600), 'Date: foo'],
    'Expires of RFC 850': ['Expires: Thursday, 18-Aug-50 02:01:18 GMT'],
    'Expires of asctime': ['Expires: Thu Aug 18 02:01:18 2050'],
    'Last-Modified long ago': [lambda: 'Last-Modified: ' + date(-86400)],
    'Age that is no number': [FRESH, 'Age: abc'],
    'Age that is negative': [FRESH, 'Age: -7200'],
    'Age of two, the first counts': [FRESH, 'Age: 0, 7200'],
    'must-revalidate while fresh': ['Cache-Control: max-age=3600, must-revalidate'],
    'Set-Cookie with a lifetime': [FRESH, 'Set-Cookie: a=b'],
    'Pragma: no-cache means nothing here': [FRESH, 'Pragma: no-cache'],
    'must-understand over no-store': ['Cache-Control: max-age=3600, no-store, must-understand'],
    'CDN-Cache-Control': ['CDN-Cache-Control: max-age=3600'],
    'CDN-Cache-Control over no-store': ['Cache-Control: no-store',
                                        'CDN-Cache-Control: max-age=3600'],
    'CDN-Cache-Control over Expires': ['Expires: 0', 'CDN-Cache-Control: max-age=3600'],
    'Surrogate-Control': ['Surrogate-Control: max-age=3600'],
    'Surrogate-Control for us': ['Surrogate-Control: max-age=3600;sluice'],
    'Surrogate-Control over max-age': ['Cache-Control: max-age=0',
                                       'Surrogate-Control: max-age=3600'],
}
NOT_KEPT = {
    'nothing is said': [],
    'max-age=0': ['Cache-Control: max-age=0'],
    'max-age=0, whatever Expires says': ['Cache-Control: max-age=0',
                                         lambda: 'Expires: ' + date(3600)],
    'max-age that is negative': ['Cache-Control: max-age=-3600'],
    'max-age in single quotes': ["Cache-Control: max-age='3600'"],
    'max-age within a text': ['Cache-Control: x="max-age=3600", max-age=0'],
    's-maxage shorter than max-age': ['Cache-Control: max-age=3600, s-maxage=0'],
    's-maxage in another line': ['Cache-Control: max-age=3600', 'Cache-Control: s-maxage=0'],
    'Expires in the past': [lambda: 'Expires: ' + date(-3600)],
    'Expires now': [lambda: 'Expires: ' + date(), lambda: 'Date: ' + date()],
    'Expires that is no date': ['Expires: 0'],
    'Expires before Date': [lambda: 'Expires: ' + date(300), lambda: 'Date: ' + date(400)],
    'Age over max-age': [FRESH, 'Age: 7200'],
    'Age of 31 bits': [FRESH, 'Age: 2147483648'],
    'Age of two, the first is old': [FRESH, 'Age: 7200, 0'],
    'Age of two lines, the first is old': [FRESH, 'Age: 7200', 'Age: 0'],
    'Age over Expires less Date': [lambda: 'Expires: ' + date(10), lambda: 'Date: ' + date(-10),
                                   'Age: 25'],
    'Date long ago': [FRESH, lambda: 'Date: ' + date(-7200)],
    'no-store': ['Cache-Control: no-store, max-age=3600'],
    'no-store in any letters': ['Cache-Control: No-StOrE', FRESH],
    'private': ['Cache-Control: private, max-age=3600'],
    'no-cache without a validator': ['Cache-Control: no-cache, max-age=3600'],
    'Vary: *': [FRESH, 'Vary: *'],
    'Vary: *, among others': [FRESH, 'Vary: Foo, *'],
    'Vary: *, in the second line': [FRESH, 'Vary: Foo', 'Vary: *'],
    'Vary: what the proxy tells of the client': [FRESH, 'Vary: X-Forwarded-For'],
    'Set-Cookie without a lifetime': ['Set-Cookie: a=b',
                                      lambda: 'Last-Modified: ' + date(-86400)],
    'CDN-Cache-Control: no-store': [FRESH, 'CDN-Cache-Control: no-store'],
    'CDN-Cache-Control: private': [FRESH, 'CDN-Cache-Control: private'],
    'CDN-Cache-Control: max-age=0': [FRESH, 'CDN-Cache-Control: max-age=0'],
    'CDN-Cache-Control that is not sound': ['Cache-Control: no-store',
                                            'CDN-Cache-Control: max-age=3600, &&&'],
    'CDN-Cache-Control of a wrong type': ['Cache-Control: no-store',
                                          'CDN-Cache-Control: max-age="3600"'],
    'Surrogate-Control: no-store': [FRESH, 'Surrogate-Control: no-store'],
    'Surrogate-Control: max-age=0': [FRESH, 'Surrogate-Control: max-age=0'],
    'Surrogate-Control for another': ['Surrogate-Control: max-age=3600;them'],
    'a field that is both': ['Cache-Control: max-age =3600'],
}


def now(fields):
    return [f() if callable(f) else f for f in fields]


@pytest.mark.parametrize('fields', KEPT.values(), ids=KEPT)
def test_is_used_again(site, fields):
    path = site.page(page(*now(fields)), page(body=b'two'))
    assert site.get(path).body == b'one'
    again = site.get(path)
    assert again.body == b'one' and site.n(path) == 1
    assert again['Cache-Status'].startswith('sluice; hit; ttl=')


@pytest.mark.parametrize('fields', NOT_KEPT.values(), ids=NOT_KEPT)
def test_is_not_used_again(site, fields):
    path = site.page(page(*now(fields)), page(body=b'two'))
    assert site.get(path).body == b'one'
    again = site.get(path)
    assert again.body == b'two' and site.n(path) == 2
    assert 'hit' not in again['Cache-Status'] and 'fwd=' in again['Cache-Status']


GUESSED = (200, 203, 204, 404, 405, 410, 414, 501)
NOT_GUESSED = (201, 202, 302, 403, 502, 503, 504, 599)
ALL = (200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599)


def of_status(status, *fields):
    if status == 204:
        return '\r\n'.join(['HTTP/1.1 204 x', *fields, '', '']).encode()
    return page(*fields, start=f'HTTP/1.1 {status} Whatever')


@pytest.mark.parametrize('status', GUESSED)
def test_a_lifetime_may_be_guessed(site, status):
    path = site.page(of_status(status, 'Last-Modified: ' + date(-86400)))
    assert [site.get(path).status for _ in range(2)] == [status] * 2
    assert site.n(path) == 1


@pytest.mark.parametrize('status', NOT_GUESSED)
def test_a_lifetime_may_not_be_guessed(site, status):
    path = site.page(of_status(status, 'Last-Modified: ' + date(-86400)))
    assert [site.get(path).status for _ in range(2)] == [status] * 2
    assert site.n(path) == 2


def test_a_lifetime_may_be_guessed_for_what_is_public(site):
    path = site.page(of_status(599, 'Last-Modified: ' + date(-86400), 'Cache-Control: public'))
    assert [site.get(path).status for _ in range(2)] == [599] * 2 and site.n(path) == 1


@pytest.mark.parametrize('status', ALL)
def test_every_status_with_a_lifetime(site, status):
    path = site.page(of_status(status, FRESH))
    assert [site.get(path).status for _ in range(2)] == [status] * 2 and site.n(path) == 1
    path = site.page(of_status(status, FRESH, 'Age: 3600'))
    assert [site.get(path).status for _ in range(2)] == [status] * 2 and site.n(path) == 2


def test_a_status_that_is_not_understood(site):
    path = site.page(of_status(599, 'Cache-Control: max-age=3600, must-understand'))
    site.get(path), site.get(path)
    assert site.n(path) == 2


# ---- Authorization (section 3.5) ----------------------------------------------------------

@pytest.mark.parametrize('control, times', [
    ('max-age=3600', 2), ('public, max-age=3600', 1), ('must-revalidate, max-age=3600', 1),
    ('s-maxage=3600', 1)])
def test_authorization(site, control, times):
    path = site.page(page(f'Cache-Control: {control}'))
    site.get(path, 'Authorization: Basic Zm9v')
    assert site.asked[path][0]['Authorization'] == 'Basic Zm9v'
    site.get(path)
    assert site.n(path) == times


# ---- what an answer from the cache looks like ---------------------------------------------

def test_fields_of_an_answer(site):
    path = site.page(page(FRESH, 'Age: 30', 'Test: x', 'Set-Cookie: a=b', 'Date: ' + date(-1),
                          'Connection: a, b', 'A: 1', 'B: 2', 'C: 3', 'Keep-Alive: x',
                          'Proxy-Authenticate: x', 'Proxy-Authentication-Info: x'))
    first, again = site.get(path), site.get(path)
    assert int(again['Age']) in range(30, 40)
    assert again['Date'] == first['Date'] and again['Test'] == 'x' and again['C'] == '3'
    assert again['Set-Cookie'] == 'a=b' and again['Via'] == '1.1 sluice'
    assert not {'A', 'B', 'Keep-Alive', 'Proxy-Authenticate', 'Proxy-Authentication-Info',
                'Connection'} & set(again.names())


def test_fields_that_are_for_the_first_alone(site):
    path = site.page(page(FRESH, 'Cache-Control: no-cache="a, b", private=c', 'A: 1', 'B: 2',
                          'C: 3', 'D: 4'))
    first, again = site.get(path), site.get(path)
    assert {'A', 'B', 'C', 'D'} <= set(first.names())
    assert not {'A', 'B', 'C'} & set(again.names()) and again['D'] == '4'
    assert again['Via'] == '1.1 sluice' and site.n(path) == 1


def test_head_is_answered_from_get(site):
    path = site.page(page(FRESH, 'ETag: "x"', body=b'12345'))
    site.get(path)
    client = site.proxy.client()
    answer = client.ask(get(path, method='HEAD'))
    assert answer['Content-Length'] == '5' and answer['ETag'] == '"x"' and not answer.body
    assert client.ask(get(path)).body == b'12345' and site.n(path) == 1


def test_http10(site):
    path = site.page(page(FRESH, body=b'12345'))
    site.get(path)
    answer = site.get(path, version='1.0')
    assert answer.body == b'12345' and answer['Connection'] == 'close'
    answer = site.get(path, 'Connection: keep-alive', version='1.0')
    assert answer.body == b'12345' and answer['Connection'] == 'keep-alive'
    assert site.n(path) == 1


def test_bodies_of_every_framing(site):
    body = bytes(range(256)) * 5000
    chunked = (b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n'
               + chunks(body[:7], body[7:100000], body[100000:]))
    for answer in (page(FRESH, body=body), chunked, page(FRESH, body=b'')):
        path = site.page(answer)
        first, again = site.get(path), site.get(path)
        assert first.body == again.body and site.n(path) == 1
        assert again['Content-Length'] == str(len(again.body))
        assert not again['Transfer-Encoding']


# ---- keys ---------------------------------------------------------------------------------

def test_keys(site):
    path = site.page(page(FRESH))
    for query in ('?a=1', '?a=2'):
        site.planned[path + query] = [page(FRESH, body=query.encode())]
    for _ in range(2):
        assert site.get(path).body == b'one'
        assert site.get(path + '?a=1').body == b'?a=1'
        assert site.get(path + '?a=2').body == b'?a=2'
        assert site.proxy.ask(get(path).replace(b'Host: test', b'Host: TEST:80')).body == b'one'
        assert site.proxy.ask(get('/x/..' + path)).body == b'one'
    assert site.n(path) == 1
    assert site.proxy.ask(get(path).replace(b'Host: test', b'Host: other')).body == b'one'
    assert site.n(path) == 2


def test_a_key_that_is_too_long(site):
    path = site.page(page(FRESH)) + '/' + 'x' * 5000
    site.planned[path] = [page(FRESH)]
    assert [site.get(path).status for _ in range(2)] == [200, 200] and site.n(path) == 2


def test_methods_that_the_cache_does_not_know(site):
    path = site.page(page(FRESH))
    site.get(path)
    assert site.get(path, method='OPTIONS')['Cache-Status'] == 'sluice; fwd=bypass'
    assert site.proxy.ask(get(path, 'Content-Length: 2') + b'hi').status == 200
    assert site.n(path) == 3


# ---- Vary (section 4.1) -------------------------------------------------------------------

def varied(request):
    return page(FRESH, 'Vary: Foo, Bar', body=f"{request['Foo']}|{request['Bar']}".encode())


def test_variants(site):
    path = site.page(varied)
    ask = [[], ['Foo: 1'], ['Foo: 2'], ['Foo: 1', 'Bar: a'], ['Foo:']]
    first = [site.get(path, *fields).body for fields in ask]
    assert len(set(first)) == 4 and site.n(path) == 5
    assert [site.get(path, *fields, 'Other: x').body for fields in ask] == first
    assert site.n(path) == 5


@pytest.mark.parametrize('name, first, second, same', [
    ('Foo', ['1, 2'], ['1', '2'], True),
    ('Foo', ['1,2'], [' 1 ,  2 '], True),
    ('Foo', ['1, 2'], ['2, 1'], False),
    ('Foo', ['a'], ['A'], False),
    ('Accept-Language', ['en, de'], ['de, eN'], True),
    ('Accept-Language', ['en, de'], [' en ,   de'], True),
    ('Accept-Language', ['en'], ['de'], False),
    ('Accept-Encoding', ['gzip, br'], ['br,GZIP'], True),
    ('Accept-Encoding', ['gzip'], ['br'], False),
])
def test_what_is_the_same_variant(site, name, first, second, same):
    path = site.page(page(FRESH, f'Vary: {name}'), page(FRESH, body=b'two'))
    site.get(path, *[f'{name}: {value}' for value in first])
    answer = site.get(path, *[f'{name}: {value}' for value in second])
    assert answer.body == (b'one' if same else b'two')


def test_a_language_that_is_liked_best(site):
    path = site.page(page(FRESH, 'Vary: Accept-Language', 'Content-Language: de'), page(FRESH))
    site.get(path, 'Accept-Language: en, de')
    assert 'hit' in site.get(path, 'Accept-Language: fr;q=0.5, de;q=1.0')['Cache-Status']
    assert 'hit' not in site.get(path, 'Accept-Language: fr;q=0.9, de;q=0.1')['Cache-Status']


# ---- requests (section 5.2.1) -------------------------------------------------------------

@pytest.mark.parametrize('kept, asked, hit', [
    ([FRESH], 'max-age=0', True), ([FRESH, 'Age: 1800'], 'max-age=600', False),
    ([FRESH, 'Age: 1800'], 'max-age=2000', True), ([FRESH], 'min-fresh=4000', False),
    ([FRESH, 'Age: 2000'], 'min-fresh=2000', False), ([FRESH], 'min-fresh=1000', True),
    ([FRESH], 'no-cache', False), ([FRESH], 'no-store', False),
    (['Cache-Control: max-age=1500', 'ETag: "x"', 'Age: 2000'], 'max-stale=1000', True),
    (['Cache-Control: max-age=1500', 'ETag: "x"', 'Age: 2000'], 'max-stale', True),
    (['Cache-Control: max-age=1500', 'ETag: "x"', 'Age: 2000'], 'max-stale=100', False),
    (['Cache-Control: max-age=1500, must-revalidate', 'ETag: "x"', 'Age: 2000'], 'max-stale',
     False),
    ([FRESH], 'nothing-to-see-here', True),
])
def test_directives_of_requests(site, kept, asked, hit):
    path = site.page(page(*kept), page(body=b'two'))
    site.get(path)
    assert site.get(path, f'Cache-Control: {asked}').body == (b'one' if hit else b'two')


def test_pragma_of_requests(site):
    path = site.page(page(FRESH), page(FRESH, body=b'two'))
    site.get(path)
    assert site.get(path, 'Pragma: no-cache', 'Cache-Control: x').body == b'one'
    assert site.get(path, 'Pragma: foo').body == b'one'
    assert site.get(path, 'Pragma: no-cache').body == b'two'


def test_only_if_cached(site):
    path = site.page(page(FRESH))
    assert site.get(path, 'Cache-Control: only-if-cached').status == 504
    site.get(path)
    assert site.get(path, 'Cache-Control: only-if-cached').body == b'one'
    assert site.n(path) == 1


# ---- validation (section 4.3) -------------------------------------------------------------

STALE = ['Cache-Control: max-age=60', 'Age: 60']


def test_a_stale_response_is_validated(site):
    path = site.page(page(*STALE, 'ETag: "x"', 'Last-Modified: ' + date(-999), 'Test: a'),
                     unmodified(FRESH, 'Test: b', 'Other: c', 'ETag: "y"', 'Content-Type: t/h',
                                'Content-Encoding: no', 'Content-Length: 999'))
    site.get(path)
    answer = site.get(path)
    assert answer.status == 200 and answer.body == b'one'
    assert answer['Cache-Status'].startswith('sluice; fwd=stale; fwd-status=304; stored; ttl=')
    asked = site.asked[path][1]
    assert asked['If-None-Match'] == '"x"' and asked['If-Modified-Since']
    again = site.get(path)
    for a in (answer, again):
        assert (a['Test'], a['Other'], a['ETag']) == ('b', 'c', '"x"')
        assert a['Content-Length'] == '3' and not a['Content-Encoding']
        assert a['Content-Type'] == 't/h'
    assert 'hit' in again['Cache-Status'] and int(again['Age']) < 60 and site.n(path) == 2


def test_another_response_takes_its_place(site):
    path = site.page(page(*STALE, 'ETag: "x"'), page(FRESH, body=b'two'))
    assert [site.get(path).body for _ in range(3)] == [b'one', b'two', b'two']
    assert site.n(path) == 2


def test_no_cache_is_validated_each_time(site):
    path = site.page(page('Cache-Control: no-cache', 'ETag: W/"x"'), unmodified())
    assert [site.get(path).body for _ in range(3)] == [b'one'] * 3
    assert [r['If-None-Match'] for r in site.asked[path]] == ['', 'W/"x"', 'W/"x"']


def test_a_variant_is_validated_with_its_fields(site):
    path = site.page(page(*STALE, 'ETag: "x"', 'Vary: Abc'), unmodified(FRESH))
    site.get(path, 'Abc: 123')
    assert site.get(path, 'Abc: 123').body == b'one'
    assert site.asked[path][1]['Abc'] == '123' and site.asked[path][1]['If-None-Match'] == '"x"'


@pytest.mark.parametrize('tag, asked, status', [
    ('"x"', 'If-None-Match: "x"', 304), ('"x"', 'If-None-Match: W/"x"', 304),
    ('W/"x"', 'If-None-Match: "x"', 304), ('"x"', 'If-None-Match: "1", "x", "2"', 304),
    ('"x"', 'If-None-Match: "1", "2","x"', 304), ('"x,y"', 'If-None-Match: "x,y"', 304),
    ('"x"', 'If-None-Match: *', 304), ('"x"', 'If-None-Match: "y"', 200),
    ('"x"', 'If-None-Match: "xy"', 200), ('"y"', 'If-None-Match: "x,y"', 200),
])
def test_if_none_match(site, tag, asked, status):
    path = site.page(page(FRESH, f'ETag: {tag}', 'Content-Type: a/b', 'Vary: Foo'))
    site.get(path)
    answer = site.get(path, asked)
    assert answer.status == status and answer['ETag'] == tag and answer['Vary'] == 'Foo'
    assert bool(answer['Content-Type']) == (status == 200) and site.n(path) == 1


@pytest.mark.parametrize('since, status', [(-3000, 304), (-2000, 304), (-4000, 200)])
def test_if_modified_since(site, since, status):
    modified = date(-3000)
    path = site.page(page(FRESH, f'Last-Modified: {modified}'))
    site.get(path)
    wanted = modified if since == -3000 else date(since)
    assert site.get(path, f'If-Modified-Since: {wanted}').status == status
    both = site.get(path, f'If-Modified-Since: {wanted}', 'If-None-Match: "other"')
    assert both.status == 200 and site.n(path) == 1


def test_conditions_of_a_client_are_not_those_of_the_cache(site):
    path = site.page(page(FRESH, 'ETag: "x"'))
    assert site.get(path, 'If-None-Match: "x"').status == 304
    assert site.get(path).body == b'one'
    assert site.asked[path][0]['If-None-Match'] == '' and site.n(path) == 1


def test_if_match_is_for_the_origin(site):
    path = site.page(page(FRESH, 'ETag: "x"'))
    site.get(path)
    assert site.get(path, 'If-Match: "y"')['Cache-Status'] == 'sluice; fwd=bypass'
    assert site.n(path) == 2


# ---- invalidation (section 4.4) -----------------------------------------------------------

@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH'])
@pytest.mark.parametrize('status, gone', [(200, True), (303, True), (404, False), (500, False)])
def test_unsafe_methods(site, method, status, gone):
    path = site.page(page(FRESH), of_status(status), page(FRESH, body=b'two'))
    site.get(path)
    answer = site.proxy.ask(get(path, 'Content-Length: 2', method=method) + b'hi')
    assert answer['Cache-Status'] == 'sluice; fwd=method'
    assert site.get(path).body == (b'two' if gone else b'one')


@pytest.mark.parametrize('field, where, gone', [
    ('Location', '{}', True), ('Content-Location', '{}', True),
    ('Location', 'http://test{}', True), ('Location', '//TEST{}', True),
    ('Location', 'http://other{}', False), ('Location', 'https://test{}', False),
])
def test_what_an_unsafe_method_names(site, field, where, gone):
    named = site.page(page(FRESH), page(FRESH, body=b'two'))
    path = site.page(page(f'{field}: ' + where.format(named)))
    site.get(named)
    site.get(path, 'Content-Length: 0', method='POST')
    assert site.get(named).body == (b'two' if gone else b'one')


# ---- ranges (RFC 9110 section 14) ---------------------------------------------------------

@pytest.mark.parametrize('wanted, status, body, where', [
    ('bytes=0-1', 206, b'01', 'bytes 0-1/10'), ('bytes=8-', 206, b'89', 'bytes 8-9/10'),
    ('bytes=-1', 206, b'9', 'bytes 9-9/10'), ('bytes=5-99', 206, b'56789', 'bytes 5-9/10'),
    ('bytes=10-', 416, b'', 'bytes */10'), ('bytes=-0', 416, b'', 'bytes */10'),
    ('bytes=3-2', 200, b'0123456789', ''), ('lines=1-2', 200, b'0123456789', ''),
    ('bytes=0-9,0-9', 200, b'0123456789', ''),
])
def test_ranges_of_a_kept_response(site, wanted, status, body, where):
    path = site.page(page(FRESH, 'A: 1', body=b'0123456789'))
    site.get(path)
    answer = site.get(path, f'Range: {wanted}')
    assert (answer.status, answer.body, answer['Content-Range']) == (status, body, where)
    assert answer['A'] == '1' and site.n(path) == 1


def test_several_ranges(site):
    path = site.page(page(FRESH, 'Content-Type: text/x', body=b'0123456789' * 10))
    site.get(path)
    answer = site.get(path, 'Range: bytes=90-91,0-1,-2')
    assert answer.status == 206
    mark = answer['Content-Type'].removeprefix('multipart/byteranges; boundary=').encode()
    parts = answer.body.split(b'--' + mark)
    assert parts[0] == b'' and parts[-1] == b'--\r\n' and len(parts) == 5
    found = [part.strip(b'\r\n').split(b'\r\n\r\n') for part in parts[1:-1]]
    assert [content for _, content in found] == [b'01', b'01', b'89']
    assert [head.split(b'\r\n') for head, _ in found] == [
        [b'Content-Type: text/x', b'Content-Range: bytes %d-%d/100' % (a, a + 1)]
        for a in (90, 0, 98)]


@pytest.mark.parametrize('tag, condition, status', [
    ('"x"', '"x"', 206), ('"x"', '"y"', 200), ('W/"x"', 'W/"x"', 200)])
def test_if_range(site, tag, condition, status):
    path = site.page(page(FRESH, f'ETag: {tag}', body=b'0123456789'))
    site.get(path)
    assert site.get(path, 'Range: bytes=1-2', f'If-Range: {condition}').status == status


def partial(where, body, *fields):
    return page(FRESH, f'Content-Range: bytes {where}', *fields, body=body,
                start='HTTP/1.1 206 Partial Content')


def test_a_part_is_kept(site):
    path = site.page(partial('4-8/10', b'45678'), page(FRESH, body=b'whole'))
    first = site.get(path, 'Range: bytes=4-8')
    assert first.status == 206 and first.body == b'45678'
    assert site.asked[path][0]['Range'] == 'bytes=4-8'
    for wanted, body in (('4-8', b'45678'), ('5-6', b'56'), ('8-8', b'8')):
        answer = site.get(path, f'Range: bytes={wanted}')
        assert answer.status == 206 and answer.body == body
        assert answer['Content-Range'] == f'bytes {wanted}/10'
    assert site.n(path) == 1
    assert site.get(path).body == b'whole' and site.n(path) == 2


@pytest.mark.parametrize('where', ['4-9/10', '0-4/10', '4-8/*', '8-4/10', 'x'])
def test_a_part_that_does_not_fit_is_passed_on_alone(site, where):
    path = site.page(partial(where, b'45678'))
    for n in (1, 2):
        answer = site.get(path, 'Range: bytes=4-8')
        assert answer.status == 206 and answer.body == b'45678' and site.n(path) == n


# ---- interim answers ----------------------------------------------------------------------

def test_interim_answers_go_on_and_the_final_one_is_kept(site):
    path = site.page(b'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n' + page(FRESH))
    client = site.proxy.client()
    hints = client.ask(get(path))
    assert hints.status == 103 and hints['Link'] == '</x>'
    assert client.answer().body == b'one'
    assert client.ask(get(path)).body == b'one' and site.n(path) == 1


def test_trailers_are_dropped(site):
    path = site.page(b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked'
                     b'\r\n\r\n' + chunks(b'one', end=b'0\r\nX: y\r\n\r\n'))
    assert [site.get(path).body for _ in range(2)] == [b'one'] * 2 and site.n(path) == 1


def test_the_origin_sees_who_asks(site):
    path = site.page(ok(b'', FRESH))
    site.get(path)
    assert site.asked[path][0]['Surrogate-Capability'] == 'sluice="Surrogate/1.0"'
