# SPDX-License-Identifier: BSD-2-Clause
import contextlib

import pytest
from actors import Origin, Proxy


class Stage:
    """Makes origins and proxies; what was made last is closed first."""

    def __init__(self, folder, stack):
        self.folder, self.stack, self.n = folder, stack, 0

    def add(self, actor):
        self.stack.callback(actor.close)
        return actor

    def origin(self, *arguments, **named):
        return self.add(Origin(*arguments, **named))

    def proxy(self, *backends, **named):
        self.n += 1
        folder = self.folder / str(self.n)
        folder.mkdir()
        return self.add(Proxy(folder, *backends, **named))


@pytest.fixture
def stage(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Stage(tmp_path, stack)


@pytest.fixture
def origin(stage):
    """Played by the test."""
    return stage.origin()


@pytest.fixture(scope='module')
def long_stage(tmp_path_factory):
    """For a whole file."""
    with contextlib.ExitStack() as stack:
        yield Stage(tmp_path_factory.mktemp('stage'), stack)
