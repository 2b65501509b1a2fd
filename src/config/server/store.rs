//! `[store]`: where what must survive a restart is kept.

use super::Reader;
use crate::config::{Store, credentials, file::Table};
use std::path::PathBuf;

pub(super) fn read(table: Option<Table<'_, '_>>, reader: &Reader<'_, '_>) -> Store {
    let mut directory = PathBuf::from(Store::DEFAULT_DIRECTORY);
    let Some(mut table) = table else {
        let key_file = credentials::store_key(&directory);
        return Store { directory, key_file };
    };
    directory = reader.path(&mut table, "directory").unwrap_or(directory);
    let written = table.has("key_file");
    let key_file = reader.path(&mut table, "key_file");
    table.finish();
    // One that was written and is faulty is no reason to take another.
    let key_file = if written { key_file } else { credentials::store_key(&directory) };
    Store { directory, key_file }
}
