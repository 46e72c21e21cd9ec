"""The version of the measurement: it changes whenever the measured numbers change.

Samples of different protocols must not be pooled or compared. Samples of one protocol
may be, whichever version of the harness took them. ``make protocol OLD=REVISION`` says
whether the protocol must change: the old and the new worker run the same job in
alternating boots of one kernel. Their numbers must not differ by more than boots of the
same worker do.
"""

# 4 was used before: the next new protocol is 5.
PROTOCOL = 3

# The protocols of versions whose records do not have one (schemas 1 and 2).
#
# 0.1.0 and 0.2.0 differ from all others in the rests while VMAs are made and in the
# sysctls of their runs. The forked process of 0.3.1 and 0.3.2 had fewer imports than
# that of 0.3.0, which saves 4 400 to 7 700 instructions per fork. Since then a process
# is filled up to its former size (harness.worker.measure.filling): protocol 3 again.
_OF_VERSIONS = {"0.1.0": 1, "0.2.0": 2, "0.3.0": 3, "0.3.1": 4, "0.3.2": 4}
_UNKNOWN = 0


def protocol_of_version(version: str) -> int:
    """The protocol of records without one, by the version that wrote them.

    0 for a version that cannot have written such records.
    """
    return _OF_VERSIONS.get(version, _UNKNOWN)
