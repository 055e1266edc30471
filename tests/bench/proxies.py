# SPDX-License-Identifier: BSD-2-Clause
"""The contenders of `scripts/bench l7`: started on a core of their own, and what they take."""
import os
import re
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ['BUILD']
TICK_US = 1e6 / os.sysconf('SC_CLK_TCK')
PROXY_CORE, LOAD_CORE = 0, 1

# name: (port, command); a command that is missing drops its contender with a note.
PEERS = {
    'sluice': (9001, [f'{BUILD}/sluiced', '--no-gate', '-c', f'{HERE}/peers/sluice.conf']),
    'nginx': (9002, ['nginx', '-p', '/run', '-c', f'{HERE}/peers/nginx.conf']),
    'haproxy': (9003, ['haproxy', '-q', '-db', '-f', f'{HERE}/peers/haproxy.cfg']),
    'floor': (9004, [f'{BUILD}/tests/bench/forwarder', '9004', '9000']),
}


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


def wrk(port, path, connections, arguments, seconds):
    """Requests answered in a second; complaints are returned with them, and how many in all."""
    out = subprocess.run(
        ['taskset', '-c', str(LOAD_CORE), 'wrk', '-t1', f'-c{connections}',
         f'-d{max(1, round(seconds))}s', *arguments, f'http://127.0.0.1:{port}{path}'],
        capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r'(\d+) requests in', out).group(1))
    rate = float(re.search(r'Requests/sec:\s+([\d.]+)', out).group(1))
    return requests, rate, '; '.join(re.findall(r'(Socket errors:.*|Non-2xx.*)', out))


def sluice(name, port, daemon, service):
    """A sluiced with a configuration of its own, which `Proxy` starts: (port, command)."""
    path = f'/run/{name}.conf'
    with open(path, 'w', encoding='ascii') as f:
        f.write(f'''daemon {{ threads = 1  access_log = "off"  {daemon} }}
service "bench" {{
    kind = l7  listen = {{ "127.0.0.1:{port}" }}
    {service}
    backend "origin" {{ address = "127.0.0.1:9000" }}
}}
''')
    return port, [f'{BUILD}/sluiced', '--no-gate', '-c', path]
