//! Which of the jobs that are due begin now, and at which authority.

use super::{ASKS_AT_ONCE, Job, Scheduler, after};
use crate::{
    acme::calendar,
    storage::{Next, Scheduled, StorageError},
};
use jiff::Timestamp;
use std::time::Duration;
use tracing::{Instrument, info_span};

/// Renewals that cannot be paid for, behind which one is looked for that needs not be.
const LOOKED_THROUGH: usize = 32;

impl Scheduler {
    pub(super) fn place_asks(&mut self, now: Timestamp) {
        let mut settled = Vec::new();
        while self.running.len() - self.orders_under_way() < ASKS_AT_ONCE {
            let Some(mut row) = self.asks.queue.pop_front() else { break };
            if self.is_busy(&row.host) {
                continue;
            }
            if calendar::is_time_to_ask(&mut row, now) {
                let job = self.workshop.clone().ask(row.clone());
                self.running.insert(self.jobs.spawn(job).id(), Job { row, number: None });
            } else {
                settled.push(row);
            }
        }
        for row in settled {
            self.put(row, now);
        }
    }

    /// Places orders, renewals first; each of the two sorts leaves the other a quarter of the room.
    pub(super) async fn place_orders(&mut self, now: Timestamp) -> Result<(), StorageError> {
        let most_of_a_sort = self.orders_at_once - self.orders_at_once / 4;
        for next in [Next::Renew, Next::First] {
            let mut skipped = 0;
            loop {
                let of_sort =
                    self.running.values().filter(|job| job.number.is_some() && job.row.next == next);
                if self.orders_under_way() >= self.orders_at_once || of_sort.count() >= most_of_a_sort {
                    break;
                }
                let lane = if next == Next::Renew { &mut self.renewals } else { &mut self.newcomers };
                let Some(row) = lane.queue.remove(skipped) else { break };
                if self.is_busy(&row.host) {
                    continue;
                }
                match self.may_place(&row, now).await? {
                    Ok(number) => self.place(row, number),
                    Err(until) => {
                        self.look_again_at(until);
                        let lane = if next == Next::Renew { &mut self.renewals } else { &mut self.newcomers };
                        lane.queue.insert(skipped, row);
                        // What holds back one newcomer holds back all; a renewal may be excepted.
                        if next == Next::First || skipped >= LOOKED_THROUGH {
                            break;
                        }
                        skipped += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// The number of the authority to order from, or until when nothing can be ordered for `row`.
    async fn may_place(
        &self,
        row: &Scheduled,
        now: Timestamp,
    ) -> Result<Result<usize, Timestamp>, StorageError> {
        let number = match self.open_authority(row, now) {
            Ok(number) => number,
            Err(until) => return Ok(Err(until)),
        };
        let Some(authority) = self.workshop.authorities.get(number) else { return Ok(Err(Timestamp::MAX)) };
        let held = self.workshop.status.read().held.len();
        let (room, there) = self.workshop.ledger.room(row, authority.directory(), held, now).await?;
        // When the rest is promised to orders that have yet to pay, their ends wake us.
        Ok(if room > 0 { Ok(number) } else { Err(there.max(after(now, Duration::from_secs(1)))) })
    }

    /// The authority whose turn it is, or another when that one is paused for long; until when to wait
    /// when it is paused for a while. After a pause one order goes alone.
    fn open_authority(&self, row: &Scheduled, now: Timestamp) -> Result<usize, Timestamp> {
        let count = self.workshop.authorities.len().max(1);
        let first = row.detour as usize % count;
        let books = self.workshop.status.read();
        let mut until = Timestamp::MAX;
        for turn in 0..count {
            let number = (first + turn) % count;
            let Some(pause) = books.pauses.get(&number) else { return Ok(number) };
            let under_way = self.running.values().any(|job| job.number == Some(number));
            if pause.until <= now && !under_way {
                return Ok(number);
            }
            until = until.min(pause.until.max(after(now, Duration::from_secs(1))));
            if pause.until.duration_since(now) <= calendar::TROUBLE_LONGEST {
                break;
            }
        }
        Err(until)
    }

    fn place(&mut self, row: Scheduled, number: usize) {
        let host = row.host.clone();
        let attempt = row.failures.as_ref().map_or(0, |failures| failures.attempts).saturating_add(1);
        self.workshop.status.write().in_flight.insert(host.clone());
        let unpaid = self.workshop.ledger.mark_unpaid();
        let span = info_span!("order", %host, attempt);
        let order = self.workshop.clone().order(row.clone(), number, attempt, unpaid).instrument(span);
        self.running.insert(self.jobs.spawn(order).id(), Job { row, number: Some(number) });
    }
}
