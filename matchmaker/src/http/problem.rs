//! Errors as RFC 9457 problems, and extractors whose rejections are problems too.

use crate::store::StoreError;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nearframe_journal::{JournalError, SharedError};
use nearframe_protocol::account::Offer;
use nearframe_protocol::api;
use std::error::Error;
use std::io::ErrorKind;

/// Every code that the API answers with: its name, status and title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    BadId,
    BadCursor,
    VersionMismatch,
    SignInNeeded,
    BudgetUsedUp,
    PlayerCapReached,
    NotYours,
    OriginNotAllowed,
    NotFound,
    UnknownTitle,
    UnknownSession,
    UnknownSave,
    BadKey,
    ScopeMissing,
    RoleMissing,
    UnknownAccount,
    UnknownMember,
    UnknownKey,
    UnknownWebhook,
    UnknownDelivery,
    UnknownSignIn,
    UnknownProvider,
    UnknownWay,
    PasskeyRefused,
    UnknownCase,
    UnknownDispute,
    UnknownReservation,
    UnknownAuction,
    DecidedOtherwise,
    TooEarly,
    AppealTooLate,
    NothingToAppeal,
    SameOperator,
    NotStakable,
    DisputeTooLate,
    LastOwner,
    TooManyKeys,
    TooManyWebhooks,
    WebhookDisabled,
    TooManyMembers,
    TooManyWays,
    PayoutDecided,
    NotPayable,
    NotOffered,
    InProgress,
    AnsweredOnce,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    BadBody,
    BadQuote,
    KeyReused,
    WrongHash,
    BadSurvey,
    UnknownGroup,
    UnknownBooking,
    UnknownNode,
    NoRoom,
    PricesChanged,
    PreconditionNeeded,
    UpgradeNeeded,
    TooManyRequests,
    TooManySessions,
    TooManySaves,
    Internal,
    NoCapacity,
    Draining,
    Unavailable,
    ProviderDown,
    Timeout,
    StorageFull,
}

impl Code {
    pub(crate) const ALL: [Self; 72] = [
        Self::BadRequest,
        Self::BadId,
        Self::BadCursor,
        Self::VersionMismatch,
        Self::SignInNeeded,
        Self::BudgetUsedUp,
        Self::PlayerCapReached,
        Self::NotYours,
        Self::OriginNotAllowed,
        Self::NotFound,
        Self::UnknownTitle,
        Self::UnknownSession,
        Self::UnknownSave,
        Self::BadKey,
        Self::ScopeMissing,
        Self::RoleMissing,
        Self::UnknownAccount,
        Self::UnknownMember,
        Self::UnknownKey,
        Self::UnknownWebhook,
        Self::UnknownDelivery,
        Self::UnknownSignIn,
        Self::UnknownProvider,
        Self::UnknownWay,
        Self::PasskeyRefused,
        Self::UnknownCase,
        Self::UnknownDispute,
        Self::UnknownReservation,
        Self::UnknownAuction,
        Self::DecidedOtherwise,
        Self::TooEarly,
        Self::AppealTooLate,
        Self::NothingToAppeal,
        Self::SameOperator,
        Self::NotStakable,
        Self::DisputeTooLate,
        Self::LastOwner,
        Self::TooManyKeys,
        Self::TooManyWebhooks,
        Self::WebhookDisabled,
        Self::TooManyMembers,
        Self::TooManyWays,
        Self::PayoutDecided,
        Self::NotPayable,
        Self::NotOffered,
        Self::InProgress,
        Self::AnsweredOnce,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::BadBody,
        Self::BadQuote,
        Self::KeyReused,
        Self::WrongHash,
        Self::BadSurvey,
        Self::UnknownGroup,
        Self::UnknownBooking,
        Self::UnknownNode,
        Self::NoRoom,
        Self::PricesChanged,
        Self::PreconditionNeeded,
        Self::UpgradeNeeded,
        Self::TooManyRequests,
        Self::TooManySessions,
        Self::TooManySaves,
        Self::Internal,
        Self::NoCapacity,
        Self::Draining,
        Self::Unavailable,
        Self::ProviderDown,
        Self::Timeout,
        Self::StorageFull,
    ];

