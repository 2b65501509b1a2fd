//! Where events become lines.

use super::{
    Format,
    flood::{Flood, LeftOut},
    line::{Around, Line, Said, Value},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::time::Instant;
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

/// Prints events; clones print to the same place and count together.
#[derive(Clone)]
pub(super) struct Printer(Arc<Inner>);

/// Takes a whole line.
type Out = dyn Fn(&[u8]) + Send + Sync;

struct Inner {
    format: Format,
    colour: bool,
    out: Box<Out>,
    flood: Mutex<Flood>,
    left_out: AtomicU64,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Printer").field(&self.0.format).finish()
    }
}

impl Printer {
    /// `out` is called once for each line.
    pub(super) fn new(format: Format, colour: bool, out: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            format,
            colour,
            out: Box::new(out),
            flood: Mutex::default(),
            left_out: AtomicU64::default(),
        }))
    }

    /// Says how many lines were left out in the seconds that are over, or until now.
    pub(super) fn tell_left_out(&self, all: bool) {
        let left_out = self.flood(|flood| flood.left_out(Instant::now(), all));
        left_out.into_iter().for_each(|left_out| self.print_left_out(left_out));
    }

    /// How many lines were left out since the start, told or not.
    pub(super) fn left_out(&self) -> u64 {
        self.0.left_out.load(Relaxed)
    }

    fn flood<T>(&self, with: impl FnOnce(&mut Flood) -> T) -> T {
        with(&mut self.0.flood.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// At the level of what was left out, so that a flood of a low level cannot make a line of a higher one.
    fn print_left_out(&self, left_out: LeftOut) {
        let fields = vec![
            ("left_out", Value::Plain(left_out.count.to_string())),
            ("like", Value::Text(left_out.message)),
        ];
        let said = Said { message: "more lines of one kind left out".to_owned(), fields, module: None };
        self.print(left_out.level, &left_out.target, &[], &said);
    }

    fn print(&self, level: tracing::Level, target: &str, around: &[Around], said: &Said) {
        let mut time = String::new();
        // A clock that cannot be shown leaves the time empty.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let line = Line { time: &time, level, target, around, said };
        (self.0.out)(line.render(self.0.format, self.0.colour).as_bytes());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Printer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut around = Around { name: span.name(), said: Said::default() };
        attributes.record(&mut around.said);
        span.extensions_mut().insert(around);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(around) = span.extensions_mut().get_mut::<Around>() {
            values.record(&mut around.said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let said = || {
            let mut said = Said::default();
            event.record(&mut said);
            let target = said.module.take().unwrap_or_else(|| metadata.target().to_owned());
            (said, target)
        };
        let describe = || {
            let (said, target) = said();
            LeftOut { count: 0, level: *metadata.level(), target, message: said.message }
        };
        let admission = self.flood(|flood| flood.admit(metadata.callsite(), Instant::now(), describe));
        if let Some(left_out) = admission.before {
            self.print_left_out(left_out);
        }
        if !admission.write {
            self.0.left_out.fetch_add(1, Relaxed);
            return;
        }
        let (said, target) = said();
        let spans = context.event_scope(event).into_iter().flat_map(|scope| scope.from_root());
        let around: Vec<Around> =
            spans.filter_map(|span| span.extensions().get::<Around>().cloned()).collect();
        self.print(*metadata.level(), &target, &around, &said);
    }
}
