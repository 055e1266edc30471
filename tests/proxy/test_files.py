# SPDX-License-Identifier: BSD-2-Clause
"""Routes with files: which file answers, what is said of it, and what nobody gets."""
import email.utils
import os
import re
import signal
import socket
import subprocess

import pytest
from actors import SLUICED, Broken, await_until, get, sanitized
from certs import Authority, TlsClient, section

PAGE = b'<h1>hello</h1>\n'
LONG = bytes(range(256)) * 4096  # 1 MB

ROUTES = '''
	route "moved"  {{ path = "~ ^/app/(.*)$"  root = "{root}"  rewrite = "/sub/$1"  set_response = "X-App: $status" }}
	route "types"  {{ path = "/typed/*"  root = "{root}"  file_types = {{ "TXT = text/x-own", "bin = application/x-own" }}  charset = latin1  index = {{ "none.html", "a.txt" }} }}
	route "small"  {{ path = "/packed/*"  root = "{root}"  precompressed = yes }}
	route "files"  {{ root = "{root}" }}
'''


def write(path, content=PAGE, when=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(content)
    if when:
        os.utime(path, (when, when))
    return path


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    top = tmp_path_factory.mktemp('files')
    for folder in (top, *top.parents):  # the worker has another account
        if folder.stat().st_uid == os.getuid() and str(folder) not in ('/', '/tmp'):
            folder.chmod(folder.stat().st_mode | 0o755)
    outside = write(str(top / 'outside' / 'secret.txt'), b'secret')
    www = str(top / 'www')
    for name in ('index.html', 'sub/index.html', 'sub/page.css', 'sp ace.txt', 'a%b', '.hidden',
                 '.git/config', '.well-known/acme', '.well-known/.hidden', 'sub/.well-known/x',
                 'noext', 'DATA.JSON', 'typed/a.txt', 'typed/x.bin', 'a.tar.gz'):
        write(f'{www}/{name}')
    write(f'{www}/old', PAGE, 784111777)
    write(f'{www}/long.bin', LONG, 784111777)
    write(f'{www}/ten', b'0123456789', 784111777)
    write(f'{www}/empty', b'', 784111777)
    write(f'{www}/locked')
    os.chmod(f'{www}/locked', 0)
    os.makedirs(f'{www}/bare/index.html')  # a directory, and no file
    os.makedirs(f'{www}/evil.test')
    os.symlink(outside, f'{www}/out')
    os.symlink('../outside', f'{www}/outdir')
    os.symlink('/etc/passwd', f'{www}/absolute')
    os.symlink('/proc/self/root/etc/passwd', f'{www}/magic')
    os.symlink('sub/page.css', f'{www}/in')
    os.symlink('loop', f'{www}/loop')
    os.mkfifo(f'{www}/fifo')
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f'{www}/socket')
    for name, content, when in (('both', b'plain' * 99, 2000), ('both.br', b'br', 2000),
                                ('both.gz', b'gzip', 2000), ('zst.js', b'plain', 2000),
                                ('zst.js.zst', b'zstd', 3000), ('stale', b'new', 2000),
                                ('stale.gz', b'old', 1000)):
        write(f'{www}/packed/{name}', content, when)
    return www


@pytest.fixture(scope='module')
def site(long_stage, root):
    return long_stage.proxy(service=ROUTES.format(root=root))


def test_a_file(site):
    for path in ('/index.html', '/', '/?a=b', '//', '/sub/..'):
        answer = site.ask(get(path))
        assert answer.status == 200 and answer.body == PAGE, path
        assert answer['Content-Type'] == 'text/html; charset=utf-8'
        assert answer['Accept-Ranges'] == 'bytes' and answer['Date'] and not answer['Age']
    answer = site.ask(get('/old'))
    assert answer['Last-Modified'] == 'Sun, 06 Nov 1994 08:49:37 GMT'
    assert re.fullmatch(r'"[0-9a-f.-]+"', answer['ETag'])
    head = site.client().ask(get('/long.bin', method='HEAD'))
    assert head['Content-Length'] == str(len(LONG)) and head.body == b''
    assert site.ask(get('/long.bin')).body == LONG
    assert site.ask(get('/empty')).body == b''


