"""Sums and messages between processes, with an end for all of them where one fails."""
import atexit
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType, TracebackType
from typing import Any

import numpy as np

_FAILED, _ASKING, _ANSWER, _LEFT = 1, 2, 3, 4       # kinds of notes
_SPIN = 2e-4                            # seconds of asking again at once before a process lets others have the core
_PAUSES = 2e-5, 1e-3                   # shortest and longest rest between two questions: a tenth of the time waited
_LISTEN = 1e-3                          # seconds between two looks for notes
_GRACE = 0.5                            # seconds in which several processes that fail agree on who says it
_ROLL_CALL = 2.0                        # seconds between two roll calls, in which those that wait answer


class Talk:
    """What the processes of one `mpirun` say to each other.

    All sums and messages are begun without blocking and waited for here, so that a process that waits sees that another one
    has failed, or that one does not come.

    Attributes:
        rank, size: which process this is, and how many there are.
        timeout: seconds to wait for the others.
    """

    timeout = 300.0

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        # apart from each other, so that processes at different things wait, and get nothing that was meant otherwise
        self._sums, self._talks, self._notes = (mpi.COMM_WORLD.Dup() for _ in range(3))
        self.rank, self.size = self._sums.Get_rank(), self._sums.Get_size()
        self._waits = 0                                 # that are done
        self._doing = ""                                # what it waits for
        self._round = 0                                 # of roll calls
        self._answers: dict[int, tuple[int, str]] = {}  # to the last one: who waits, after how many waits, and for what
        self._failed: set[int] = set()
        self._left: set[int] = set()
        self._sent: list[Any] = []
        self._speaking = threading.RLock()
        self._process = os.getpid()                     # a fork of it is nobody here
        self._ending = False

    @contextmanager
    def of_one_thread(self, who: str) -> Iterator[None]:
        """While one thread speaks: sums of two would get mixed up, as they come in another order in each process.

        Raises:
            RuntimeError: another thread does.
        """
        if not self._speaking.acquire(blocking=False):
            raise RuntimeError(f"{who}: expected one fit or evaluate at a time that is shared by processes; another thread is "
                               "in one")
        try:
            yield
        finally:
            self._speaking.release()

    def begin_sum(self, array: np.ndarray) -> Any:
        """Begin to replace the array by the sum over all processes; `wait` comes before it is read."""
        return self._sums.Iallreduce(self._mpi.IN_PLACE, array)

    def add(self, array: Any) -> np.ndarray:
        """The sum over all processes, float64."""
        total = np.array(array, float, order="C")
        self.wait([self.begin_sum(total)], "a sum over the whole batch")
        return total

    def from_first(self, value: Any, doing: str) -> Any:
        """What the first process gives."""
        content = np.frombuffer(pickle.dumps(value), np.uint8) if self.rank == 0 else None
        size = np.array([0 if content is None else len(content)])
        self.wait([self._talks.Ibcast(size, root=0)], doing)
        received = np.empty(size[0], np.uint8) if content is None else np.array(content)
        self.wait([self._talks.Ibcast(received, root=0)], doing)
        return value if self.rank == 0 else pickle.loads(received.tobytes())

    def to_first(self, value: Any, doing: str) -> list[Any]:
        """For the first process what each one gives, in their order; an empty list for the others."""
        content = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.zeros(self.size, int)
        self.wait([self._talks.Igather(np.array([len(content)]), sizes if self.rank == 0 else None, root=0)], doing)
        ends = np.cumsum(sizes)
        received = np.empty(int(ends[-1]), np.uint8)
        into = [received, (sizes, ends - sizes)] if self.rank == 0 else None
        self.wait([self._talks.Igatherv(content, into, root=0)], doing)
        parts = np.split(received, ends[:-1]) if self.rank == 0 else []
        return [pickle.loads(part.tobytes()) for part in parts]

    def nudge(self, requests: Sequence[Any]) -> None:
        """Let what was begun get on: MPI works while it is called."""
        self._mpi.Request.Testall(list(requests))

    def wait(self, requests: Sequence[Any], doing: str) -> None:
        """Until these are done.

        Raises:
            TimeoutError: the others did not come; says who.
            RuntimeError: they have come to other places, or left the program.
            SystemExit: another process has failed, and says so.
        """
        requests = list(requests)
        begun = looked = called = time.monotonic()
        before = self._answers = dict[int, tuple[int, str]]()
        left: set[int] = set()
        self._doing = doing
        while not self._mpi.Request.Testall(requests):
            now = time.monotonic()
            if now - looked > _LISTEN:
                looked = now
                self._listen()
            if now - called > _ROLL_CALL:
                called = now
                self._see_that_others_come(before, left)
                before, left = self._call_roll(), set(self._left)
            if now - begun > self.timeout:
                self._tell_who_is_missing()
            if now - begun > _SPIN:
                time.sleep(min(max((now - begun) / 10, _PAUSES[0]), _PAUSES[1]))
        self._doing = ""
        self._waits += 1

    def _listen(self) -> None:
        """Read the notes that have come."""
        status = self._mpi.Status()
        while self._notes.Iprobe(status=status):
            kind, sender = status.Get_tag(), status.Get_source()
            content = self._notes.recv(source=sender, tag=kind)
            if kind == _FAILED:
                self._failed.add(sender)
                if not self._ending:
                    self._ending = True
                    raise SystemExit(1)                 # the one that failed says it, and ends all
            elif kind == _LEFT:
                self._left.add(sender)
            elif kind == _ASKING and self._doing and not self._ending:
                self._send(_ANSWER, (content, self._waits, self._doing), [sender])
            elif kind == _ANSWER and content[0] == self._round:
                self._answers[sender] = content[1:]

    def _send(self, kind: int, content: Any, to: Sequence[int]) -> None:
        self._sent = [each for each in self._sent if not each.Test()]
        self._sent += [self._notes.isend(content, dest=other, tag=kind) for other in to]

    def _others(self) -> list[int]:
        return [other for other in range(self.size) if other != self.rank]

    def _call_roll(self) -> dict[int, tuple[int, str]]:
        """Ask what the others wait for, and give what they said the last time."""
        answers, self._answers = self._answers, {}
        self._round += 1
        self._send(_ASKING, self._round, self._others())
        return answers

    def _see_that_others_come(self, before: dict[int, tuple[int, str]], left: set[int]) -> None:
        """Processes that wait for different things, and still do one roll call later, wait for ever.

        Arguments:
            before: the answers to the roll call before the last one.
            left: who had left the program before the last one: what they gave would be here by now.

        Raises:
            RuntimeError: says it.
        """
        if left:
            raise RuntimeError(f"{_named(left)} of {self.size} left the program, while rank {self.rank} waits for "
                               f"{self._doing}: do all run the same program?")
        places = {**self._answers, self.rank: (self._waits, self._doing)}
        if len(places) == self.size and before == self._answers and len({doing for _, doing in places.values()}) > 1:
            self._tell_of_places(places)

    def _tell_of_places(self, places: dict[int, tuple[int, str]]) -> None:
        """The end of a wait that would have none.

        Raises:
            RuntimeError: always.
        """
        shown = ", ".join(f"rank {rank} for {doing}" for rank, (_, doing) in sorted(places.items()))
        raise RuntimeError(f"the ranks wait for each other, {shown}: do all run the same program on data of the same size?")

    def _tell_who_is_missing(self) -> None:
        """The time is over: find out who does not come.

        Raises:
            TimeoutError: says who.
            RuntimeError: all have come, to different places.
        """
        self._call_roll()
        end = time.monotonic() + _ROLL_CALL
        while time.monotonic() < end:
            self._listen()
            time.sleep(_LISTEN)
        missing = [other for other in self._others() if other not in self._answers]
        if missing:
            raise TimeoutError(f"{_named(missing)} of {self.size} did not come: waited {self.timeout:g} s for {self._doing} "
                               "(timeout= of DataParallel is how long)")
        self._tell_of_places({**self._answers, self.rank: (self._waits, self._doing)})

    def leave(self) -> None:
        """The program ends here: nobody waits for this process any more."""
        if not self._ending and not self._mpi.Is_finalized() and os.getpid() == self._process:
            self._send(_LEFT, None, self._others())

    def end_all(self, text: str, details: str = "", where: Any = None) -> None:
        """Say once, for all processes, what has failed, and end them.

        Where several fail at about the same time, the lowest of them says it: the first one needs to wait for nobody.

        Arguments:
            text: what has failed.
            details: what stands before that.
            where: the file to say it to; by default stderr.
        """
        self._ending = True
        self._send(_FAILED, text, self._others())
        end = time.monotonic() + (_GRACE if self.rank else 0)
        while time.monotonic() < end:
            self._listen()
            time.sleep(_LISTEN)
        if not self._failed or self.rank < min(self._failed):
            stream = where or sys.stderr                # in one piece: mpirun writes there too
            stream.write(f"{details}nblayers.distributed: rank {self.rank} of {self.size} {text}; all ranks end\n")
            stream.flush()
        else:
            time.sleep(_GRACE)                          # the other one is at it
        self._sums.Abort(1)


