"""The gateway's own errors of the control plane."""

from collections.abc import Mapping

from sluice.errors import BadRequest, Conflict, DependencyUnavailable, NotFound, Problem, SluiceError, Unprocessable


class KeyNotFound(NotFound):
    """No API key has this id."""

    code, title = "api_key_not_found", "No such API key"


class KeyRevoked(Conflict):
    """A revoked key cannot be changed."""

    code, title = "api_key_revoked", "API key is revoked"


class OrganizationNotFound(NotFound):
    """No organisation has this id."""

    code, title = "organization_not_found", "No such organisation"


class TeamNotFound(NotFound):
    """No team has this id."""

    code, title = "team_not_found", "No such team"


class PriceNotFound(NotFound):
    """No price override has this id."""

    code, title = "price_not_found", "No such price"


class AuditRecordNotFound(NotFound):
    """No record of the audit log has this id."""

    code, title = "audit_record_not_found", "No such audit record"


class NameTaken(Conflict):
    """The name is in use by a sibling."""

    code, title = "name_taken", "Name is taken"


class NotEmpty(Conflict):
    """What is to be deleted still has teams or keys that work."""

    code, title = "not_empty", "Not empty"


class PlacementRefused(Unprocessable):
    """A key cannot be made or put there."""

    code, title = "placement_refused", "Key cannot stand there"


class PromptNotFound(NotFound):
    """The tenant has no prompt of this name."""

    code, title = "prompt_not_found", "No such prompt"


class PromptVersionNotFound(NotFound):
    """The prompt has no version of this number."""

    code, title = "prompt_version_not_found", "No such version"


class PromptSplitNotFound(NotFound):
    """The requests of the prompt are not split."""

    code, title = "prompt_split_not_found", "No split"


class PromptVariablesWrong(BadRequest):
    """The values do not fit the variables of the prompt."""

    code, title = "invalid_variables", "Variables do not fit"


class ExpiryPast(Unprocessable):
    """A new key would have expired already."""

    code, title = "expiry_past", "Expires in the past"


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used for another request."""

    code, title = "idempotency_key_reused", "Idempotency key reused"


class PolicyUnknown(Unprocessable):
    """The routing snapshot has no policy of this name."""

    code, title = "policy_unknown", "Unknown policy"


class UserTypeUnknown(Unprocessable):
    """The settings name no such kind of user."""

    code, title = "user_type_unknown", "Unknown user type"


class CursorUnknown(Unprocessable):
    """The cursor `after` names nothing in this list."""

    code, title = "cursor_unknown", "Unknown cursor"


class TranscriptNotFound(NotFound):
    """No such transcript, or it has expired."""

    code, title = "transcript_not_found", "Transcript not found"


class ResponseNotFound(NotFound):
    """The tenant has no kept response of this id."""

    code, title = "response_not_found", "No such response"


class ConversationNotFound(NotFound):
    """The tenant has no conversation of this id."""

    code, title = "conversation_not_found", "No such conversation"


class ConversationItemNotFound(NotFound):
    """The conversation has no item of this id."""

    code, title = "conversation_item_not_found", "No such item"


class NotCancellable(BadRequest):
    """Only what runs in the background can be cancelled."""

    code, title = "not_cancellable", "Cannot be cancelled"


class FilterMissing(Unprocessable):
    """It is not said which rows are meant."""

    code, title = "filter_missing", "Filter missing"


class TrendTooLong(Unprocessable):
    """The period has too many intervals."""

    code, title = "trend_too_long", "Too many points"


class UsageNotFound(NotFound):
    """No request with this id was recorded."""

    code, title = "usage_not_found", "No such request"


class JournalUnavailable(DependencyUnavailable):
    """Usage cannot be written to disk, so nothing may be answered that would have to be billed."""

    code, title = "usage_journal_unavailable", "Usage journal unavailable"


class SnapshotMissing(DependencyUnavailable):
    """No routing snapshot has been read yet."""

    code, title = "routing_snapshot_missing", "No routing snapshot yet"


class KeyRingMissing(DependencyUnavailable):
    """The API keys have not been read yet."""

    code, title = "key_ring_missing", "API keys not read yet"


class ServiceRefused(SluiceError):
    """A service behind the gateway answered with an error; its problem, if it sent one, goes to the caller."""

    def __init__(
        self, service: str, status: int, problem: Problem | None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        detail = problem.detail if problem else f"The {service} service answered with status {status}."
        super().__init__(detail, headers=headers)
        self.service = service
        self.answered = status
        self.problem_sent = problem
