# SPDX-License-Identifier: BSD-2-Clause
"""CPU time of a proxy per request: sluiced, nginx, HAProxy and a byte forwarder (the floor).

Runs in namespaces of its own (scripts/bench sees to that). Every proxy has core 0 to itself
for its turn; wrk and the origin share core 1. The turns of one case follow each other and
the whole is repeated, so that what else the machine does hits all alike; the median of
the rounds counts. CPU time is user + system of the proxy's processes (/proc/PID/stat), all
threads; requests are those that wrk saw answered.
"""
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time

from table import Results, skip

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ['BUILD']
ROUNDS = int(os.environ.get('ROUNDS', 3))
SECONDS = float(os.environ.get('SECONDS', 2))
IDLE = [int(n) for n in os.environ.get('IDLE', '1000 10000').split()]
TICK_US = 1e6 / os.sysconf('SC_CLK_TCK')
PROXY_CORE, LOAD_CORE = 0, 1

# name: (port, command); a command that is missing drops its contender with a note.
PEERS = {
    'sluice': (9001, [f'{BUILD}/sluiced', '--no-gate', '-c', f'{HERE}/peers/sluice.conf']),
    'nginx': (9002, ['nginx', '-p', '/run', '-c', f'{HERE}/peers/nginx.conf']),
    'haproxy': (9003, ['haproxy', '-q', '-db', '-f', f'{HERE}/peers/haproxy.cfg']),
    'floor': (9004, [f'{BUILD}/tests/bench/forwarder', '9004', '9000']),
}

# (name, path, connections, headers that wrk adds)
CASES = [
    ('keep-alive, 130 B, 64 conns', '/130', 64, []),
    ('keep-alive, 130 B, 512 conns', '/130', 512, []),
    ('keep-alive, 10 KB, 64 conns', '/10k', 64, []),
    ('keep-alive, 10 KB, 512 conns', '/10k', 512, []),
    ('connection per request, 130 B, 64', '/130', 64, ['-H', 'Connection: close']),
    ('connection per request, 130 B, 512', '/130', 512, ['-H', 'Connection: close']),
]


class Proxy:
    """A running contender."""

    def __init__(self, name, port, command, core):
        self.name, self.port = name, port
        self.log = open(f'/run/{name}.log', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.await_listening()

    def await_listening(self):
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError(f'{self.name} does not listen: {self.log.read()[-800:]}')
            time.sleep(0.01)

    def pids(self):
        """It and its descendants."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            stat = stat_of(pid)
            if stat:
                parents[int(pid)] = int(stat[1])
        found = [self.process.pid]
        for pid in found:
            found += [p for p, parent in parents.items() if parent == pid]
        return found

    def cpu_us(self):
        stats = filter(None, (stat_of(pid) for pid in self.pids()))
        return sum(int(s[11]) + int(s[12]) for s in stats) * TICK_US

    def rss(self):
        """Bytes; pages shared between its processes count once for each of them."""
        total = 0
        for pid in self.pids():
            with open(f'/proc/{pid}/status', encoding='utf-8') as f:
                total += sum(int(l.split()[1]) * 1024 for l in f if l.startswith('VmRSS:'))
        return total

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def stat_of(pid):
    """Fields of /proc/PID/stat from the state on: the name before may hold anything."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as f:
            return f.read().rpartition(')')[2].split()
    except FileNotFoundError:
        return None


def load(proxy, path, connections, headers, seconds):
    """Requests answered; complains are returned with them."""
    out = subprocess.run(
        ['taskset', '-c', str(LOAD_CORE), 'wrk', '-t1', f'-c{connections}',
         f'-d{max(1, round(seconds))}s', *headers, f'http://127.0.0.1:{proxy.port}{path}'],
        capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r'(\d+) requests in', out).group(1))
    bad = re.findall(r'(Socket errors:.*|Non-2xx.*)', out)
    return requests, '; '.join(bad)


