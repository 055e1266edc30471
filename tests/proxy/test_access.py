# SPDX-License-Identifier: BSD-2-Clause
"""The access log: one line for each request that was begun, true in every field."""
import json
import os
import re
import signal
import time

import pytest
from actors import Broken, Proxy, answers, await_until, get, ok


@pytest.fixture
def proxy(stage, origin):
    return stage.proxy(origin)


def answered(proxy, origin, *request, answer=ok(b'hello')):
    """One request from a client of its own; returns what the client got and its log line."""
    client = proxy.client()
    client.send(*request)
    conn = origin.accept()
    conn.request()
    conn.send(answer)
    conn.close()
    client.half_close()
    got = client.rest()
    return got, proxy.logged(1)[0]


def test_a_line_in_full(proxy, origin):
    got, line = answered(proxy, origin, get('/a?b=c', 'Referer: http://r/', 'User-Agent: test/1.0'))
    stamp = line.pop('time')
    assert abs(time.time() - time.mktime(time.strptime(stamp, '%d/%b/%Y:%H:%M:%S +0000'))
               + time.timezone) < 60
    assert min(int(line.pop('connect_ms')), int(line.pop('first_ms')), int(line['total_ms'])) >= 0
    assert int(line.pop('total_ms')) < 20000
    assert line == {
        'client': '127.0.0.1', 'line': 'GET /a?b=c HTTP/1.1', 'status': '200',
        'bytes': str(len(got)), 'referer': 'http://r/', 'agent': 'test/1.0', 'service': 'site',
        'upstream': origin.address(), 'retries': '0', 'reason': 'ok'}


def test_nothing_in_a_line_can_end_it(proxy, origin):
    _, line = answered(proxy, origin, b'GET / HTTP/1.1\r\nHost: x\r\n'
                       b'User-Agent: a" 200 "b\\\r\nReferer: \xff\t\xc3\xa9\r\n\r\n')
    assert line['agent'] == r'a\x22 200 \x22b\x5C' and line['referer'] == r'\xFF\x09\xC3\xA9'


def test_what_is_long_is_cut(proxy, origin):
    _, line = answered(proxy, origin, get('/' + 'x' * 5000, 'User-Agent: ' + 'y' * 5000,
                                          'Referer: ' + '"' * 5000))
    assert re.fullmatch('GET /x{500,} HTTP/1.1', line['line'])
    assert re.fullmatch('y{100,}', line['agent']) and re.fullmatch(r'(\\x22){30,}', line['referer'])


@pytest.mark.parametrize('answer', [
    ok(b'x' * 100000), b'HTTP/1.1 103 Early Hints\r\n\r\n' + ok(b'x'),
    b'HTTP/1.1 204 No Content\r\n\r\n', b'HTTP/1.1 200 OK\r\n\r\n' + b'x' * 70000,
], ids=['length', 'interim', '204', 'close'])
def test_bytes_are_what_the_client_got(proxy, origin, answer):
    got, line = answered(proxy, origin, get(), answer=answer)
    assert int(line['bytes']) == len(got)


def test_a_line_for_each_of_many(stage):
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))))
    client = proxy.client('::1')
    client.send(*(get(f'/{n}') for n in range(500)))
    for _ in range(500):
        client.answer()
    lines = proxy.logged(500)
    assert [line['line'] for line in lines] == [f'GET /{n} HTTP/1.1' for n in range(500)]
    assert {line['client'] for line in lines} == {'::1'}
    assert len({line['bytes'] for line in lines}) == 1, 'each has its own bytes alone'


@pytest.mark.parametrize('request_bytes, status, line', [
    (b'GET / HTTP/9.9\r\n\r\n', '505', 'GET / HTTP/9.9'),
    (b'\x16\x03"\\\r\n', '400', r'\x16\x03\x22\x5C'),
    (b'GET /"a\\ HTTP/1.1\r\nHost: x\r\n\r\n', '400', r'GET /\x22a\x5C HTTP/1.1'),
    (get(method='TRACE'), '405', 'TRACE / HTTP/1.1'),
    (get('/', 'Content-Length: 99999999999', method='POST'), '413', 'POST / HTTP/1.1'),
], ids=['version', 'noise', 'target', 'method', 'length'])
def test_what_is_refused(stage, request_bytes, status, line):
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))))
    client = proxy.client()
    client.send(request_bytes)
    client.half_close()
    client.gone()
    found = proxy.logged(1)[0]
    assert found['line'] == line and found['status'] == status
    assert found['reason'] == 'refused' and found['upstream'] == '-'
    assert found['connect_ms'] == found['first_ms'] == '-1'


def test_a_malformed_answer(proxy, origin):
    _, line = answered(proxy, origin, get(), answer=b'nonsense\r\n\r\n')
    assert (line['status'], line['reason']) == ('502', 'backend_bad')
    assert line['upstream'] == origin.address()


