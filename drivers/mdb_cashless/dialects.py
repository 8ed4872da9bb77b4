"""The dialects that are known, by their names in a lot profile."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from drivers.mdb_cashless.qibixx import Qibixx


class Spelling(StrEnum):
    """Which adapter it is."""

    QIBIXX = "qibixx"


DIALECTS: Final = MappingProxyType({Spelling.QIBIXX: Qibixx})
