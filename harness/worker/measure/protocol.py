"""Which worker measures what: a number that grows when what is measured changes.

Samples of two protocols may not be pooled or compared, whatever else agrees; those of
one may, whichever version of the harness took them. ``make protocol OLD=REVISION`` says
whether the number must grow: both workers play one job in alternating boots of one
kernel, and no number of theirs may differ by more than boots of one of them do.
"""

# The next one that has to be another is 5.
PROTOCOL = 3

# What versions measured whose records do not say it (schemas 1 and 2).
#
# 0.1.0 and 0.2.0 differ from all others in what is at rest while VMAs are made and in
# the sysctls of their runs. The forked process of 0.3.1 and 0.3.2 had imported less
# than that of 0.3.0: 4 400 to 7 700 instructions of each fork. From then on a process
# is filled up to what it was (harness.worker.measure.filling), which is 3 again.
_OF_VERSIONS = {"0.1.0": 1, "0.2.0": 2, "0.3.0": 3, "0.3.1": 4, "0.3.2": 4}
_UNKNOWN = 0


def protocol_of_version(version: str) -> int:
    """The protocol of records that have none, by the version that wrote them.

    0 for a version that no such record can be of.
    """
    return _OF_VERSIONS.get(version, _UNKNOWN)
