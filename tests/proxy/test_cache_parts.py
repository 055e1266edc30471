# SPDX-License-Identifier: BSD-2-Clause
"""Parts that are put together (RFC 9111 section 3.4): only what is the same by strong tags."""
import pytest
from cached import Site, page

FRESH = 'Cache-Control: max-age=3600'
TAG = 'ETag: "x"'
ALL = bytes(range(256)) * 4


@pytest.fixture(scope='module')
def site(long_stage):
    return Site(long_stage)


def part(first, last, *fields, of=len(ALL)):
    return page(FRESH, f'Content-Range: bytes {first}-{last}/{of}', *fields,
                body=ALL[first:last + 1], start='HTTP/1.1 206 Partial Content')


def asked(site, path, first, last):
    answer = site.get(path, f'Range: bytes={first}-{last}')
    assert answer.status == 206 and answer['Content-Range'] == f'bytes {first}-{last}/{len(ALL)}'
    assert answer.body == ALL[first:last + 1]
    return answer


@pytest.mark.parametrize('one, other', [
    ((0, 99), (100, 299)), ((100, 299), (0, 99)), ((0, 199), (100, 299)), ((0, 299), (50, 60)),
], ids=['behind', 'in front', 'overlapping', 'within'])
def test_two_parts_are_one(site, one, other):
    path = site.page(part(*one, TAG, 'X-A: 1', 'X-B: 1'), part(*other, TAG, 'X-A: 2'))
    asked(site, path, *one)
    # What is there already would be answered from it.
    site.get(path, f'Range: bytes={other[0]}-{other[1]}', 'Cache-Control: no-cache')
    answer = asked(site, path, 0, 299)
    assert site.n(path) == 2 and 'hit' in answer['Cache-Status']
    assert answer['X-A'] == '2' and answer['X-B'] == '1'
    asked(site, path, 90, 110)
    assert site.n(path) == 2


def test_a_part_that_fills_a_gap(site):
    path = site.page(part(0, 99, TAG), part(200, 299, TAG), part(100, 199, TAG))
    for first in (0, 200, 100):
        asked(site, path, first, first + 99)
    asked(site, path, 0, 299)
    assert site.n(path) == 3


def test_parts_become_the_whole(site):
    half = len(ALL) // 2
    path = site.page(part(0, half - 1, TAG), part(half, len(ALL) - 1, TAG))
    asked(site, path, 0, half - 1)
    asked(site, path, half, len(ALL) - 1)
    for method, body in (('GET', ALL), ('HEAD', b'')):
        answer = site.get(path, method=method)
        assert answer.status == 200 and answer.body == body and not answer['Content-Range']
        assert answer['Content-Length'] == str(len(ALL)) and answer['ETag'] == '"x"'
    assert site.get(path, 'If-None-Match: "x"').status == 304
    asked(site, path, 5, 6)
    assert site.n(path) == 2


@pytest.mark.parametrize('one, other', [
    ([TAG], ['ETag: "y"']), (['ETag: W/"x"'], ['ETag: W/"x"']), ([], []), ([TAG], []),
], ids=['another tag', 'weak tags', 'no tags', 'one tag'])
def test_parts_that_may_not_be_of_the_same_thing(site, one, other):
    path = site.page(part(0, 99, *one), part(100, 199, *other), part(0, 199))
    asked(site, path, 0, 99)
    asked(site, path, 100, 199)
    asked(site, path, 0, 199)
    assert site.n(path) == 3


def test_parts_with_a_gap_between(site):
    path = site.page(part(0, 99, TAG), part(101, 199, TAG), part(0, 199, TAG))
    asked(site, path, 0, 99)
    asked(site, path, 101, 199)
    asked(site, path, 0, 199)
    assert site.n(path) == 3


def test_parts_of_variants_stay_apart(site):
    path = site.page(part(0, 99, TAG, 'Vary: X'), part(100, 199, TAG, 'Vary: X'),
                     part(0, 199, TAG, 'Vary: X'))
    site.get(path, 'Range: bytes=0-99', 'X: 1')
    site.get(path, 'Range: bytes=100-199', 'X: 2')
    site.get(path, 'Range: bytes=0-199', 'X: 2')
    assert site.n(path) == 3