    /// The code of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.describe().0 == name)
    }

    /// Name, status, title.
    pub(crate) fn describe(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", 400, "The request is malformed"),
            Self::BadId => ("bad_id", 400, "The id in the path is malformed"),
            Self::BadCursor => ("bad_cursor", 400, "The cursor is malformed"),
            Self::VersionMismatch => ("version_mismatch", 400, "No common protocol version"),
            Self::SignInNeeded => ("sign_in_needed", 401, "Proof of who you are is missing"),
            Self::BudgetUsedUp => ("budget_used_up", 402, "The budget is used up"),
            Self::PlayerCapReached => ("player_cap_reached", 402, "The player has spent enough this month"),
            Self::NotYours => ("not_yours", 403, "Only its owner may do this"),
            Self::OriginNotAllowed => ("origin_not_allowed", 403, "This site may not use the API"),
            Self::NotFound => ("not_found", 404, "Nothing is here"),
            Self::UnknownTitle => ("unknown_title", 404, "There is no such title"),
            Self::UnknownSession => ("unknown_session", 404, "There is no such session"),
            Self::UnknownSave => ("unknown_save", 404, "There is no such save"),
            Self::BadKey => ("bad_key", 401, "The key does not open anything"),
            Self::ScopeMissing => ("scope_missing", 403, "The key does not open this door"),
            Self::RoleMissing => ("role_missing", 403, "Your role does not allow this"),
            Self::UnknownAccount => ("unknown_account", 404, "There is no such account"),
            Self::UnknownMember => ("unknown_member", 404, "There is no such member"),
            Self::UnknownKey => ("unknown_key", 404, "There is no such key"),
            Self::UnknownWebhook => ("unknown_webhook", 404, "There is no such webhook"),
            Self::UnknownDelivery => ("unknown_delivery", 404, "There is no such delivery"),
            Self::UnknownSignIn => ("unknown_sign_in", 404, "There is no such sign-in"),
            Self::UnknownProvider => ("unknown_provider", 404, "There is no such provider"),
            Self::UnknownWay => ("unknown_way", 404, "There is no such way in"),
            Self::PasskeyRefused => ("passkey_refused", 401, "The passkey does not prove who you are"),
            Self::UnknownCase => ("unknown_case", 404, "There is no such case"),
            Self::UnknownDispute => ("unknown_dispute", 404, "There is no such dispute"),
            Self::UnknownReservation => ("unknown_reservation", 404, "There is no such reservation"),
            Self::UnknownAuction => ("unknown_auction", 404, "There is no such auction"),
            Self::DecidedOtherwise => ("decided_otherwise", 409, "It was decided the other way"),
            Self::TooEarly => ("too_early", 409, "It cannot be decided yet"),
            Self::AppealTooLate => ("appeal_too_late", 409, "The time for an appeal is over"),
            Self::NothingToAppeal => {
                ("nothing_to_appeal", 409, "There is nothing to appeal against or to rule on")
            }
            Self::SameOperator => ("same_operator", 409, "Another operator has to rule"),
            Self::NotStakable => ("not_stakable", 409, "The stake cannot be changed so"),
            Self::DisputeTooLate => ("dispute_too_late", 409, "The time for disputes is over"),
            Self::LastOwner => ("last_owner", 409, "An account keeps an owner"),
            Self::TooManyKeys => ("too_many_keys", 409, "The account has too many keys"),
            Self::TooManyWebhooks => ("too_many_webhooks", 409, "The account has too many webhooks"),
            Self::WebhookDisabled => ("webhook_disabled", 409, "The webhook is disabled"),
            Self::TooManyMembers => ("too_many_members", 409, "The account has too many members"),
            Self::TooManyWays => ("too_many_ways", 409, "The member has too many ways in"),
            Self::PayoutDecided => ("payout_decided", 409, "The payout has come to another end"),
            Self::NotPayable => ("not_payable", 409, "There is nothing that could be paid so"),
            Self::NotOffered => ("not_offered", 409, "This server does not offer it"),
            Self::InProgress => ("in_progress", 409, "The same request is under way"),
            Self::AnsweredOnce => ("answered_once", 409, "The answer was given and is shown once"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "The method is not allowed here"),
            Self::TooLarge => ("too_large", 413, "The request is too large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "The body must be JSON"),
            Self::BadBody => ("bad_body", 422, "The body does not have the expected form"),
            Self::BadQuote => ("bad_quote", 422, "The quote does not hold"),
            Self::KeyReused => ("key_reused", 422, "The idempotency key belongs to another request"),
            Self::WrongHash => ("wrong_hash", 422, "The content is not what its hash says"),
            Self::BadSurvey => ("bad_survey", 422, "The survey is unknown or too old"),
            Self::UnknownGroup => ("unknown_group", 404, "There is no such group"),
            Self::UnknownBooking => ("unknown_booking", 404, "There is no such booking"),
            Self::UnknownNode => ("unknown_node", 404, "There is no such machine"),
            Self::NoRoom => ("no_room", 409, "The region has no room at that time"),
            Self::PricesChanged => ("prices_changed", 412, "The prices were changed meanwhile"),
            Self::PreconditionNeeded => ("precondition_needed", 428, "If-Match is missing"),
            Self::UpgradeNeeded => ("upgrade_needed", 426, "This door is a WebSocket"),
            Self::TooManyRequests => ("too_many_requests", 429, "Too many requests"),
            Self::TooManySessions => ("too_many_sessions", 429, "Too many sessions at once"),
            Self::TooManySaves => ("too_many_saves", 429, "Saves of too many titles"),
            Self::Internal => ("internal", 500, "Something failed on our side"),
            Self::NoCapacity => ("no_capacity", 503, "All machines are taken"),
            Self::Draining => ("draining", 503, "This server is shutting down"),
            Self::Unavailable => ("unavailable", 503, "The database does not answer"),
            Self::ProviderDown => ("provider_down", 503, "The provider does not answer"),
            Self::Timeout => ("timeout", 503, "The request took too long"),
            Self::StorageFull => ("storage_full", 507, "There is no room on a disk of the server"),
        }
    }
}

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    retry_after_s: Option<u32>,
    offer: Option<Box<Offer>>,
}

