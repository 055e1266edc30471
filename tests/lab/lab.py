# SPDX-License-Identifier: BSD-2-Clause
"""The lab as the tests see it: hosts that run commands, and sockets that live in them.

A socket opened by Host.socket belongs to that host's network, yet is used from the test's own
process, so a test is one story told in one place. Waiting is always for an event, with a
deadline that only a broken system meets.
"""
import collections
import ctypes
import json
import os
import select
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get('BUILD', 'build'))
SCRIPT = os.path.join(ROOT, 'scripts/lab')
DEADLINE = 10  # seconds; nothing that works comes near

VIP4, VIP6 = '198.51.100.10', '2001:db8:51::10'
SITE4, SITE6 = '198.51.100.20', '2001:db8:51::20'
CLIENT4, CLIENT6 = '10.83.0.100', 'fd83::100'
BALANCER4, BALANCER6 = '10.83.0.2', 'fd83::2'
BACKENDS = ('b1', 'b2', 'b3')
NUMBER = {'client': 100, 'balancer': 2, 'b1': 11, 'b2': 12, 'b3': 13}
PINS = '/sys/fs/bpf/sluice'

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def await_until(happened, what, timeout=DEADLINE):
    """Polls until happened() is true; answers with what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = happened()
        if result:
            return result
        assert time.monotonic() < deadline, f'never happened: {what}'
        time.sleep(0.02)


Process = collections.namedtuple('Process', 'pid ppid user')


class Failed(AssertionError):
    """A command that should have succeeded."""


class Host:
    """One host of a lab."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.v4, self.v6 = f'10.83.0.{NUMBER[name]}', f'fd83::{NUMBER[name]}'
        self.mac = f'02:53:4c:00:00:{NUMBER[name]:02x}'
        self.running = []

    def run(self, *command, check=True, input=None, timeout=60):
        """Runs it there to its end. Both outputs are kept."""
        done = subprocess.run([SCRIPT, 'exec', self.name, *map(str, command)], cwd=ROOT,
                              env=self.lab.env, capture_output=True, text=True, input=input,
                              timeout=timeout, check=False)
        if check and done.returncode:
            raise Failed(f'{self.name}: {" ".join(map(str, command))}: exit {done.returncode}\n'
                         f'{done.stdout}{done.stderr}')
        return done

    def start(self, *command):
        """Starts it there; it is stopped with the lab at the latest."""
        process = Running(self, command)
        self.running.append(process)
        return process

    def stop_all(self):
        for process in self.running:
            process.kill()
        self.running.clear()

    def pids(self, program):
        """Processes of that name there, as that host counts them."""
        return [row.pid for row in self.processes(program)]

    def processes(self, program):
        """The same with parent and user. A killed one may wait for its parent, outside of this
        host, to take note of its end: it does not count."""
        rows = self.run('ps', '-o', 'pid=,ppid=,user=,stat=', '-C', program, check=False).stdout
        return [Process(int(pid), int(ppid), user)
                for pid, ppid, user, state in map(str.split, rows.splitlines()) if state[0] != 'Z']

    # -- sockets ------------------------------------------------------------------------

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket in this host's network."""
        with open('/proc/self/ns/net', encoding='ascii') as own, \
                open(f'/proc/{self.lab.pid(self.name)}/ns/net', encoding='ascii') as theirs:
            _setns(theirs.fileno())
            try:
                s = socket.socket(family, kind, proto)
            finally:
                _setns(own.fileno())
        s.settimeout(DEADLINE)
        return s

    def connect(self, to, port=80, source=None, sport=0):
        """A TCP connection from here."""
        s = self.socket(socket.AF_INET6 if ':' in to else socket.AF_INET)
        if source or sport:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((source or ('::' if ':' in to else '0.0.0.0'), sport))
        try:
            s.connect((to, port))
        except OSError:
            s.close()
            raise
        return s

    def wire(self):
        return Wire(self)

    # -- sluice -------------------------------------------------------------------------

    def sluice(self, *args, **kw):
        return self.run('sluice', *args, **kw)

    def status(self):
        return json.loads(self.sluice('status', '--json').stdout)

    def counts(self):
        """Packets by reason and notices by name, of this host's gate."""
        status = self.status()
        return {**status['notices'],
                **{name: row['packets'] for name, row in status['reasons'].items()}}

    def programs(self):
        """XDP program ids by interface, as the kernel says."""
        links = json.loads(self.run('ip', '-j', 'link', 'show').stdout)
        return {l['ifname']: l['xdp']['prog']['id'] for l in links if 'xdp' in l}