def test_a_malformed_body(proxy, origin):
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    client.until(b'\r\n\r\n')
    conn.send(b'x')
    with pytest.raises(Broken):
        client.chunked()
    line = proxy.logged(1)[0]
    assert (line['status'], line['reason']) == ('200', 'backend_bad')


def test_an_answer_cut_short(proxy, origin):
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    conn.send(ok(b'hello')[:-1])
    client.until(b'hell')
    conn.close()
    assert client.ended()
    line = proxy.logged(1)[0]
    assert (line['status'], line['reason']) == ('200', 'backend_gone')
    assert int(line['bytes']) == len(client.got)


@pytest.mark.parametrize('request_bytes', [get()[:-1], get('/', 'Content-Length: 5') + b'he'],
                         ids=['head', 'body'])
def test_a_client_that_does_not_finish(stage, request_bytes):
    proxy = stage.proxy(stage.origin(answers(ok())))
    client = proxy.client()
    client.send(request_bytes)
    client.half_close()
    assert client.ended()
    line = proxy.logged(1)[0]
    assert (line['status'], line['bytes'], line['reason']) == ('0', '0', 'client_gone')


def test_no_log(tmp_path, stage):
    class Silent(Proxy):
        access_log = property(lambda self: 'off', lambda self, path: None)
    proxy = stage.add(Silent(tmp_path, stage.origin(answers(ok(b'hello')))))
    assert proxy.ask().body == b'hello'
    assert proxy.ask(b'nonsense\r\n\r\n').status == 400


# ---- formats, and where lines go ----------------------------------------------------------

def test_json(stage):
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))), daemon='access_format = json')
    proxy.ask(get('/a"b', 'User-Agent: "\\\xe9'))
    proxy.ask(b'\x16\x03"\r\n\r\n')
    await_until(lambda: len(proxy.lines()) == 2, 'two lines')
    first, second = map(json.loads, proxy.lines())
    assert (first['request'], first['status'], first['reason']) == ('GET /a"b HTTP/1.1', 200, 'ok')
    assert first['user_agent'] == '"\\\xe9' and first['service'] == 'site'
    assert 0 <= first['queue_ms'] <= first['connect_ms'] + first['total_ms']
    assert (second['status'], second['upstream'], second['first_ms']) == (400, '', None)


def test_a_format_in_parts(stage):
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))),
                        daemon="""access_format = { '$connection_requests $method $host ',
                                                    '$header_X_Who $bytes_body $backend' }""")
    client = proxy.client()
    for body in (b'', b'abc'):
        client.ask(get('/', 'X-Who: me', f'Content-Length: {len(body)}') + body)
    await_until(lambda: len(proxy.lines()) == 2, 'two lines')
    assert proxy.lines() == ['1 GET test me 0 b0', '2 GET test me 3 b0']


def test_a_log_moved_away_is_opened_again(stage):
    """Lines of requests that are under way go into the new file, and no line is lost."""
    slow = stage.origin()
    proxy = stage.proxy(slow)
    waiting = proxy.client()
    waiting.send(get('/before'))
    conn = slow.accept()
    conn.request()
    moved = proxy.access_log + '.1'
    os.rename(proxy.access_log, moved)
    proxy.signal(signal.SIGUSR1)
    await_until(lambda: os.path.exists(proxy.access_log), 'a new file')
    conn.send(ok(b'x'))
    waiting.answer()
    await_until(lambda: len(proxy.lines()) == 1, 'the line')
    assert 'GET /before' in proxy.lines()[0]
    assert os.path.getsize(moved) == 0


def test_a_worker_that_starts_again_writes_into_the_new_file(stage, tmp_path):
    class Killed(Proxy):
        def stop(self):  # without its look at how the first worker ended
            self.begin_stop()
            assert self.ends() == 0
    proxy = stage.add(Killed(tmp_path, stage.origin(answers(ok(b'hello')))))
    os.rename(proxy.access_log, proxy.access_log + '.1')
    proxy.signal(signal.SIGUSR1)
    await_until(lambda: os.path.exists(proxy.access_log), 'a new file')
    os.kill(proxy.worker_pid, signal.SIGKILL)
    proxy.awaits('ready again')
    assert proxy.ask().status == 200
    await_until(lambda: len(proxy.lines()) == 1, 'the line')


def test_syslog_that_is_not_there_loses_lines_alone(stage, tmp_path):
    if os.path.exists('/dev/log'):
        pytest.skip('this host has a syslog daemon, which is not to be written to')

    class ToSyslog(Proxy):
        access_log = property(lambda self: 'syslog', lambda self, path: None)
    proxy = stage.add(ToSyslog(tmp_path, stage.origin(answers(ok(b'hello')))))
    assert proxy.ask().status == 200
    proxy.awaits('nobody listens at /dev/log')
