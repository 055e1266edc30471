# SPDX-License-Identifier: BSD-2-Clause
"""The three actors of these tests: a client and an origin that speak bytes, and sluiced between
them. Client and origin keep every byte that reached them; nothing waits longer than DEADLINE.
An origin is played by the test itself (accept, request, send) or by a story, a function that is
given each connection in a thread of its own. Loopback alone, both families."""
import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICED = os.path.join(ROOT, os.environ.get('BUILD', 'build'), 'sluiced')
DEADLINE = 20  # seconds; nothing that works comes near

CONFIG = '''
daemon {{
	user = "nobody"  threads = {threads}  drain_timeout = {drain}  access_log = "{log}"
	{state}
	{daemon}
}}
{top}
service "site" {{
	kind   = l7
	listen = {{ "127.0.0.1:{port}", "[::1]:{port}" }}
	{service}
{backends}
}}
'''
LOG_LINE = re.compile(
    r'(?P<client>\S+) - - \[(?P<time>[^]]+)\] "(?P<line>[^"]*)" (?P<status>\d+) (?P<bytes>\d+) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)" service=(?P<service>\S+) upstream=(?P<upstream>\S+) '
    r'connect_ms=(?P<connect_ms>-?\d+) first_ms=(?P<first_ms>-?\d+) total_ms=(?P<total_ms>\d+) '
    r'retries=(?P<retries>\d+) reason=(?P<reason>\w+)')


def await_until(happened, what):
    deadline = time.monotonic() + DEADLINE
    while True:
        result = happened()
        if result:
            return result
        assert time.monotonic() < deadline, f'never happened: {what}'
        time.sleep(0.02)


def free_port(family=socket.AF_INET):
    with socket.socket(family) as s:
        s.bind(('::1' if family == socket.AF_INET6 else '127.0.0.1', 0))
        return s.getsockname()[1]


def sanitized():
    with open(SLUICED, 'rb') as f:
        return b'__asan_init' in f.read()


# ---- messages ---------------------------------------------------------------------------

class Message:
    """A head, taken apart, and its body."""

    def __init__(self, head, body=b''):
        lines = head.decode('latin-1').split('\r\n')
        self.head, self.body, self.start = head, body, lines[0]
        self.fields = [tuple(line.split(': ', 1)) for line in lines[1:] if line]
        words = self.start.split(' ', 2)
        self.status = int(words[1]) if words[0].startswith('HTTP/') else 0
        self.method, self.target = words[0], words[1]

    def __getitem__(self, name):
        """The values of all fields of this name; '' if there is none."""
        return ', '.join(v for n, v in self.fields if n.lower() == name.lower())

    def names(self):
        return [name for name, _ in self.fields]


def ok(body=b'', *fields, start='HTTP/1.1 200 OK'):
    lines = [start, *fields, f'Content-Length: {len(body)}', '', '']
    return '\r\n'.join(lines).encode('latin-1') + body


def get(path='/', *fields, method='GET', version='1.1'):
    """A request without a body, or the head of one that has."""
    return '\r\n'.join([f'{method} {path} HTTP/{version}', 'Host: test', *fields, '',
                        '']).encode('latin-1')


def chunks(*parts, end=b'0\r\n\r\n'):
    return b''.join(b'%x\r\n%s\r\n' % (len(part), part) for part in parts) + end


def unescaped(text):
    plain = {'r': '\r', 'n': '\n', 't': '\t', '0': '\0', '\\': '\\'}
    return re.sub(r'\\(x[0-9a-f]{2}|.)', lambda m: plain.get(m[1]) or chr(int(m[1][1:], 16)),
                  text).encode('latin-1')


def rows(name):
    """(first word, name, bytes) of each line of a file of tests/data."""
    with open(os.path.join(ROOT, 'tests', 'data', name), encoding='ascii') as f:
        for line in f:
            if line[0] not in '#\n':
                first, about, text = line.rstrip('\n').split(' ', 2)
                yield first, about, unescaped(text)


# ---- both ends --------------------------------------------------------------------------

class Broken(Exception):
    """The connection ended before what was awaited was there."""


