"""Writers as operating system processes."""

from __future__ import annotations

import os
import socket

import psutil

from lake_platform.domain.batches import Worker

_SAME_START_SECONDS = 1.0


class LocalWorkers:
    def me(self) -> Worker:
        return Worker(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def alive(self, worker: Worker) -> bool | None:
        if worker.host != socket.gethostname():
            return None
        if worker.pid == os.getpid():
            return False  # an earlier try of this very process, which has ended
        try:
            process = psutil.Process(worker.pid)
            started = process.create_time()
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        return not gone and abs(started - worker.started) < _SAME_START_SECONDS
