//! TOML as it is written: tables that are asked for their keys, and everything else refused.
//!
//! This is the only file that names `toml`. A [`Table`] hands out its keys one by one, with their
//! places; what was never asked for is an unknown key when the table is finished, so no list of keys
//! stands beside the code that reads them. A wrong value is a fault and reads as absent: reading goes
//! on, and all faults come at once.

use super::{
    TenantId,
    duration::{duration_shown, parse_duration},
    fault::{Fault, Faults, Severity, quoted},
    source::{Source, Span},
};
use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Syntax errors shown for one file: they cascade, the first ones tell.
const SYNTAX_ERRORS_MAX: usize = 3;
/// A key this like an unknown one (Jaro-Winkler) is offered in its place.
const LIKENESS_MIN: f64 = 0.8;

/// One file while it is read: its source and the faults found so far.
#[derive(Debug)]
pub(super) struct Reading<'s> {
    source: &'s Source,
    faults: RefCell<Faults>,
    about: RefCell<Option<TenantId>>,
    #[cfg(test)]
    pub(super) asked: RefCell<std::collections::BTreeSet<String>>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<'s> Reading<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        let reading = Self {
            source,
            faults: RefCell::default(),
            about: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        };
        if source.is_open_to_all() {
            let (problem, remedy) =
                ("every user of this machine may write the file", "take that away: chmod o-w");
            reading.push(Fault::of_file(Severity::Warning, source.path(), problem.into(), remedy.into()));
        }
        reading
    }

    /// The file's top level; `None`, and a fault for each of the first errors, when it is not TOML.
    pub(super) fn parse(&self) -> Option<Table<'_, 's>> {
        let (table, mut errors) = DeTable::parse_recoverable(self.source.text());
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            let span = error.span().unwrap_or_default().into();
            // The parser's own words may repeat a piece of the text; only a duplicate key's do, and
            // only the key.
            let problem = format!("this is not TOML: {}", super::fault::shown(error.message().trim()));
            self.fault(span, "", problem, "mend the line; nothing of this file is used until then");
        }
        errors.is_empty().then(|| self.root(table.into_inner()))
    }

    /// As much of the file's top level as can be told although it is not TOML.
    pub(super) fn what_is_toml(&self) -> Table<'_, 's> {
        self.root(DeTable::parse_recoverable(self.source.text()).0.into_inner())
    }

    /// Another reading of the same file, whose faults are nobody's.
    pub(super) fn aside(&self) -> Self {
        Self::new(self.source)
    }

    fn root(&self, table: DeTable<'s>) -> Table<'_, 's> {
        Table { reading: self, path: String::new(), span: Span::default(), table, asked: Vec::new() }
    }

    pub(super) fn fault(&self, span: Span, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.push(Fault::at(Severity::Fault, self.source, span, key, problem, remedy));
    }

    pub(super) fn warning(
        &self,
        span: Span,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Fault::at(Severity::Warning, self.source, span, key, problem, remedy));
    }

    /// Which tenant the faults from here on are about.
    pub(super) fn about(&self, tenant: Option<TenantId>) {
        self.about.replace(tenant);
    }

    fn push(&self, fault: Fault) {
        let fault = match &*self.about.borrow() {
            Some(tenant) => fault.for_tenant(tenant),
            None => fault,
        };
        self.faults.borrow_mut().push(fault);
    }

    /// How many faults were found so far, warnings not counted.
    pub(super) fn faults_so_far(&self) -> usize {
        self.faults.borrow().holding_back()
    }

    /// All faults, in the order of the file.
    pub(super) fn finish(self) -> Vec<Fault> {
        self.faults.into_inner().finish(self.source.path())
    }
}

/// A table being read.
#[derive(Debug)]
pub(super) struct Table<'r, 's> {
    reading: &'r Reading<'s>,
    path: String,
    span: Span,
    table: DeTable<'s>,
    asked: Vec<&'static str>,
}

impl<'r, 's> Table<'r, 's> {
    /// Where the table begins.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The full name of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether `key` is written here and was not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether `key` is not here and one like it is: that one is told of as not known, and this one need
    /// not be missed as well.
    pub(super) fn is_misspelt(&self, key: &str) -> bool {
        let like = |other: &str| strsim::jaro_winkler(key, other) >= LIKENESS_MIN;
        !self.has(key) && self.table.keys().any(|other| like(other.get_ref()))
    }

