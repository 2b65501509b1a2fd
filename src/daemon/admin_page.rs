//! The admin page's sockets, where the configuration has any.

use super::{StartError, part};
use crate::{admin::page::PageServer, config::Admin};
use tokio::net::TcpListener;

/// Looks whether the page's token and certificate can be used: a page that nobody could log in to is
/// better noticed now. `None` where there are no sockets for it.
pub(super) fn open(listeners: Vec<TcpListener>, settings: &Admin) -> Result<Option<PageServer>, StartError> {
    if listeners.is_empty() {
        return Ok(None);
    }
    PageServer::new(listeners, settings).map(Some).map_err(part("the admin page"))
}
