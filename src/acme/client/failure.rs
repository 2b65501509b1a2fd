//! What went wrong with the authority, in our words.

use super::{Error, LibraryProblem};
use crate::acme::{
    authority::IssueError,
    problem::{Problem, ProblemDocument, Stage, printable},
    transport::TransportError,
};
use http::Response;

/// How the library begins to complain that an order does not say what it replaces. It has no error of
/// its own for this; a test holds the words against it.
const UNECHOED: &str = "replaces field mismatch";

/// A step that failed, and what may be done about it at once.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: IssueError,
    pub remedy: Option<Remedy>,
}

/// What may help against a failure; each is tried once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The authority has forgotten our account.
    RegisterAgain,
    /// The authority does not take what the order is said to replace (RFC 9773 §5).
    WithoutReplaces,
    /// The authority does not follow the profile any more.
    WithoutProfile,
}

impl Failure {
    pub fn new(error: Error, stage: Stage) -> Self {
        let remedy = match word_of(&error) {
            "accountDoesNotExist" => Some(Remedy::RegisterAgain),
            "alreadyReplaced" => Some(Remedy::WithoutReplaces),
            "invalidProfile" => Some(Remedy::WithoutProfile),
            _ => None,
        };
        Self { error: sort(&error, stage), remedy }
    }

    /// An order that names what it replaces was not accepted.
    ///
    /// The certificate may belong to another account, or be unknown: §5 leaves the problem's type open,
    /// so these too are worth one try without.
    pub fn of_replacement(error: Error) -> Self {
        let for_its_sake = ["malformed", "unauthorized"].contains(&word_of(&error)) || is_unechoed(&error);
        let failure = Self::new(error, Stage::Order);
        let remedy = if for_its_sake { Some(Remedy::WithoutReplaces) } else { failure.remedy };
        Self { remedy, ..failure }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        Self { error, remedy: None }
    }
}

pub(super) fn at(stage: Stage) -> impl Fn(Error) -> Failure {
    move |error| Failure::new(error, stage)
}

pub(super) fn unreachable(detail: String) -> IssueError {
    IssueError::Unreachable { detail: printable(&detail) }
}

/// Whether an order was placed, but its answer does not repeat what it replaces.
pub(super) fn is_unechoed(error: &Error) -> bool {
    matches!(error, Error::Other(other) if other.to_string().starts_with(UNECHOED))
}

pub(super) fn is_problem(error: &Error, word: &str) -> bool {
    word_of(error) == word
}

/// The problem's type in short; empty when the error is none of the authority's.
fn word_of(error: &Error) -> &str {
    let Error::Api(problem) = error else { return "" };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    Problem { kind, ..Problem::default() }.word()
}

fn told(problem: &LibraryProblem) -> Problem<'_> {
    Problem {
        kind: problem.r#type.as_deref().unwrap_or_default(),
        detail: problem.detail.as_deref().unwrap_or_default(),
        retry_after: None,
        names_identifier: problem.subproblems.iter().any(|sub| sub.identifier.is_some()),
    }
}

/// What the library met, sorted by what the scheduler does next.
pub(super) fn sort(error: &Error, stage: Stage) -> IssueError {
    match error {
        Error::Api(problem) => told(problem).sort(stage),
        Error::Crypto | Error::KeyRejected => {
            IssueError::Account { detail: "the account's key in the store cannot be used".to_owned() }
        }
        Error::Timeout(_) => IssueError::Unreachable { detail: "the order takes too long".to_owned() },
        Error::Other(other) => match other.downcast_ref() {
            Some(error) => sort_transport(error),
            None => unreachable(other.to_string()),
        },
        other => unreachable(format!("unexpected answer: {other}")),
    }
}

/// What the transport met, sorted by what the scheduler does next.
pub(super) fn sort_transport(error: &TransportError) -> IssueError {
    match error {
        TransportError::Throttled { status, retry_after, body } => {
            let document = ProblemDocument::read(body);
            let Problem { detail, names_identifier, .. } = document.problem(None);
            let said = if detail.is_empty() { format!("status {status}") } else { detail.to_owned() };
            // Whatever type it gives, the status says that it is a limit.
            let limit =
                Problem { kind: "rateLimited", detail: &said, retry_after: *retry_after, names_identifier };
            limit.sort(Stage::Order)
        }
        TransportError::ActionRequired(..) => IssueError::Account { detail: error.to_string() },
        other => unreachable(other.to_string()),
    }
}

/// The problem in an answer that is no success.
pub(super) fn sort_answer(answer: &Response<bytes::Bytes>, stage: Stage) -> IssueError {
    let document = ProblemDocument::read(answer.body());
    match document.problem(None) {
        Problem { kind: "", detail: "", .. } => {
            unreachable(format!("the authority answered {}", answer.status()))
        }
        problem => problem.sort(stage),
    }
}
