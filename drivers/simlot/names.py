"""By what a simulated lot names its cars: which exits go with that, and the plates that its cameras read."""

from typing import Final

from drivers.profile import LotProfile
from parking.desk import ExitKind
from parking.errors import Code, Environment
from parking.stay import NameKind

_KANA: Final = "さすせそたちつ"


def check_kinds(profile: LotProfile) -> None:
    """Raises Environment(CONFIG) for a lot that cannot be simulated."""
    if profile.lot.names is NameKind.DESK and not profile.exit:
        return
    kinds = [exit_.kind for exit_ in profile.exit]
    plates, gates = kinds.count(ExitKind.PLATE), kinds.count(ExitKind.GATE)
    fitting = plates if profile.lot.names is NameKind.BAY else gates
    if not kinds or len(kinds) != fitting:
        raise Environment(
            Code.CONFIG,
            f"a lot named by {profile.lot.names.value} with {plates} plates and {gates} gates cannot be simulated "
            "- at `$.exit`",
            "use lock plates with names = 'bay', gates with names = 'ticket' or 'plate', no exits with names = 'desk'",
        )


def plate_of(number: int) -> str:
    """What a camera at the entry reads: one plate for each number."""
    rest, serial = divmod(number, 10_000)
    rest, kana = divmod(rest, len(_KANA))
    return f"多摩{300 + rest % 300}{_KANA[kana]}{serial:04d}"