class Running:
    """A command in the background, with a file for what it says."""

    def __init__(self, host, command):
        self.log = tempfile.NamedTemporaryFile(prefix='sluice-lab-', suffix='.log')
        self.process = subprocess.Popen([SCRIPT, 'exec', host.name, *map(str, command)], cwd=ROOT,
                                        env=host.lab.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True)

    def said(self):
        with open(self.log.name, encoding='utf-8') as f:
            return f.read()

    def ended(self):
        """Its exit status, or None while it runs."""
        return self.process.poll()

    def wait(self, timeout=DEADLINE):
        return self.process.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self.log.close()


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns')


class Counted:
    """`with Counted(host) as c: ...; c.block` = packets with that reason meanwhile."""

    def __init__(self, host):
        self.host = host

    def __enter__(self):
        self.before = self.host.counts()
        return self

    def __exit__(self, *_):
        pass

    def __getattr__(self, name):
        return self.host.counts()[name] - self.before[name]

    def awaits(self, name, at_least=1):
        """The counter moves after the packet is gone: wait for it."""
        await_until(lambda: getattr(self, name) >= at_least,
                    f'{at_least} more of `{name}` at {self.host.name}')


class Wire:
    """Whole frames, from and to a host's eth0."""

    ETH_P_ALL = 3

    def __init__(self, host):
        self.host = host
        self.socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ETH_P_ALL))
        self.socket.bind(('eth0', self.ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.socket.send(bytes(frame))

    def expect(self, matches, what, timeout=DEADLINE):
        """The first frame, sent or received here from now on, that matches."""
        found = self.listen(matches, timeout)
        assert found is not None, f'{self.host.name} never saw {what}'
        return found

    def listen(self, matches, timeout):
        from scapy.layers.l2 import Ether
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            frame = Ether(self.socket.recv(65536))
            if matches(frame):
                return frame


class Lab:
    """Five hosts, raised for one module of tests."""

    def __init__(self, name, plain=False):
        self.env = dict(os.environ, LAB=name, BUILD=BUILD)
        self.state = f'/run/sluice-lab-{name}'
        self.hosts = {n: Host(self, n) for n in NUMBER}
        up = subprocess.run([SCRIPT, 'up'] + ['--plain'] * plain, env=self.env,
                            capture_output=True, text=True, check=False)
        self.status, self.complaint = up.returncode, up.stderr.strip()

    def __getattr__(self, name):
        try:
            return self.__dict__['hosts'][name]
        except KeyError:
            raise AttributeError(name) from None

    def pid(self, name):
        with open(f'{self.state}/{name}', encoding='ascii') as f:
            return int(f.read())

    def down(self):
        for host in self.hosts.values():
            host.stop_all()
        subprocess.run([SCRIPT, 'down'], env=self.env, check=True)

    # -- the whole path -----------------------------------------------------------------

    def attach(self, conf='examples/lab.conf', backends=True):
        """The gate on the balancer, and on the backends to unwrap."""
        self.balancer.sluice('attach', 'eth0', '-c', conf)
        if backends:
            for b in BACKENDS:
                self.hosts[b].sluice('attach', 'eth0', '-c', 'examples/backend.conf')

    def detach(self):
        for h in ('balancer', *BACKENDS):
            self.hosts[h].sluice('detach', '--all', check=False)

    def ask(self, address, port=80, path='/', source=None, sport=0, headers=()):
        """One HTTP request from the client; the facts that nginx answered."""
        with self.client.connect(address, port, source, sport) as s:
            name = f'[{address}]' if ':' in address else address
            lines = [f'GET {path} HTTP/1.1', f'Host: {name}', 'Connection: close', *headers]
            s.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
            return Answer(read_all(s))


class Answer:
    """An HTTP answer: .status, .headers, .body, and nginx's facts by name (see nginx.conf)."""

    def __init__(self, raw):
        assert raw, 'the connection closed without an answer'
        self.size = len(raw)
        head, _, self.body = raw.partition(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(':')
            self.headers[name.lower()] = value.strip()
        self.facts = dict(line.partition(' ')[::2]
                          for line in self.body.decode('latin-1').splitlines())

    def __getitem__(self, name):
        return self.facts[name]


def read_all(s):
    chunks = []
    while chunk := s.recv(65536):
        chunks.append(chunk)
    return b''.join(chunks)


def request_on(s, path='/', host='lab'):
    """A request on a connection that stays open; answers as Answer. Content-Length only."""
    s.sendall(f'GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
    raw = b''
    while b'\r\n\r\n' not in raw:
        chunk = s.recv(65536)
        assert chunk, 'closed within the head'
        raw += chunk
    length = int(Answer(raw).headers['content-length'])
    whole = raw.index(b'\r\n\r\n') + 4 + length
    while len(raw) < whole:
        chunk = s.recv(65536)
        assert chunk, 'closed within the body'
        raw += chunk
    return Answer(raw)
