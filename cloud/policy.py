"""What a lot lets people do (its profile's `[policy]`), as far as the cloud acts on it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec

_HOURS: Final = r"^(|([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00))$"
_Yen = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]


class WhenDown(StrEnum):
    """What becomes of a car when payment is impossible."""

    HOLD = "hold"
    CLAIM = "claim"
    ATTENDANT = "attendant"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table as it is in the profile, and a row of `lots` by the same names. Amounts in yen, caps per business day.

    `pay_offline_minutes`: for how long after the last contact drivers may pay, to be let out by the code on their
    phone; 0: not at all. `attended`: when somebody is there who applies codes, local time; empty: never.
    """

    when_down: WhenDown = WhenDown.ATTENDANT
    loss_budget: _Yen = 5_000
    claim_days: Annotated[int, msgspec.Meta(ge=1, le=180)] = 14
    codes_per_day: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 20
    code_yen_per_day: _Yen = 30_000
    pay_offline_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 0
    attended: Annotated[str, msgspec.Meta(pattern=_HOURS)] = ""
    two_persons_above: _Yen = 10_000
    alarm_seconds: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 600

    @classmethod
    def of_row(cls, row: Mapping[Any, Any]) -> "Policy":
        """As a row of `lots` has it."""
        return msgspec.convert({name: row[name] for name in cls.__struct_fields__}, cls)

    def row(self) -> dict[str, Any]:
        """Its columns of `lots`."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def attended_at(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether somebody is there who applies codes; hours that end at or before they begin run past midnight."""
        if not self.attended:
            return False
        begins, ends = self.attended.split("-")
        local = f"{at.astimezone(zone):%H:%M}"
        return begins <= local < ends if begins < ends else local >= begins or local < ends


def mistake(policy: Policy, *, fee_by_cloud: bool) -> tuple[str, str] | None:
    """What of a policy contradicts itself: the key, and the problem."""
    if policy.pay_offline_minutes and not fee_by_cloud:
        return "pay_offline_minutes", "only our own tariff can tell a fee while the line is down"
    if policy.pay_offline_minutes and not (policy.attended and policy.codes_per_day):
        return "attended", "pay_offline_minutes needs hours at which somebody applies codes, and codes_per_day"
    return None
