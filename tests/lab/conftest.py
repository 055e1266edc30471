# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures. A lab is raised once for each module (it takes half a second), so that modules
cannot disturb each other; within a module a test puts back what it changed."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import BUILD, Lab, await_until  # noqa: E402


def pytest_configure():
    for program in ('sluice', 'sluiced'):
        if not os.access(os.path.join(BUILD, program), os.X_OK):
            pytest.exit(f'{BUILD}/{program} is not built; `make build` first', returncode=2)


def raise_lab(request, plain=False):
    lab = Lab(f't{os.getpid()}-{request.module.__name__}', plain)
    if lab.status == 77:
        pytest.skip(lab.complaint)
    assert lab.status == 0, lab.complaint
    return lab


@pytest.fixture(scope='module')
def lab(request):
    """Hosts with nginx on the backends; no gate anywhere."""
    lab = raise_lab(request)
    yield lab
    lab.down()


@pytest.fixture(scope='module')
def gate(lab):
    """The gate of examples/lab.conf on the balancer, examples/backend.conf on the backends."""
    lab.attach()
    yield lab
    lab.detach()


@pytest.fixture(scope='module')
def daemon(gate):
    """sluiced on the balancer as well."""
    start_daemon(gate)
    yield gate
    gate.balancer.stop_all()


def start_daemon(lab, conf='examples/lab.conf', vip='198.51.100.20'):
    """Started, and answering the client."""
    process = lab.balancer.start('sluiced', '-c', conf)

    def answers():
        assert process.ended() is None, f'sluiced ended: {process.said()}'
        try:
            return lab.ask(vip).status == 200
        except OSError:
            return False
    await_until(answers, f'sluiced answers on {vip}')
    return process


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file; answers with its path."""
    def write(text, name='test.conf'):
        path = tmp_path / name
        path.write_text(text)
        return str(path)
    return write
