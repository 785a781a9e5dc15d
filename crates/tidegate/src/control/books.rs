//! The books: what is added to them beside records, and pricing them again.

use super::Control;
use super::command::Answer;
use super::error::Result;
use crate::store::Books as _;
use crate::view::Done;
use tidegate_core::calendar::Day;
use tidegate_core::journal::Event;
use tidegate_core::money::{LineKey, Purpose, Sums, usd};

impl Control {
    /// Adds what calls cost that no user asked for. A day is what its caller says: a run may go on
    /// over midnight.
    pub(super) async fn book(&mut self, lines: Vec<(LineKey, Sums)>) -> Result<Answer> {
        // What users asked is booked by records alone.
        let own = lines.into_iter().filter(|(line, _)| line.purpose != Purpose::Serve);
        let own: Vec<(LineKey, Sums)> = own.collect();
        let lines = own.len();
        self.store.book(own).await?;
        Ok(Answer::of(Done::Booked { lines }))
    }

    /// Prices what was used from a day on by the project file's prices as they are now.
    pub(super) async fn reprice(&mut self, from: Day, by: String) -> Result<Answer> {
        self.reload()?;
        let table = self.project()?.project.all_prices().table;
        let (before, after) = self.store.reprice(from, table).await?;
        let (before, after) = (usd(before), usd(after));
        let event = Event::Repriced { from, before: before.clone(), after: after.clone(), by };
        self.append(vec![event]).await?;
        Ok(Answer::of(Done::Repriced { from, before, after }))
    }
}
