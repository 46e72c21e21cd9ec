import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.host import programs
from harness.host.programs import leashed, printable, run_logged, tail_of

# For what should be there at once; a test that meets it fails.
DEADLINE_S = 60.0


def ends(pid: int) -> bool:
    """Whether a process is gone, or a zombie, before the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.005)
    return False


def first_number(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    with process.stdout as pipe:
        return int(pipe.readline())


@pytest.mark.parametrize(
    ("line", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15)]
)
def test_the_leash_ends_as_its_program_does(line: str, status: int) -> None:
    with leashed(["sh", "-c", line]) as process:
        assert process.wait(DEADLINE_S) == status


CHILD_STATUS = """
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from harness import __main__
import harness.cli
def run():
    from pathlib import Path
    from harness.host.programs import run_logged
    return run_logged(["false"], Path("/dev/null"), deadline_s=60)
harness.cli.main = run
sys.exit(__main__.main())
"""


@pytest.mark.long
def test_a_program_that_fails_does_where_its_owner_was_to_ignore_children() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD_STATUS], check=False)

    assert done.returncode == 1


def test_a_leash_waits_where_its_owner_ignores_children(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with (
            open(tmp_path / "said", "wb") as said,
            leashed(["sh", "-c", "exit 7"], stderr=said.fileno()) as process,
        ):
            process.wait(DEADLINE_S)
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert (tmp_path / "said").read_text() == ""


@pytest.mark.long
def test_a_leash_is_not_in_its_owner_s_group() -> None:
    """A terminal's Ctrl-C would end it while it starts, with a traceback."""
    with leashed(["sleep", "1000"]) as process:
        assert os.getpgid(process.pid) == process.pid


def test_a_program_that_there_is_not_is_named_and_ends_with_127() -> None:
    with leashed(["no-such-program"], stderr=subprocess.PIPE) as process:
        _, words = process.communicate(timeout=DEADLINE_S)

    assert words == b"no-such-program: No such file or directory\n"
    assert process.returncode == 127


def test_the_program_has_the_environment_that_it_was_given() -> None:
    with leashed(
        ["/bin/sh", "-c", "echo $WORD"], stdout=subprocess.PIPE, env={"WORD": "yes"}
    ) as process:
        words, _ = process.communicate(timeout=DEADLINE_S)

    assert words == b"yes\n"


@pytest.mark.parametrize(
    "line",
    [
        "echo $$; exec sleep 1000",
        "sleep 1000 & echo $!; wait",
        "(sleep 1000 & echo $!); sleep 1000",
    ],
    ids=["program", "child", "orphan"],
)
def test_the_whole_group_ends_with_the_block(line: str) -> None:
    with leashed(["sh", "-c", line], stdout=subprocess.PIPE) as process:
        pid = first_number(process)
        assert psutil.pid_exists(pid)

    assert ends(pid)
    assert process.returncode == 128 + 15


def test_what_a_program_leaves_behind_ends_with_it() -> None:
    with leashed(
        ["sh", "-c", "sleep 1000 >&- & echo $!"], stdout=subprocess.PIPE
    ) as process:
        pid = first_number(process)
        assert process.wait(DEADLINE_S) == 0
        assert ends(pid)


@pytest.mark.long
def test_a_program_that_will_not_end_is_killed() -> None:
    with leashed(
        ["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done"],
        stdout=subprocess.PIPE,
    ) as process:
        pid = first_number(process)

    assert process.returncode == 128 + 9
    assert ends(pid)


OWNER = """
import time
from harness.host.programs import leashed
with leashed(["sh", "-c", "sleep 1000 & echo $!; wait"]):
    time.sleep(1000)
"""


def test_the_group_ends_when_its_owner_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE)
    try:
        pid = first_number(owner)
        assert psutil.pid_exists(pid)
    finally:
        owner.kill()
        owner.wait()

    assert ends(pid)


# Says its pid when it is in a session of its own.
ESCAPED = "setsid sh -c 'echo $$; exec >&-; trap \"\" TERM; sleep 1000; sleep 1000'"