impl Problem {
    /// `detail`: what went wrong this time and what to do.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_s: None, offer: None }
    }
    /// Its code, and what it says.
    pub(crate) fn into_parts(self) -> (Code, String) {
        (self.code, self.detail)
    }

    /// Whether it is of this code.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code
    }
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
    /// What it would take.
    pub(crate) fn offering(self, offer: Option<Offer>) -> Self {
        Self { offer: offer.map(Box::new), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, status, title) = self.code.describe();
        let body = api::Problem {
            kind: format!("https://nearframe.dev/problems/{code}"),
            title: title.to_owned(),
            status,
            detail: self.detail,
            code: code.to_owned(),
            offer: self.offer.map(|offer| *offer),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        if error.is_full() {
            return disk_full("database");
        }
        Self::new(Code::Unavailable, "The database did not answer. Try again in a moment.").retry_after(2)
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the general ledger failed");
        match &error {
            JournalError::Io(disk) if disk.kind() == ErrorKind::StorageFull => disk_full("general ledger"),
            JournalError::Shared(SharedError::Failed(error)) if is_full(&**error) => disk_full("database"),
            JournalError::Shared(error) => Self::new(Code::Unavailable, format!("{error}.")).retry_after(5),
            JournalError::Io(_) => {
                let detail = "The general ledger's disk failed. Nothing is lost: an operator looks at the server's log, and \
                              then the same request can be sent again.";
                Self::new(Code::Unavailable, detail).retry_after(60)
            }
            _ => Self::new(Code::Internal, format!("The general ledger: {error}.")),
        }
    }
}

fn is_full(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_full)
}

fn disk_full(what: &str) -> Problem {
    let detail = format!(
        "The disk that the {what} is on is full. An operator makes room on it, and then the same request can be sent \
         again: what was done of it is not done twice."
    );
    Problem::new(Code::StorageFull, detail).retry_after(60)
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let code = match rejection.status().as_u16() {
            413 => Code::TooLarge,
            415 => Code::UnsupportedMediaType,
            422 => Code::BadBody,
            _ => Code::BadRequest,
        };
        Self::new(code, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Code::BadId, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Code::BadRequest, rejection.body_text())
    }
}

/// [`axum::Json`] with a [`Problem`] for a rejection.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Json<T>(pub(crate) T);

/// [`axum::extract::Path`] with a [`Problem`] for a rejection.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

/// [`axum::extract::Query`] with a [`Problem`] for a rejection.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_api_overview_with_its_status() {
        let overview = include_str!("../../../docs/api/README.md");
        for code in Code::ALL {
            let (name, status, _) = code.describe();
            assert!(overview.contains(&format!("| `{name}` | {status} |")), "{name} {status}");
        }
    }
}