@pytest.mark.parametrize('path, kind', [
    ('/sub/page.css', 'text/css; charset=utf-8'), ('/DATA.JSON', 'application/json'),
    ('/noext', 'application/octet-stream'), ('/a.tar.gz', 'application/gzip'),
    ('/in', 'application/octet-stream'), ('/typed/a.txt', 'text/x-own; charset=latin1'),
    ('/typed/', 'text/x-own; charset=latin1'), ('/typed/x.bin', 'application/x-own'),
    ('/sp%20ace.txt', 'text/plain; charset=utf-8'), ('/a%25b', 'application/octet-stream'),
    ('/.well-known/acme', 'application/octet-stream'), ('/app/page.css', 'text/css; charset=utf-8'),
    ('/app/', 'text/html; charset=utf-8')])
def test_types(site, path, kind):
    answer = site.ask(get(path))
    assert answer.status == 200 and answer['Content-Type'] == kind and answer.body == PAGE
    assert answer['X-App'] == ('200' if 'app' in path else '')


@pytest.mark.parametrize('path, status', [
    ('/none', 404), ('/sub/none', 404), ('/noext/', 404), ('/noext/x', 404), ('/bare/', 403),
    ('/locked', 403), ('/loop', 404), ('/' + 'x' * 300, 404), ('/' + 'x/' * 3000, 404),
    ('/fifo', 404), ('/socket', 404), ('/fifo/', 404)])
def test_what_is_not_there(site, path, status):
    answer = site.ask(get(path))
    if (path, os.getuid()) != ('/locked', 1):
        assert answer.status == status
    assert PAGE not in answer.body


TRAVERSALS = [
    '/../outside/secret.txt', '/%2e%2e/outside/secret.txt', '/.%2E/outside/secret.txt',
    '/sub/../../outside/secret.txt', '/sub/%2e%2e/%2e%2e/outside/secret.txt',
    '/..%2foutside%2fsecret.txt', '/sub%2f..%2f..%2foutside%2fsecret.txt',
    '/%2e%2e%2foutside/secret.txt', '/..%5coutside%5csecret.txt', '/..\\outside\\secret.txt',
    '/sub/%252e%252e/%252e%252e/outside/secret.txt', '/%c0%ae%c0%ae/outside/secret.txt',
    '/....//....//outside/secret.txt', '/..;/outside/secret.txt', '/%00/../outside/secret.txt',
    '/index.html%00.txt', '/out', '/outdir/secret.txt', '/outdir/', '/outdir', '/absolute',
    '/magic', '//etc/passwd', '///etc/passwd', '/%2fetc/passwd', '/%2f%2fetc/passwd',
    '/.hidden', '/%2ehidden', '/sub/../.hidden', '/.git/config', '/.git/', '/.git',
    '/.well-known/.hidden', '/sub/.well-known/x', '/.well-knownx/acme', '/proc/self/environ',
    '/app/../outside/secret.txt', '/app/..%2foutside', '/app/%2e%2e/%2e%2e/outside/secret.txt',
    '/app/.hidden', '/app/..', 'http://test/../outside/secret.txt']


@pytest.mark.parametrize('path', TRAVERSALS)
def test_nothing_outside(site, path):
    answer = site.ask(get(path))
    assert b'secret' not in answer.body and b'root:' not in answer.body
    assert answer.status in (400, 404) or answer.body == PAGE and path == '/app/..', answer.start


def test_a_directory_gets_its_slash(site):
    answer = site.ask(get('/sub?a=b/c'))
    assert answer.status == 301 and answer['Location'] == '/sub/?a=b/c'
    assert site.ask(get('/%73ub'))['Location'] == '/sub/'


def test_and_no_other_host(stage, root):
    proxy = stage.proxy(service=f'merge_slashes = no  route "f" {{ root = "{root}" }}')
    for path in ('//evil.test', '///evil.test'):
        answer = proxy.ask(get(path))
        assert answer.status == 301 and answer['Location'] == '/evil.test/'
    assert proxy.ask(get('//sub//page.css')).body == PAGE


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PURGE', 'PATCH'])
def test_methods(site, method):
    client = site.client()
    answer = client.ask(get('/old', method=method))
    assert answer.status == 405 and answer['Allow'] == 'GET, HEAD'
    assert client.ask(get('/old')).body == PAGE


def test_a_connection_goes_on(site):
    client = site.client()
    client.send(*(get(path) for path in ('/old', '/none', '/long.bin', '/sub', '/ten')))
    answers = [client.answer() for _ in range(5)]
    assert [a.status for a in answers] == [200, 404, 200, 301, 200]
    assert answers[2].body == LONG and answers[4].body == b'0123456789'
    old = site.client().ask(get('/old', version='1.0'))
    assert old['Connection'] == 'close' and old.body == PAGE
    body = site.client()
    body.send(get('/old', 'Content-Length: 5'), b'hello')
    answer = body.answer()
    assert answer.body == PAGE and answer['Connection'] == 'close'


