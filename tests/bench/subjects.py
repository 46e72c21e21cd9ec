"""Every subject of the bench, in the order of its table."""

from tests.bench.boots import BOOTS
from tests.bench.growth import GROWTH_HERE, GROWTH_IN_GUEST
from tests.bench.guests import FORKS, UML_GUEST
from tests.bench.judging import JUDGING
from tests.bench.loading import LOADING, LOADING_MEMORY
from tests.bench.parsing import PARSING
from tests.bench.warm import WARM

SUBJECTS = (
    PARSING, UML_GUEST, FORKS, JUDGING, LOADING, LOADING_MEMORY, BOOTS, WARM,
    GROWTH_IN_GUEST, GROWTH_HERE,
)  # fmt: skip
