# SPDX-License-Identifier: BSD-2-Clause
"""Backends that are checked: those that are down get no requests, whatever the check is, and
come back. The page that the daemon writes tells what it knows."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from actors import SLUICED, Origin, Proxy, answers, await_until, get, ok

FAST = 'interval = 100ms  timeout = 100ms  rise = 1  fall = 1'


class Named(Origin):
    """An origin that says its name, and whose health a test can change."""

    def __init__(self, name, host='127.0.0.1'):
        self.health = ok(b'fine')
        super().__init__(answers(lambda request: self.health if request.target == '/health'
                                 else ok(name.encode())), host=host)


class Checked(Proxy):
    """A proxy whose backends are checked, and what it knows of them."""

    def __init__(self, folder, *backends, health, service='', **named):
        self.state = os.path.join(folder, 'state')
        super().__init__(folder, *backends, service=f'{service} health {{ {health} }}',
                         daemon=f'state = "{self.state}"', **named)

    def worker(self):
        return int(re.findall(r'worker=(\d+)', self.said())[-1])

    def health(self):
        done = subprocess.run([os.path.join(os.path.dirname(SLUICED), 'sluice'), 'health',
                               '--json', '--state', self.state], capture_output=True, text=True,
                              check=True)
        return json.loads(done.stdout)

    def backends(self):
        return {b['backend']: b for b in self.health()['backends']}

    def up(self):
        return {name for name, b in self.backends().items() if b['up'] and b['known']}

    def awaits_up(self, *names):
        await_until(lambda: self.up() == set(names) and
                    all(b['known'] for b in self.backends().values()),
                    f'{names} are up, and they alone: {self.backends()}')

    def asked(self, times=8):
        """Who answered."""
        return {self.ask().body.decode() for _ in range(times)}


@pytest.fixture
def checked(stage):
    def make(*backends, health, **named):
        stage.n += 1
        folder = stage.folder / str(stage.n)
        folder.mkdir()
        return stage.add(Checked(folder, *backends, health=health, **named))
    return make


def pair(stage):
    return [stage.add(Named(name)) for name in ('b0', 'b1')]


HTTP = f'type = http  path = "/health"  {FAST}'


def test_a_backend_whose_check_fails_gets_no_requests_until_it_is_well(stage, checked):
    b0, b1 = pair(stage)
    proxy = checked(b0, b1, health=HTTP)
    proxy.awaits_up('b0', 'b1')
    assert proxy.asked() == {'b0', 'b1'}
    b0.health = ok(start='HTTP/1.1 503 Service Unavailable')
    proxy.awaits_up('b1')
    assert proxy.asked() == {'b1'}
    assert proxy.backends()['b0']['error'] == 'status 503'
    b0.health = ok(b'fine')
    proxy.awaits_up('b0', 'b1')
    assert proxy.asked() == {'b0', 'b1'}