# ---- conditions -------------------------------------------------------------------------

BEFORE, AT, AFTER = ('Sun, 06 Nov 1994 08:49:36 GMT', 'Sun, 06 Nov 1994 08:49:37 GMT',
                     'Sun, 06 Nov 1994 08:49:38 GMT')


@pytest.mark.parametrize('fields, status', [
    (['If-None-Match: TAG'], 304), (['If-None-Match: "x", W/TAG'], 304), (['If-None-Match: *'], 304),
    (['If-None-Match: "x"'], 200), (['If-None-Match: "x"', f'If-Modified-Since: {AFTER}'], 200),
    ([f'If-Modified-Since: {AT}'], 304), ([f'If-Modified-Since: {BEFORE}'], 200),
    (['If-Modified-Since: yesterday'], 200), (['If-Match: TAG'], 200), (['If-Match: *'], 200),
    (['If-Match: "x", TAG'], 200), (['If-Match: W/TAG'], 412), (['If-Match: "x"'], 412),
    (['If-Match: "x"', f'If-Unmodified-Since: {AFTER}'], 412),
    (['If-Match: TAG', f'If-Unmodified-Since: {BEFORE}'], 200),
    ([f'If-Unmodified-Since: {AT}'], 200), ([f'If-Unmodified-Since: {BEFORE}'], 412),
    (['If-Unmodified-Since: never'], 200), (['If-Match: TAG', 'If-None-Match: TAG'], 304),
    (['Range: bytes=0-0', 'If-None-Match: TAG'], 304), (['Range: bytes=0-0', 'If-Match: "x"'], 412),
    (['Range: bytes=0-0', 'If-Range: TAG'], 206), (['Range: bytes=0-0', 'If-Range: "x"'], 200),
    (['Range: bytes=0-0', 'If-Range: W/TAG'], 200), (['Range: bytes=0-0', f'If-Range: {AT}'], 206),
    (['Range: bytes=0-0', f'If-Range: {AFTER}'], 200)])
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_conditions(site, fields, status, method):
    tag = site.ask(get('/ten'))['ETag']
    client = site.client()
    answer = client.ask(get('/ten', *(f.replace('TAG', tag) for f in fields), method=method))
    if method == 'HEAD' and status == 206:
        status = 200  # ranges are of GET
    assert answer.status == status
    if status == 304:
        assert answer['ETag'] == tag and not answer['Content-Type'] and not answer['Content-Length']
    if status == 200:
        assert answer.body == (b'0123456789' if method == 'GET' else b'')
    assert client.ask(get('/ten')).status == 200


def test_a_date_of_this_second_is_no_strong_validator(site, root):
    write(f'{root}/now')
    date = site.ask(get('/now'))['Last-Modified']
    assert site.ask(get('/now', 'Range: bytes=0-0', f'If-Range: {date}')).status == 200


def test_a_time_that_is_still_to_come(site, root):
    write(f'{root}/future', PAGE, 4102444800)
    answer = site.ask(get('/future'))
    assert email.utils.parsedate_to_datetime(answer['Last-Modified']) <= \
        email.utils.parsedate_to_datetime(answer['Date'])


# ---- parts ------------------------------------------------------------------------------

@pytest.mark.parametrize('wanted, said, body', [
    ('0-3', 'bytes 0-3/10', b'0123'), ('3-', 'bytes 3-9/10', b'3456789'), ('-2', 'bytes 8-9/10', b'89'),
    ('9-99', 'bytes 9-9/10', b'9'), ('-99', 'bytes 0-9/10', b'0123456789')])
def test_a_part(site, wanted, said, body):
    answer = site.ask(get('/ten', f'Range: bytes={wanted}'))
    assert (answer.status, answer['Content-Range'], answer.body) == (206, said, body)


@pytest.mark.parametrize('path, wanted', [('/ten', '10-'), ('/ten', '-0'), ('/empty', '0-')])
def test_no_such_part(site, path, wanted):
    client = site.client()
    answer = client.ask(get(path, f'Range: bytes={wanted}'))
    assert answer.status == 416 and answer.body == b''
    assert answer['Content-Range'] == f'bytes */{0 if path == "/empty" else 10}'
    assert client.ask(get('/ten')).status == 200


