//! The admin page's sockets, where the configuration has any.

use super::{StartError, part};
use crate::{
    admin::page::PageServer,
    config::Admin,
    listening::{ListenError, bind_all},
};

/// Binds `admin.listen`, and looks whether the page's token and certificate can be used: a page that
/// nobody could log in to is better noticed now. `None` where there is to be no page.
pub(super) fn bind(settings: &Admin) -> Result<Option<PageServer>, StartError> {
    if settings.listen.is_empty() {
        return Ok(None);
    }
    let listeners = bind_all("admin.listen", &settings.listen).map_err(ListenError::from)?;
    PageServer::new(listeners, settings).map(Some).map_err(part("the admin page"))
}
