"""Work off the caller's thread: progress, cancelling, and newest wins.

The threads are daemons: an interpreter that exits never waits for them. What they write is written
atomically, so that nothing half-written stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from cryoscope.session.records import JobView

PUBLISH_EVERY_S = 0.05


class Cancelled(Exception):
    """Raised inside a job that was asked to stop."""


class Job:
    """A piece of work, as the work itself sees it."""

    def __init__(
        self, pool: JobPool, view: JobView, work: Callable[[Job], None], key: str, quiet: bool
    ) -> None:
        self._pool, self._work = pool, work
        self.view, self.key, self.quiet = view, key, quiet
        self._stop = threading.Event()
        self.ended = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Ask the job to stop; it does so at its next check."""
        self._stop.set()

    def check(self) -> None:
        """Raise :class:`Cancelled` if the job was asked to stop."""
        if self.cancelled:
            raise Cancelled

    def wait_cancelled(self, seconds: float) -> bool:
        """Wait that long, or less if the job is asked to stop; whether it was."""
        return self._stop.wait(seconds)

    def progress(self, done: int, total: int, text: str | None = None) -> None:
        """Say how far the work is; raises :class:`Cancelled` if it was asked to stop."""
        self.check()
        view = replace(self.view, done=done, total=total)
        self.view = view if text is None else replace(view, text=text)
        self._pool.progressed(self)

    def run(self) -> None:
        """Do the work; what it writes takes its place only if nobody has cancelled it by then.

        Quiet work keeps what the user has done: that is written in any case.
        """
        from cryoscope.io.atomic import asking_before_outputs

        self.check()
        if self.quiet or not self.view.cancellable:
            self._work(self)
            return
        with asking_before_outputs(self.check):
            self._work(self)


class JobPool:
    """A few threads that do jobs in the order they came.

    Parameters
    ----------
    changed
        Called (in any thread, without a lock held) when :meth:`views` has changed.
    failed
        Called with the exception of a job that failed.
    workers
        Number of threads; they start with the first job.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        failed: Callable[[Exception], None],
        *,
        workers: int = 2,
    ) -> None:
        self._changed, self._failed, self._workers = changed, failed, workers
        self._condition = threading.Condition()
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._threads: list[threading.Thread] = []
        self._open = 0  # submitted and not yet ended, the listing without them included
        self._closed = False
        self._last_published_s = 0.0

    def submit(
        self,
        name: str,
        work: Callable[[Job], None],
        *,
        key: str = "",
        text: str = "",
        cancellable: bool = True,
        quiet: bool = False,
        cancel_running: bool = True,
    ) -> Job:
        """Do ``work`` soon, in another thread.

        Jobs with the same non-empty ``key`` never run at the same time, and the newest wins: those
        still waiting are dropped, and the one that runs is asked to stop (unless
        ``cancel_running`` is False: then it is left to finish first). A ``quiet`` job is not
        listed. After :meth:`close` the job is returned cancelled and is never run.
        """
        job = Job(self, JobView(name, text or name, 0, 0, cancellable), work, key, quiet)
        with self._condition:
            if self._closed:
                job.cancel()
                job.ended.set()
                return job
            if key:
                self._supersede(key, cancel_running)
            self._waiting.append(job)
            self._open += 1
            if len(self._threads) < self._workers:
                self._start_thread()
            self._condition.notify_all()
        self._publish(job)
        return job

    def views(self) -> tuple[JobView, ...]:
        """The listed jobs, running ones first."""
        with self._condition:
            jobs = [*self._running, *self._waiting]
            return tuple(job.view for job in jobs if not job.quiet)

    def cancel(self, name: str) -> None:
        """Ask every job of that name to stop."""
        with self._condition:
            for job in [*self._running, *self._waiting]:
                if job.view.name == name:
                    job.cancel()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing runs or waits; False if that took longer than ``timeout_s``.

        Never call it from a job: that would wait for itself.
        """
        with self._condition:
            return self._condition.wait_for(lambda: self._open == 0, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Drop what waits, ask what runs to stop, and give it ``timeout_s`` to do so."""
        with self._condition:
            self._closed = True
            for job in self._running:
                job.cancel()
            for job in list(self._waiting):
                self._drop(job)
            self._condition.notify_all()
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))

    def progressed(self, job: Job) -> None:
        """Publish the progress of ``job``, at most every :data:`PUBLISH_EVERY_S`."""
        now_s = time.monotonic()
        if now_s - self._last_published_s >= PUBLISH_EVERY_S:
            self._last_published_s = now_s
            self._publish(job)

    def _supersede(self, key: str, cancel_running: bool) -> None:
        for job in [job for job in self._waiting if job.key == key]:
            self._drop(job)
        if cancel_running:
            for job in self._running:
                if job.key == key:
                    job.cancel()

    def _drop(self, job: Job) -> None:
        self._waiting.remove(job)
        self._open -= 1
        job.cancel()
        job.ended.set()

    def _start_thread(self) -> None:
        name = f"cryoscope-job-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.run()
            except Cancelled:
                pass
            except Exception as error:
                self._failed(error)
            finally:
                with self._condition:
                    self._running.remove(job)
                # The list without the job is out before anyone learns that it has ended.
                self._publish(job)
                job.ended.set()
                with self._condition:
                    self._open -= 1
                    self._condition.notify_all()

    def _next(self) -> Job | None:
        with self._condition:
            while not self._closed:
                busy = {job.key for job in self._running if job.key}
                for job in self._waiting:
                    if job.key not in busy:
                        self._waiting.remove(job)
                        self._running.append(job)
                        return job
                self._condition.wait()
            return None

    def _publish(self, job: Job) -> None:
        if not job.quiet:
            self._changed()