def measure(results, proxies):
    for n in range(ROUNDS):
        for case, path, connections, headers in CASES:
            for proxy in proxies:
                before = proxy.cpu_us()
                requests, bad = load(proxy, path, connections, headers, SECONDS)
                if bad:
                    results.note(f'{proxy.name}, {case}: {bad}')
                if requests:
                    results.add(case, proxy.name, (proxy.cpu_us() - before) / requests)
        print(f'round {n + 1} of {ROUNDS} done', file=sys.stderr)


class Idlers:
    """Connections that asked once, were answered, and now stay."""

    REQUEST = b'GET /130 HTTP/1.1\r\nHost: bench\r\n\r\n'

    def __init__(self, port, count):
        self.sockets = []
        self.port = port
        while len(self.sockets) < count:
            self.more(min(200, count - len(self.sockets)))

    def more(self, count):
        """In batches, so that no backlog decides who gets in."""
        waiting = selectors.DefaultSelector()
        for _ in range(count):
            s = socket.create_connection(('127.0.0.1', self.port))
            s.sendall(self.REQUEST)
            waiting.register(s, selectors.EVENT_READ, bytearray())
            self.sockets.append(s)
        while waiting.get_map():
            ready = waiting.select(timeout=10)
            if not ready:
                raise RuntimeError('an idle connection got no answer')
            for key, _ in ready:
                chunk = key.fileobj.recv(65536)
                key.data.extend(chunk)
                if key.data.endswith(b'x' * 130) or not chunk:
                    waiting.unregister(key.fileobj)

    def close(self):
        for s in self.sockets:
            s.close()


def measure_idle(results, proxies):
    """Each contender freshly started: memory that an earlier case took is not counted."""
    for name in proxies:
        for count in IDLE:
            # A proxy that also holds a connection to the origin for each needs twice as many.
            if 2 * count + 100 > resource.getrlimit(resource.RLIMIT_NOFILE)[0] and name == 'floor':
                continue
            proxy = Proxy(name, *PEERS[name], PROXY_CORE)
            Idlers(proxy.port, 1).close()  # code and tables that the first request touches
            empty = proxy.rss()
            idlers = Idlers(proxy.port, count)
            results.add(f'memory, {count} idle connections', name,
                        (proxy.rss() - empty) / count, 'B/conn')
            idlers.close()
            proxy.stop()


def prepare():
    if len(os.sched_getaffinity(0)) < 2:
        skip('it takes two cores: one for the proxy, one for the load')
    if not shutil.which('wrk') or not shutil.which('nginx'):
        skip('wrk and nginx are missing; `scripts/deps bench` installs them')
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for setting in ('net.core.somaxconn=65535', 'net.ipv4.tcp_tw_reuse=1',
                    'net.ipv4.tcp_max_syn_backlog=65535',
                    'net.ipv4.ip_local_port_range=10000 65535'):
        subprocess.run(['sysctl', '-q', '-w', setting], check=True)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    os.makedirs('/run/www')
    with open('/run/www/10k', 'w', encoding='ascii') as f:
        f.write('x' * 10240)


def main():
    prepare()
    results = Results('l7', 'us CPU/req', list(PEERS))
    origin = Proxy('origin', 9000, ['nginx', '-p', '/run', '-c', f'{HERE}/peers/origin.conf'],
                   LOAD_CORE)
    proxies = []
    for name, (port, command) in PEERS.items():
        if shutil.which(command[0]):
            proxies.append(Proxy(name, port, command, PROXY_CORE))
        else:
            results.note(f'{name} is not here ({command[0]})')
    measure(results, proxies)
    for proxy in proxies:
        proxy.stop()
    measure_idle(results, [p.name for p in proxies])
    origin.stop()
    results.note('the floor opens an upstream connection for each client connection; the '
                 'others pool them')
    results.print_table()
    results.save()


main()
