# SPDX-License-Identifier: BSD-2-Clause
"""Purging: one target, all that begin like it, what has a tag; softly; and by whom."""
import pytest
from actors import get
from cached import Site, page, unmodified

FRESH = 'Cache-Control: max-age=3600'


@pytest.fixture(scope='module')
def site(long_stage):
    return Site(long_stage, 'purge_from = { "127.0.0.0/8" }', threads=2)


def purge(site, path, *fields):
    return site.get(path, *fields, method='PURGE').status


def counted(site, path, *fields):
    """A page of which each answer is another."""
    count = iter(range(100))
    site.planned[path] = [lambda request: page(FRESH, *fields, body=b'%d' % next(count))]
    return site.get(path).body


def test_a_target(site):
    path = site.page(page(FRESH), page(FRESH, body=b'two'))
    assert purge(site, path) == 404
    site.get(path)
    assert purge(site, path) == 200 and purge(site, path) == 404
    assert site.get(path).body == b'two'


def test_all_that_begin_alike(site):
    for path in ('/a/1', '/a/2', '/b/1'):
        counted(site, path)
    assert purge(site, '/a/*') == 200
    assert [site.get(p).body for p in ('/a/1', '/a/2', '/b/1')] == [b'1', b'1', b'0']


def test_tags(site):
    counted(site, '/t/1', 'Cache-Tag: red, blue')
    counted(site, '/t/2', 'Surrogate-Key: green blue')
    counted(site, '/t/3', 'Cache-Tag: reddish')
    assert purge(site, '/', 'Cache-Tag: red') == 200
    assert [site.get(f'/t/{n}').body for n in (1, 2, 3)] == [b'1', b'0', b'0']
    assert purge(site, '/', 'Surrogate-Key: blue other') == 200
    assert [site.get(f'/t/{n}').body for n in (1, 2, 3)] == [b'2', b'1', b'0']


@pytest.mark.parametrize('how', ['', '*'])
def test_softly(site, how):
    path = site.page(page(FRESH, 'ETag: "x"'), unmodified(FRESH), page(start='HTTP/1.1 503 No'))
    site.get(path)
    assert purge(site, path + how, 'Sluice-Purge: soft') == 200
    assert 'fwd=' in site.get(path)['Cache-Status']
    assert 'hit' in site.get(path)['Cache-Status']
    assert purge(site, path + how, 'Sluice-Purge: soft') == 200
    assert 'stale-if-error' in site.get(path)['Cache-Status']


def test_only_by_those_who_may(site):
    path = site.page(page(FRESH), page(FRESH, body=b'two'))
    site.get(path)
    assert site.proxy.client('::1').ask(get(path, method='PURGE')).status == 403
    assert site.get(path).body == b'one'


def test_without_purge_from_it_is_the_origins(stage):
    site = Site(stage)
    path = site.page(page(FRESH), page(start='HTTP/1.1 405 No'))
    site.get(path)
    assert purge(site, path) == 405 and site.get(path).body == b'one'
