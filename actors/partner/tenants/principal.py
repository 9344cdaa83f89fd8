"""Who calls: what a good credential says of its holder."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from actors.partner.errors import NotAllowed

Environment: TypeAlias = Literal["sandbox", "production"]
Role: TypeAlias = Literal["owner", "member"]
ENVIRONMENTS: Final[tuple[Environment, ...]] = get_args(Environment)
PrincipalKind: TypeAlias = Literal["user", "key"]


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a request is answered for.

    Attributes:
        id: of the user or of the key; never the credential.
        role: of a user; a key has none.
        environment: the one that a key belongs to; a user sees both.
    """

    tenant_id: str
    kind: PrincipalKind
    id: str
    role: Role | None = None
    environment: Environment | None = None

    def check_owner(self) -> None:
        """Raise NotAllowed for who may not change keys, webhooks and the profile."""
        if self.role != "owner":
            raise NotAllowed("Only an owner of the account may change this")

    def may_see(self, environment: Environment) -> bool:
        """Tell whether what belongs to an environment is there for this caller."""
        return self.environment is None or self.environment == environment
