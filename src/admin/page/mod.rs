//! The admin page: the fleet in a browser, at `admin.listen`.
//!
//! It asks the same tables as the status socket, shows what came of it without any script, and can do two
//! things for a domain: check it now and renew its certificate now. Everything else is for the socket.
//!
//! Who comes here is a stranger until shown otherwise: `gate` checks by which name it was asked for, who
//! asks, and that a browser sends its own forms only; `listener` bounds what a connection may use. Work
//! that grows with the fleet is done off the async threads, once for all who ask (`surveyor`), so that
//! the policy server next door does not feel it.
//!
//! Templates lie in `templates/` and escape all that is put into them.

mod act;
mod answer;
mod domain;
mod domains;
mod fleet;
mod gate;
mod host;
mod listener;
mod look;
mod secret;
mod session;
mod shown;
pub mod survey;
mod surveyor;

pub use listener::PageServer;

use super::server::{Sources, questions};
use crate::{cross_check::CrossCheckHandle, dns::Lookup, storage::HistoryStorage};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use std::{fmt, sync::Arc};
use surveyor::Surveyor;

/// The longest form that is read, in octets: a token and a little.
const FORM_MAX: usize = 8 * 1024;

/// What the page asks and tells, beside what the status socket does.
#[derive(Clone)]
pub struct PageParts {
    /// The findings of earlier days.
    pub history: Arc<dyn HistoryStorage>,
    /// Who is asked which records stand in DNS.
    pub lookup: Arc<dyn Lookup>,
    /// Who checks a domain now.
    pub checks: CrossCheckHandle,
}

impl fmt::Debug for PageParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageParts").field("checks", &self.checks).finish_non_exhaustive()
    }
}

/// The page as one thing; cheap to clone.
#[derive(Clone)]
struct Page(Arc<Shared>);

struct Shared {
    sources: Sources,
    parts: PageParts,
    gate: gate::Gate,
    surveyor: Surveyor,
    looks: look::Looks,
    renewals: act::Lately,
}

/// Every route, behind the gate.
fn router(page: Page) -> Router {
    let sources = page.0.sources.clone();
    let machines = questions().with_state(sources);
    Router::new()
        .route("/", get(fleet::show))
        .route("/domains", get(domains::show))
        .route("/domains/{domain}", get(domain::show))
        .route("/domains/{domain}/check", post(act::check))
        .route("/domains/{domain}/renew", post(act::renew))
        .route("/login", get(gate::show_login).post(gate::log_in))
        .route("/logout", post(gate::log_out))
        .route("/style.css", get(answer::style))
        .route("/icon.svg", get(answer::icon))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .with_state(page.clone())
        .merge(machines)
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(middleware::from_fn_with_state(page, gate::guard))
}
