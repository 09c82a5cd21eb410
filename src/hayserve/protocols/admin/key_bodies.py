"""What is sent to make a key, and to rotate one."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from hayserve.access.budget import Budget

Limit = Annotated[int, Field(strict=True, ge=1)] | None
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class KeyBudget(BaseModel):
    """How much a key may use; what is not said has no limit."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True, extra="forbid")

    requests_per_minute: Limit = None
    concurrent_runs: Limit = None
    tokens_per_day: Limit = None
    run_seconds_per_day: Limit = None

    def budget(self) -> Budget:
        return Budget.of(self.model_dump())


class NewKey(BaseModel):
    """The body of `POST /keys`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True, extra="forbid")

    name: str
    scopes: list[str]
    budget: KeyBudget = KeyBudget()
    expires_in: Seconds | None = None


class Rotation(BaseModel):
    """The body of `POST /keys/{name}/rotate`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True, extra="forbid")

    keep_old: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