def parts_of(answer):
    boundary = re.fullmatch('multipart/byteranges; boundary=(.*)', answer['Content-Type']).group(1)
    first, *parts, last = answer.body.split(b'--' + boundary.encode())
    assert first == b'' and last == b'--\r\n'
    return [part.split(b'\r\n\r\n', 1) for part in parts]


@pytest.mark.parametrize('path, content, kind', [
    ('/ten', b'0123456789', 'application/octet-stream'),
    ('/long.bin', LONG, 'application/octet-stream')])
def test_several_parts(site, path, content, kind):
    half = len(content) // 2
    client = site.client()
    answer = client.ask(get(path, f'Range: bytes=0-1, {half}-{half + 2}, -1'))
    parts = parts_of(answer)
    assert answer.status == 206 and len(parts) == 3
    for (head, body), (first, last) in zip(parts, ((0, 1), (half, half + 2),
                                                   (len(content) - 1, len(content) - 1))):
        assert f'Content-Range: bytes {first}-{last}/{len(content)}'.encode() in head
        assert f'Content-Type: {kind}'.encode() in head
        assert body == content[first:last + 1] + b'\r\n'
    assert client.ask(get('/ten')).body == b'0123456789'


# ---- compressed beforehand --------------------------------------------------------------

@pytest.mark.parametrize('path, accept, encoding, body', [
    ('both', 'gzip, br', 'br', b'br'), ('both', 'gzip', 'gzip', b'gzip'), ('both', '', '', b'plain' * 99),
    ('both', 'br;q=0.1, gzip', 'gzip', b'gzip'), ('both', 'zstd, gzip;q=0.5', 'gzip', b'gzip'),
    ('both', 'identity, gzip;q=0.5', '', b'plain' * 99), ('both', 'br;q=0', '', b'plain' * 99),
    ('zst.js', 'gzip, br, zstd', 'zstd', b'zstd'), ('stale', 'gzip', '', b'new')])
def test_precompressed(site, path, accept, encoding, body):
    answer = site.ask(get(f'/packed/{path}', *([f'Accept-Encoding: {accept}'] if accept else [])))
    assert (answer['Content-Encoding'], answer.body) == (encoding, body)
    assert answer['Vary'] == 'Accept-Encoding'
    assert answer['ETag'].endswith(f'-{encoding}"' if encoding else '"')
    if path == 'zst.js':
        assert answer['Content-Type'] == 'text/javascript; charset=utf-8'


def test_only_where_that_is_wanted(site, root):
    write(f'{root}/page.html')
    write(f'{root}/page.html.gz', b'gzip')
    answer = site.ask(get('/page.html', 'Accept-Encoding: gzip'))
    assert answer.body == PAGE and not answer['Vary'] and not answer['Content-Encoding']


# ---- on the way -------------------------------------------------------------------------

def sparse(path, size):
    with open(path, 'wb') as f:
        f.truncate(size)
    return path


def test_a_slow_reader_of_a_huge_file(site, root):
    sparse(f'{root}/huge', 1 << 30)
    site.ask(get('/long.bin'))
    before = site.memory()
    slow = [site.client(receive_buffer=4096) for _ in range(8)]
    for client in slow:
        client.send(get('/huge'))
        client.until(b'\r\n\r\n')
    client = site.client()
    for _ in range(20):  # the others are served meanwhile
        assert client.ask(get('/ten')).status == 200
    assert slow[0].exactly(1 << 20) == bytes(1 << 20)
    assert sanitized() or site.memory() - before < 1024
    for client in slow:
        client.close()


def test_a_file_that_is_cut_while_it_is_sent(site, root):
    sparse(f'{root}/cut', 1 << 28)
    client = site.client(receive_buffer=4096)
    client.send(get('/cut'))
    client.until(b'\r\n\r\n')
    os.truncate(f'{root}/cut', 1 << 20)
    assert client.gone() == 'reset'
    await_until(lambda: 'reason=file_cut' in ''.join(site.lines()), 'the line of the cut file')


def test_a_file_that_grows_ends_where_it_ended(site, root):
    sparse(f'{root}/grown', 1 << 24)
    client = site.client(receive_buffer=4096)
    client.send(get('/grown'))
    client.until(b'\r\n\r\n')
    os.truncate(f'{root}/grown', 1 << 25)
    client.exactly(1 << 24)
    assert client.ask(get('/ten')).body == b'0123456789'