class Wire:
    """One end of a connection. Reading takes what it names and waits for it."""

    def __init__(self, sock):
        self.sock, self.got, self.at = sock, bytearray(), 0
        sock.settimeout(DEADLINE)

    def send(self, *parts):
        self.sock.sendall(b''.join(parts))

    def more(self):
        """Bytes that arrived, b'' for FIN."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError as e:
            raise Broken('reset') from e
        self.got += data
        return data

    def take(self, end):
        taken, self.at = bytes(self.got[self.at:end]), end
        return taken

    def until(self, mark):
        while (found := self.got.find(mark, self.at)) < 0:
            if not self.more():
                raise Broken(f'ended in {bytes(self.got[self.at:])[:200]}')
        return self.take(found + len(mark))

    def exactly(self, n):
        while len(self.got) - self.at < n:
            if not self.more():
                raise Broken(f'ended after {len(self.got) - self.at} of {n} bytes')
        return self.take(self.at + n)

    def rest(self):
        """All up to FIN; a reset is Broken."""
        while self.more():
            pass
        return self.take(len(self.got))

    def chunked(self):
        body = bytearray()
        while size := int(self.until(b'\r\n'), 16):
            body += self.exactly(size)
            assert self.exactly(2) == b'\r\n'
        assert self.exactly(2) == b'\r\n', 'trailers'
        return bytes(body)

    def message(self, bodiless, until_end):
        """The next message; until_end: without a framing of its own it ends with FIN."""
        m = Message(self.until(b'\r\n\r\n'))
        if bodiless(m):
            return m
        if m['Transfer-Encoding']:
            assert m['Transfer-Encoding'] == 'chunked' and not m['Content-Length']
            m.body = self.chunked()
        elif m['Content-Length']:
            m.body = self.exactly(int(m['Content-Length']))
        elif until_end:
            m.body = self.rest()
        return m

    def silent(self):
        """Nothing is there to be read at this moment."""
        return self.at == len(self.got) and not select.select([self.sock], [], [], 0)[0]

    def ended(self):
        """Waits for the end: by FIN or reset, with nothing before it."""
        try:
            rest = self.rest()
        except Broken:
            rest = self.take(len(self.got))
        assert rest == b'', rest[:200]
        return True

    def gone(self):
        """Waits for the end, whatever comes before it; 'fin' or 'reset'."""
        try:
            self.rest()
            return 'fin'
        except Broken:
            return 'reset'

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            pass  # closed already
        self.sock.close()


class Client(Wire):
    def __init__(self, port, host='127.0.0.1', receive_buffer=0):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(DEADLINE)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect((host, port))
        super().__init__(sock)

    def answer(self, method='GET'):
        return self.message(lambda m: method == 'HEAD' or m.status < 200 or
                            m.status in (204, 304), True)

    def ask(self, *request):
        """The request line's method decides whether a body is awaited."""
        self.send(*request)
        return self.answer(request[0].split(b' ', 1)[0].decode())