@pytest.mark.long
@pytest.mark.parametrize("last", ["exit 0", "sleep 1000"])
def test_what_left_the_group_ends_with_the_block_too(tmp_path: Path, last: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    line = f"{ESCAPED} >{fifo} & read x <{fifo}; echo $x; {last}"
    with leashed(["sh", "-c", line], stdout=subprocess.PIPE) as process:
        pid = first_number(process)

    assert ends(pid)


def test_what_left_the_group_has_the_time_to_put_things_back(tmp_path: Path) -> None:
    """As the guardian of settings does, which no signal ends but one."""
    back = tmp_path / "back"
    line = f"setsid sh -c 'trap \"\" TERM; echo 1; read x; sleep .3; : >{back}' <&0 &"
    with leashed(
        ["sh", "-c", f"{line} sleep 1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        first_number(process)
        assert process.stdin is not None
        process.stdin.close()

    assert back.exists()


@pytest.mark.long
def test_what_left_the_group_ends_when_its_owner_is_killed() -> None:
    escaped = ESCAPED.replace('"', '\\"')
    program = OWNER.replace("sleep 1000 & echo $!;", f"{escaped} &")
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        pid = first_number(owner)
        assert psutil.pid_exists(pid)
    finally:
        owner.kill()
        owner.wait()

    assert ends(pid)


def test_the_program_ends_when_its_leash_is_killed() -> None:
    with leashed(["sh", "-c", "echo $$; exec sleep 1000"], stdout=subprocess.PIPE) as p:
        pid = first_number(p)
        p.kill()

        assert ends(pid)


BOMB = """
import os
for count in range(200):
    try:
        pid = os.fork()
    except BlockingIOError:
        break
    if not pid:
        import time
        time.sleep(1000)
os.write(1, b"%d\\n" % count)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, as root may")
def test_a_program_has_as_many_processes_as_it_was_given_and_no_more(
    package_for_all: Path,
) -> None:
    """Of a user without any: others' processes come and go meanwhile."""
    argv = ["/usr/bin/python3", "-c", BOMB]
    owner = f"""
from harness.host.programs import leashed
with leashed({argv}, processes=50) as process:
    process.wait()
"""
    become = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--"]
    done = subprocess.run(
        # This environment's may be in a folder that only root may enter.
        [*become, "/usr/bin/python3", "-c", owner],
        stdout=subprocess.PIPE, check=False,
        env={"PYTHONPATH": str(package_for_all), "PATH": os.defpath},
    )  # fmt: skip

    # Owner, leash and program were there: the first two as the leash counted.
    assert 40 <= int(done.stdout) <= 50


def test_all_that_a_program_says_is_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    heard: list[str] = []

    status = run_logged(
        ["sh", "-c", "echo one; echo two >&2; exit 3"],
        log,
        deadline_s=DEADLINE_S,
        on_line=heard.append,
    )

    assert status == 3
    assert heard == ["one", "two"]
    assert log.read_text() == (
        "before\n$ sh -c 'echo one; echo two >&2; exit 3'\none\ntwo\n"
    )


def test_a_line_is_heard_when_it_comes(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    status = run_logged(
        ["sh", "-c", 'echo go; while [ ! -e "$0" ]; do sleep 0.01; done', str(gate)],
        tmp_path / "log",
        deadline_s=DEADLINE_S,
        on_line=lambda line: gate.touch(),
    )

    assert status == 0


def test_a_program_past_its_deadline_is_none_and_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, pid=0)
    monkeypatch.setattr(programs, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def take_all_day(line: str) -> None:
        clock.pid = int(line)
        clock.now += DEADLINE_S

    status = run_logged(
        ["sh", "-c", "echo $$; exec sleep 1000"],
        tmp_path / "log",
        deadline_s=DEADLINE_S,
        on_line=take_all_day,
    )

    assert status is None
    assert ends(clock.pid)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", ""),
        (b"a\nb\n", "a\nb"),
        (b"a\nb\nc\nd\n", "b\nc\nd"),
        (b"\x1b[2Jgone\r\n\x07", "\\x1b[2Jgone\n\\x07"),
        (b"\xff\n", "\ufffd"),
        (b"x" * 10_000, "x" * 600),
    ],
    ids=["empty", "short", "long", "escapes", "not UTF-8", "one long line"],
)
def test_the_tail_of_a_file_is_its_last_lines_made_printable(
    tmp_path: Path, content: bytes, shown: str
) -> None:
    assert tail_of(write(tmp_path / "log", content), lines=3) == shown


def test_a_file_that_there_is_not_has_no_tail(tmp_path: Path) -> None:
    assert tail_of(tmp_path / "log") == ""


@given(st.text())
def test_nothing_that_is_shown_can_steer_a_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(exclude_categories=("C", "Z"))))
def test_what_is_printable_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31m", "\\x1b[31m"), ("\u202e", "\\u202e"), ("a\tb\0", "a\\tb\\x00")],
)
def test_what_is_not_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