    /// Where `key` stands, else where the table does.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or(self.span, |(key, _)| key.span().into())
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'s>>> {
        self.asked.push(key);
        #[cfg(test)]
        self.reading.asked.borrow_mut().insert(self.key(key));
        self.table.remove(key)
    }

    /// Passes over `key`, which was dealt with in another way.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.asked.push(key);
        self.table.remove(key);
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'s>>, right: &str) {
        let problem = format!("{key} is {}", type_name(value.get_ref()));
        self.reading.fault(value.span().into(), &self.key(key), problem, format!("write {right}"));
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Written<String>> {
        let value = self.take(key)?;
        let span = value.span().into();
        match value.get_ref().as_str() {
            Some(text) => Some(Written { value: text.to_owned(), span }),
            None => {
                self.wrong_type(key, &value, "a string in quotation marks");
                None
            }
        }
    }

    /// A list of strings, without those items that are none.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Written<Vec<Written<String>>>> {
        const RIGHT: &str = "a list of strings, such as [\"one\", \"two\"]";
        let value = self.take(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, &value, RIGHT);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Written { value: text.to_owned(), span: item.span().into() }),
                None => {
                    let problem = format!("{key} has {} in it", type_name(item.get_ref()));
                    self.reading.fault(item.span().into(), &self.key(key), problem, format!("write {RIGHT}"));
                }
            }
        }
        Some(Written { value: texts, span: value.span().into() })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, &value, "true or false");
        }
        flag
    }

    /// A whole number within `range`; `default` when absent or wrong.
    pub(super) fn number<N>(&mut self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: TryFrom<u64> + PartialOrd + Display + Copy,
    {
        let Some(value) = self.take(key) else { return default };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, &value, "a whole number");
            return default;
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| n.try_into().ok());
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let problem = format!("{key} is out of range");
                let remedy = format!("write a number from {} to {}", range.start(), range.end());
                self.reading.fault(value.span().into(), &self.key(key), problem, remedy);
                default
            }
        }
    }

    /// A length of time within `range`, as `"90m"`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Written<Duration>> {
        let value = self.take(key)?;
        let span = value.span().into();
        if let Some(integer) = value.get_ref().as_integer() {
            let problem = format!("{key} has no unit");
            let remedy =
                format!("write \"{}s\" for seconds; the units are s, m, h, d and w", integer.as_str());
            self.reading.fault(span, &self.key(key), problem, remedy);
            return None;
        }
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, &value, "a length of time, such as \"90m\"");
            return None;
        };
        let Some(duration) = parse_duration(text) else {
            let problem = format!("{} is not a length of time", quoted(text));
            let remedy = "write a whole number and one unit: s, m, h, d or w, as in \"90m\"";
            self.reading.fault(span, &self.key(key), problem, remedy);
            return None;
        };
        if !range.contains(&duration) {
            let problem = format!("{key} {} is out of range", quoted(text));
            let (least, most) = (duration_shown(*range.start()), duration_shown(*range.end()));
            let remedy = format!("write something from \"{least}\" to \"{most}\"");
            self.reading.fault(span, &self.key(key), problem, remedy);
            return None;
        }
        Some(Written { value: duration, span })
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'r, 's>> {
        let span = self.span_of(key);
        let value = self.take(key)?;
        if !value.get_ref().is_table() {
            self.wrong_type(key, &value, "a table");
            return None;
        }
        Some(self.below(self.key(key), span, value.into_inner()))
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'r, 's>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        if !matches!(value.get_ref(), DeValue::Array(items) if items.iter().all(|i| i.get_ref().is_table())) {
            let problem = format!("{key} is {}", type_name(value.get_ref()));
            let remedy = format!("begin each one with a line [[{key}]]");
            self.reading.fault(value.span().into(), &self.key(key), problem, remedy);
            return Vec::new();
        }
        let DeValue::Array(items) = value.into_inner() else { return Vec::new() };
        let path = self.key(key);
        items
            .into_iter()
            .map(|item| {
                let span = item.span().into();
                self.below(path.clone(), span, item.into_inner())
            })
            .collect()
    }

    /// The tables below this one, by names that the operator chose.
    pub(super) fn named_tables(mut self) -> Vec<(Written<String>, Table<'r, 's>)> {
        let mut named = Vec::new();
        for (name, value) in std::mem::take(&mut self.table) {
            let span = Span::from(name.span());
            let name = Written { value: name.into_inner().into_owned(), span };
            if !value.get_ref().is_table() {
                self.wrong_type(&name.value, &value, "a table");
                continue;
            }
            let table = self.below(self.key("*"), span, value.into_inner());
            named.push((name, table));
        }
        named.sort_by_key(|(name, _)| name.span.start);
        named
    }

    fn below(&self, path: String, span: Span, value: DeValue<'s>) -> Table<'r, 's> {
        let table = match value {
            DeValue::Table(table) => table,
            _ => DeTable::new(),
        };
        Table { reading: self.reading, path, span, table, asked: Vec::new() }
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self) {
        self.finish_with(|_| None);
    }

    /// Refuses every key that was not asked for; `elsewhere` may say where a key belongs.
    pub(super) fn finish_with(self, elsewhere: impl Fn(&str) -> Option<&'static str>) {
        let place = if self.path.is_empty() { "here".to_owned() } else { format!("in {}", self.path) };
        for key in self.table.keys() {
            let name = key.get_ref();
            let like = self
                .asked
                .iter()
                .map(|known| (strsim::jaro_winkler(known, name), *known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
            let remedy = match (elsewhere(name), like) {
                (Some(remedy), _) => remedy.to_owned(),
                (None, Some((_, known))) => format!("did you mean {known}?"),
                (None, None) => format!("take it out; the keys {place} are {}", self.asked.join(", ")),
            };
            let problem = format!("the key {} is not known {place}", quoted(name));
            self.reading.fault(key.span().into(), &self.key(name), problem, remedy);
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