@cache
def connected() -> Talk:
    """The processes of this `mpirun`; asked for the first time, it looks after failures too.

    Raises:
        ImportError: mpi4py or MPI is not there.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError("nblayers.distributed needs mpi4py and an MPI: pip install 'nblayers[mpi]' "
                          f"({type(error).__name__}: {error})") from error
    talk = Talk(MPI)
    if talk.size > 1:
        _end_together(talk)
    return talk


def _end_together(talk: Talk) -> None:
    """An error that nobody catches, Ctrl-C, or mpirun's SIGTERM, ends all processes."""
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            ended = issubclass(kind, _Ended)
            return talk.end_all("was interrupted" + " (SIGTERM: Ctrl-C, or another process died)" * ended,
                                where=_terminal() if ended else None)
        import traceback
        details = "".join(traceback.format_exception(kind, error, trace)) if shown is sys.__excepthook__ else ""
        talk.end_all(f"failed with {kind.__name__}: {error}", details)

    sys.excepthook = hook
    atexit.register(talk.leave)
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


class _Ended(KeyboardInterrupt):
    """mpirun was interrupted, and ends what it has started."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    if connected()._ending:
        os._exit(1)                                     # another one has failed too, has said it and ends all
    raise _Ended


def _terminal() -> Any:
    """The terminal itself: mpirun, once it is interrupted, hands nothing on. None where there is no terminal."""
    try:
        return open("/dev/tty", "w")
    except OSError:
        return None


def _named(ranks: Iterable[int]) -> str:
    ranks = sorted(ranks)
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
