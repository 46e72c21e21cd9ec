"""What --help of each command ends with: examples, and the exit status."""

STATUS = """\
exit status: 0 done; 1 a check failed or a kernel diverged; 2 wrong usage; 3 something
in the environment is missing or failed; 4 not supported by this kernel; 130 stopped;
compare has 5 and 6, too
"""

# By command; None: of all.
EXAMPLES: dict[str | None, str] = {
    None: """\
examples:
  anonvma doctor                          what is missing on this machine
  anonvma run                             the table of README, in a few minutes
  anonvma run --vmas 65536 --pages 10     2.5 GiB of written pages
  anonvma show                            the newest campaign's table again
  anonvma run --target uml                the same at this machine's speed
  anonvma boot -- python3 -c 'print(1)'   one command in a guest
  anonvma agree                           does the kernel do as it should?
  anonvma kselftest                       the kernel's own test of names
""",
    "doctor": """\
examples:
  anonvma doctor                          what is missing, and how to install it
  anonvma doctor --mend                   after kill -9: settings and files, as before
  anonvma doctor --bases                  6.1 and 6.12, where Debian has their sources
""",
    "build": """\
examples:
  anonvma build                           the kernel of run
  anonvma build --variant all --base all  every kernel there is
  anonvma build --mutant all --arch um    every kernel with a bug in naming
""",
    "boot": """\
examples:
  anonvma boot                            a shell; leave it with exit or Ctrl-D
  anonvma boot --variant none --base 6.1 -- uname -a
  anonvma boot --target uml --share out -- cp /proc/config.gz out/
  anonvma boot --image image              the whole harness in an ARM64 guest
""",
    "run": """\
examples:
  anonvma run
  anonvma run --vmas 1000,4000 --naming distinct:79,shared:79 --boots 2
  anonvma run --variant strdup,refcount --vmas 65536
  anonvma run --variant all --base all --vmas 65536
  anonvma run --plan plan.toml --name nightly
  anonvma run --target uml,qemu --arch aarch64,x86_64 --name everywhere
  anonvma run --kernel ~/linux/arch/arm64/boot/Image
  anonvma run --target host --naming none

A plan file gives any of these options by its long name, in the plural where it
takes a list: vmas = [1000, 65536], variants = ["switch"], bases = ["all"], boots = 4.
Options on the command line win.
""",
    "kselftest": """\
examples:
  anonvma kselftest --target uml,qemu --base all
  anonvma kselftest --variant none        fails, as a kernel without names should
  anonvma kselftest --kernel ~/linux/arch/arm64/boot/Image
""",
    "import": """\
examples:
  anonvma import records.jsonl --name phones
of what was taken elsewhere with: python3 anonvma.pyz run --out records.jsonl
""",
    "image": """\
examples:
  anonvma image                           into image/, for anonvma boot --image image
""",
    "probe": """\
examples:
  anonvma probe
and over there:
  python3 anonvma.pyz doctor
  python3 anonvma.pyz run --vmas 65536 --out records.jsonl
""",
    "tune": """\
examples:
  anonvma tune                            what disturbs measurements here
  anonvma tune --apply                    change what can be changed
  anonvma tune --undo                     and back, after a crash too
""",
    "agree": """\
examples:
  anonvma agree                           20 000 operations on our kernel, natively
  anonvma agree --ops 250000 --seed 7 --base 6.1
  anonvma agree --target qemu --ops 5000  on ARM64
  anonvma agree --kernel ~/linux/linux    a User-Mode Linux of your own
""",
    "report": """\
examples:
  anonvma report results/nightly          nightly.html, one page that opens offline
  anonvma report nightly --text           a mail of 72 columns
""",
    "export": """\
examples:
  anonvma export results/nightly nightly.parquet
what notebooks, show and compare read
""",
    "compare": """\
examples:
  anonvma compare before after --margin 2%
  anonvma compare nightly                 named against unnamed, cell by cell
  anonvma compare bystanders --variant none,refcount
  anonvma compare phone board --effects   what names add, on two machines
  anonvma compare before after --format mm

what is compared:
  A B             every call of B with the same call of A, named or not
  A               named against unnamed; name, rename: copied against shared
  A B --effects   named - unnamed of B with that of A. The change is shown per VMA,
                  and in percent of A's unnamed call: that is held against the margin

exit status of compare, the first that applies:
  1  regressed    a trusted cell got worse by more than the margin
  5  untrusted    the A/A check of a compared cell failed, or there is none
  6  missing      a cell of one side, or of its plan, or some of its boots, could not
                  be compared; not with --allow-missing, unless nothing was compared
  0  none of these; inconclusive cells are counted and do not fail
""",
    "truth": """\
examples:
  anonvma truth
  anonvma truth --variant refcount,strdup --base all --name memory
  anonvma truth --vmas 4096 --naming distinct:8,distinct:63 --arch x86_64
exit status 1: the kernel holds something else than was predicted
""",
    "mutants": """\
examples:
  anonvma mutants                         all: some minutes, their kernels included
  anonvma mutants --of-the-day 3
  anonvma mutants --name fork-forgets-names --seed 7
""",
    "replay": """\
examples:
  anonvma replay results/diverged-1-20261123-101500/trace.jsonl
  anonvma replay trace.jsonl --target uml --base 6.1
""",
    "show": """\
examples:
  anonvma show
  anonvma show nightly                    results/nightly
  anonvma show nightly --metric name,exit_reap
  anonvma show ~/elsewhere/nightly
A name is looked up in --results. A file or folder here with the same name counts
only if it is a campaign too; then give the whole path of the one you mean.
""",
}  # fmt: skip
