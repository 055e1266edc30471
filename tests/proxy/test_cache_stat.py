# SPDX-License-Identifier: BSD-2-Clause
"""What the caches count, as the operator sees it: `sluice cache stat`."""
import json
import os
import signal
import subprocess

import pytest
from actors import SLUICED, await_until, get, ok
from cached import Site, page

FRESH = 'Cache-Control: max-age=3600'
SLUICE = os.path.join(os.path.dirname(SLUICED), 'sluice')


def stat(state, *words):
    return subprocess.run([SLUICE, 'cache', 'stat', '--state', state, *words], text=True,
                          capture_output=True, check=False)


@pytest.fixture
def site(stage, tmp_path):
    made = Site(stage, 'stale_if_error = 0s  purge_from = { "127.0.0.1" }', threads=2,
                daemon=f'state = "{tmp_path}/state"')
    made.state = f'{tmp_path}/state'
    return made


def counted(site, **wanted):
    """Waits until these numbers are shown; all that is shown."""
    def there():
        done = stat(site.state, '--json')
        caches = json.loads(done.stdout)['caches'] if done.returncode == 0 else [{}]
        seen = caches[0]
        return seen if wanted.items() <= seen.items() else None
    return await_until(there, f'{wanted}: {stat(site.state, "--json").stdout}')


def test_hits_misses_and_what_is_held(site):
    path = site.page(page(FRESH, body=b'x' * 1000))
    for _ in range(3):
        site.get(path)
    seen = counted(site, hits=2, misses=1, stored=1, objects=1)
    assert seen['name'] == 'main' and seen['memory'] == 16 << 20
    assert 1000 < seen['used'] < 4000
    shown = stat(site.state).stdout.splitlines()
    assert shown[0].split()[:4] == ['CACHE', 'USED', 'MEMORY', 'OBJECTS']
    assert shown[1].startswith('main ') and shown[1].endswith(' 66.7%')


def test_why_answers_are_not_kept(site):
    for fields in (['Cache-Control: no-store'], ['Cache-Control: private'], ['Vary: *', FRESH]):
        site.get(site.page(page(*fields)))
    seen = counted(site, misses=3, stored=0)
    assert {k: v for k, v in seen['refused'].items() if v} == {
        'no_store': 1, 'private': 1, 'vary_star': 1}
    assert '  not kept: no_store 1, private 1, vary_star 1' in stat(site.state).stdout


def test_validations_purges_and_what_went_past(site):
    path = site.page(page('Cache-Control: max-age=60', 'Age: 61', 'ETag: "x"'),
                     page(FRESH, 'ETag: "y"'), ok(b''))
    site.get(path)
    site.get(path)
    site.get(path, method='PURGE')
    site.get(path, 'Content-Length: 0', method='POST')
    counted(site, misses=1, validations=1, purged=1, passes=1, objects=0)


def test_counters_begin_anew_after_a_reload(site):
    path = site.page(page(FRESH))
    site.get(path)
    counted(site, objects=1)
    site.proxy.signal(signal.SIGHUP)
    site.proxy.awaits('reloaded')
    counted(site, objects=0, misses=0)
    site.get(path)
    counted(site, objects=1, misses=1)


def test_what_was_counted_is_shown_after_the_end_too(site):
    site.get(site.page(page(FRESH)))
    counted(site, objects=1)
    site.proxy.stop()
    assert counted(site, misses=1)


def test_where_nothing_counts(tmp_path):
    done = stat(tmp_path)
    assert done.returncode == 1 and 'no daemon with a cache' in done.stderr
    (tmp_path / 'caches').write_bytes(b'x' * 4096)
    done = stat(tmp_path)
    assert done.returncode == 1 and 'not what this version writes there' in done.stderr
    done = subprocess.run([SLUICE, 'cache'], text=True, capture_output=True, check=False)
    assert done.returncode == 2 and 'stat' in done.stderr