class OriginConn(Wire):
    def request(self):
        return self.message(lambda m: False, False)

    def end(self):
        """Closed, although a thread may read from it, which alone would keep it open."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.close()


class Origin:
    """A server. All that reached it is in .conns, the first connection first."""

    def __init__(self, story=None, host='127.0.0.1', receive_buffer=0, backlog=512, port=0):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(DEADLINE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(backlog)
        self.host, self.port = host, self.socket.getsockname()[1]
        self.conns, self.story, self.failed = [], story, None
        if story:
            self.start()

    def start(self):
        self.socket.settimeout(None)
        threading.Thread(target=self.run, daemon=True).start()

    def address(self):
        return f'[{self.host}]:{self.port}' if ':' in self.host else f'{self.host}:{self.port}'

    def accept(self):
        self.conns.append(OriginConn(self.socket.accept()[0]))
        return self.conns[-1]

    def run(self):
        while True:
            try:
                conn = self.accept()
            except OSError:
                return
            threading.Thread(target=self.tell, args=(conn,), daemon=True).start()

    def tell(self, conn):
        try:
            self.story(conn)
        except (Broken, OSError):
            pass
        except BaseException as e:  # pylint: disable=broad-exception-caught
            self.failed = e
        conn.close()

    def accepts_nothing(self):
        """Nobody waits to be accepted: on loopback a connection is there, or was not tried."""
        return not select.select([self.socket], [], [], 0)[0]

    def untouched(self):
        return not self.conns and self.accepts_nothing()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        except OSError:
            pass
        self.socket.close()
        for conn in self.conns:
            conn.end()
        if self.failed:
            raise self.failed


def answers(answer, times=1 << 30):
    """A story: each request gets `answer`, bytes or a function of the request."""
    def story(conn):
        for _ in range(times):
            request = conn.request()
            conn.send(answer(request) if callable(answer) else answer)
    return story


# ---- the daemon -------------------------------------------------------------------------

class Sluiced:
    """The daemon; everything that it says is kept."""

    def __init__(self, command, **options):
        self.log = tempfile.TemporaryFile('w+b')
        self.process = subprocess.Popen(command, stderr=self.log, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, start_new_session=True,
                                        **options)
        self.pid = self.process.pid

    def said(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def awaits(self, text, times=1):
        def there():
            said = self.said()
            if said.count(text) >= times:
                return True
            assert self.process.poll() is None, said
            return False
        await_until(there, f'{times} x "{text}" in {self.said()}')
        return self

    def children(self):
        """(pid, what it is called)"""
        out = subprocess.run(['ps', '-o', 'pid=,stat=,args=', '--ppid', str(self.pid)], text=True,
                             capture_output=True, check=False).stdout
        return [(int(pid), name) for pid, state, name in
                (line.split(None, 2) for line in out.splitlines()) if state[0] != 'Z']

    def workers(self):
        return [pid for pid, _ in self.children()]

    def worker(self):
        found = [pid for pid, name in self.children() if name.startswith('sluiced: worker')]
        assert len(found) == 1, found
        return found[0]

    def signal(self, number):
        self.process.send_signal(number)

    def ends(self):
        return self.process.wait(DEADLINE)

    def close(self):
        """The worker ends with the keeper; here it is not waited for."""
        for pid in (*self.workers(), self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.log.close()


class Proxy(Sluiced):
    """sluiced with one service, on 127.0.0.1 and ::1. A backend is an Origin, an address, or
    a tuple of one of these, its weight and maybe more settings. One thread, so that it has one
    pool."""

    def __init__(self, folder, *backends, service='', daemon='', top='', threads=1, drain='0ms'):
        self.port, self.clients, self.stopped = free_port(), [], False
        self.access_log = os.path.join(folder, 'access.log')
        path = os.path.join(folder, 'test.conf')
        with open(path, 'w', encoding='ascii') as f:
            f.write(self.text(threads=threads, drain=drain, log=self.access_log,
                              state='' if 'state' in daemon else 'state = off',
                              daemon=daemon, top=top, port=self.port, service=service,
                              backends=''.join(map(self.backend, enumerate(backends)))))
        super().__init__([SLUICED, '--no-gate', '-c', path])
        self.awaits('ready')
        self.worker_pid = self.worker()

    def text(self, **values):
        return CONFIG.format(**values)

    @staticmethod
    def backend(numbered):
        n, (to, weight, *more) = numbered[0], (numbered[1] if isinstance(numbered[1], tuple)
                                               else (numbered[1], 1))
        address = to.address() if isinstance(to, Origin) else to
        return (f'\tbackend "b{n}" {{ address = "{address}"  weight = {weight}  '
                f'{" ".join(more)} }}\n')

    def client(self, host='127.0.0.1', receive_buffer=0):
        self.clients.append(Client(self.port, host, receive_buffer))
        return self.clients[-1]

    def ask(self, *request):
        """One request on a connection of its own."""
        client = self.client()
        try:
            return client.ask(*(request or (get(),)))
        finally:
            client.close()

    def lines(self):
        """Of the access log."""
        with open(self.access_log, encoding='ascii') as f:
            return f.read().splitlines()

    def logged(self, n):
        """Waits for n lines, which must be all."""
        await_until(lambda: len(self.lines()) >= n, f'{n} lines in the access log')
        found = [LOG_LINE.fullmatch(line) for line in self.lines()]
        assert None not in found and len(found) == n, self.lines()
        return [line.groupdict() for line in found]

    def descriptors(self):
        try:
            return len(os.listdir(f'/proc/{self.worker_pid}/fd'))
        except PermissionError:
            return pytest.skip('needs root: /proc/PID/fd of a process that is not dumpable')

    def memory(self, what='VmRSS'):
        """KiB."""
        with open(f'/proc/{self.worker_pid}/status', encoding='ascii') as f:
            return int(re.search(rf'^{what}:\s+(\d+) kB', f.read(), re.M).group(1))

    def begin_stop(self):
        if not self.stopped:
            self.signal(signal.SIGTERM)
        self.stopped = True

    def stop(self):
        """The worker that was there from the beginning has ended well."""
        self.begin_stop()
        status, said = self.ends(), self.said()
        assert status == 0, said
        for word in ('was ended by', 'ended with', 'not finished in time', 'Sanitizer',
                     'runtime error'):
            assert word not in said, said

    def close(self):
        for client in self.clients:
            client.close()
        try:
            self.stop()
        finally:
            super().close()