def test_descriptors_are_given_back(site):
    before = site.descriptors()
    for path in ('/', '/bare/', '/none', '/long.bin', '/fifo', '/packed/both', '/sub'):
        site.ask(get(path, 'Accept-Encoding: gzip'))
        site.client().ask(get(path, method='HEAD'))
    client = site.client()
    client.send(get('/long.bin'))
    client.reset()
    for each in site.clients:
        each.close()
    await_until(lambda: site.descriptors() <= before, 'no descriptor more than before')


def test_over_tls(long_stage, root, tmp_path):
    authority = Authority(tmp_path)
    proxy = long_stage.proxy(service=section(authority.issue('site.test')) +
                             f'route "files" {{ root = "{root}" }}')
    client = TlsClient(proxy.port, authority.trust())
    hello = b'GET %s HTTP/1.1\r\nHost: site.test\r\n%s\r\n'
    client.send(hello % (b'/long.bin', b''))
    assert client.answer().body == LONG
    client.send(hello % (b'/long.bin', b'Range: bytes=5-500000, 600000-600001\r\n'))
    parts = parts_of(client.answer())
    assert parts[0][1] == LONG[5:500001] + b'\r\n' and parts[1][1] == LONG[600000:600002] + b'\r\n'
    client.send(hello % (b'/ten', b''))
    assert client.answer().body == b'0123456789'
    client.close()


# ---- the daemon -------------------------------------------------------------------------

def test_a_reload_sees_other_directories(stage, tmp_path, root):
    first, second = str(tmp_path / 'first'), str(tmp_path / 'second')
    tmp_path.chmod(0o755)
    write(f'{first}/which', b'first')
    proxy = stage.proxy(service=f'route "f" {{ root = "{first}" }}')
    assert proxy.ask(get('/which')).body == b'first'
    write(f'{second}/which', b'second')
    os.rename(first, first + '.old')
    os.rename(second, first)
    assert proxy.ask(get('/which')).body == b'first'
    proxy.signal(signal.SIGHUP)
    await_until(lambda: proxy.ask(get('/which')).body == b'second', 'the other directory')
    os.rename(first, second)
    proxy.signal(signal.SIGHUP)
    proxy.awaits('is not a directory')
    assert proxy.ask(get('/which')).body == b'second'


@pytest.mark.parametrize('settings, said', [
    ('root = "/does/not/exist"', 'root: "/does/not/exist" is not a directory (No such file or directory); write the path of one'),
    ('root = "/etc/passwd"', 'root: "/etc/passwd" is not a directory (Not a directory); write the path of one'),
    ('root = "www"', 'root: "www" is not a directory; write a path that begins with /'),
    ('root = "/"  deny = 403', 'root: a route does one thing, and this one has deny; remove one'),
    ('index = "a"', 'index goes with root; remove it'),
    ('precompressed = yes', 'precompressed goes with root; remove it'),
    ('root = "/"  index = "a/b"', 'index: "a/b" is not a file\'s name; write one like "index.html"'),
    ('root = "/"  file_types = "x"', 'file_types: "x" is not a type; write "EXTENSION = TYPE", like "wasm = application/wasm"'),
    ('root = "/"  file_types = "x = a/b; c\td"', 'file_types: "x = a/b; c\td" is not a type; write "EXTENSION = TYPE", like "wasm = application/wasm"'),
    ('root = "/"  charset = "a b"', 'charset: "a b" is not a charset\'s name; write one like utf-8, or off'),
    ('root = "/"  upstream_host = "a"', 'upstream_host: no backend is asked here; remove it'),
    ('root = "/"  precompressed = often', 'precompressed: "often" is not an answer; write yes or no')])
def test_mistakes(tmp_path, settings, said):
    path = write(str(tmp_path / 'bad.conf'), (
        'service "s" { kind = l7  listen = "127.0.0.1:1"\n\n\troute "r" { ' + settings + ' }\n}\n').encode())
    done = subprocess.run([SLUICED, '-n', '-c', path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == f'{path}:3: {said}\n'


def test_a_client_that_leaves(site, root):
    sparse(f'{root}/left', 1 << 28)
    client = site.client(receive_buffer=4096)
    client.send(get('/left'))
    client.until(b'\r\n\r\n')
    client.reset()
    with pytest.raises((Broken, OSError)):
        client.rest()
    await_until(lambda: any('GET /left' in line and 'reason=client_gone' in line
                            for line in site.lines()), 'the line of the client')
