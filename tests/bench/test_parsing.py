import os
import signal

from tests.bench.parsing import process_of
from tests.host.test_programs import ends


def test_a_process_that_is_parsed_ends_with_the_bench() -> None:
    reading, writing = os.pipe()
    bench = os.fork()
    if bench == 0:
        with process_of(20) as pid:
            os.write(writing, str(pid).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(bench, 0)

    assert ends(int(os.read(reading, 99)))
    os.close(reading)
    os.close(writing)
