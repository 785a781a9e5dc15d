//! Deleting records of a tenant or a user: journalled before the first goes, and again with how
//! many went. The journal has the user behind a pseudonym of the state's own key.

use super::Control;
use super::command::{Answer, DeleteRequest};
use super::error::{ControlError, Result};
use super::logged::service_of;
use crate::guard::kept_user;
use crate::log::LogKey;
use crate::store::{Records as _, Store, Whose};
use crate::view::Done;
use std::path::Path;
use tidegate_core::ids::{UnixMs, subject_of};
use tidegate_core::journal::{ControlState, Event};

/// An order to delete records.
pub(super) struct Deletion {
    /// Whose.
    pub(super) whose: Whose,
    user: Option<String>,
    by: String,
}

/// Whose records are meant, by the names that a service's records have.
pub(crate) fn whose(
    service: &str,
    tenant: Option<String>,
    user: Option<&str>,
    before: UnixMs,
) -> Whose {
    let subject = user.map(subject_of);
    let kept = subject.as_deref().map(|subject| kept_user(service, subject));
    let mut users: Vec<String> = kept.into_iter().chain(subject).collect();
    users.dedup();
    Whose { tenant, users, before }
}

impl Deletion {
    /// Reads the order.
    ///
    /// # Errors
    /// When it is about everybody, about what is still to come, or the pseudonyms' key cannot be
    /// read.
    pub(super) fn of(
        root: &Path,
        state: &ControlState,
        request: DeleteRequest,
        now: UnixMs,
    ) -> Result<Deletion> {
        let DeleteRequest { tenant, user, before, by } = request;
        let is_nobody = |name: &Option<String>| name.as_ref().is_none_or(String::is_empty);
        if is_nobody(&tenant) && is_nobody(&user) {
            return Err(ControlError::NobodysRecords);
        }
        let before = before.unwrap_or(now).min(now);
        let service = service_of(state);
        let key = LogKey::of(root).map_err(ControlError::LogKey)?;
        let hidden = |user: &str| key.pseudonym("user", service, user);
        Ok(Deletion {
            user: user.as_deref().map(hidden),
            whose: whose(service, tenant, user.as_deref(), before),
            by,
        })
    }

    /// What is journalled of it.
    pub(super) fn event(&self, records: Option<u64>) -> Event {
        let Whose { tenant, users: _, before } = self.whose.clone();
        let (user, by) = (self.user.clone(), self.by.clone());
        Event::RecordsDeleted { tenant, user, before, by, records }
    }

    /// Takes what is left of the records out of the files.
    pub(super) async fn scrub(store: &Store, records: u64) -> Result<Answer> {
        match store.scrub().await {
            Ok(()) => Ok(Answer::of(Done::RecordsDeleted { records })),
            Err(why) => Err(ControlError::NotScrubbed { records, why }),
        }
    }
}

impl Control {
    /// Deletes records, where no server runs.
    pub(super) async fn delete_records(&mut self, request: DeleteRequest) -> Result<Answer> {
        let deletion = Deletion::of(&self.root, &self.state, request, self.clock.now())?;
        self.append(vec![deletion.event(None)]).await?;
        let records = self.store.erase(&deletion.whose).await?;
        self.append(vec![deletion.event(Some(records))]).await?;
        Deletion::scrub(&self.store, records).await
    }
}
