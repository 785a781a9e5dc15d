//! Where a request goes, and that its admission is on disk where its tenant is audited.

use super::Query;
use crate::guard::kept_user;
use crate::request::arrival::Arrival;
use crate::request::bounds::{ADMITTED_WITHIN, PLACED_MAX};
use crate::request::code::Code;
use crate::request::gateway::Gateway;
use crate::request::ids::kept_request_id;
use crate::request::problem::{Next, Problem};
use crate::route::LiveTable;
use crate::store::{Records as _, Ticket};
use crate::version_set::LiveSet;
use http::StatusCode;
use std::sync::Arc;
use tidegate_core::evidence::Admission;
use tidegate_core::ids::ChangeId;
use tidegate_core::route::{Arm, Cohort, Entrance, Subject};
use tokio::time::timeout;

/// The subject's place on a table.
pub(super) struct Placed {
    pub(super) table: Arc<LiveTable>,
    pub(super) arm: Arm,
    pub(super) cohort: Option<Cohort>,
    pub(super) set: Arc<LiveSet>,
}

impl Placed {
    /// On the table in place. It is taken as late as can be, so that a request that waited long is
    /// not sent to a table that is gone.
    fn now(gateway: &Gateway, arrival: &Arrival, query: &Query) -> Result<Placed, Problem> {
        let table = gateway.parts.router.load();
        if let Entrance::Closed { reason: _ } = &table.table.entrance {
            let message = "the service is shut after a security event, until an operator opens it";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Problem::server(status, Code::EntranceClosed, message.to_owned())
                .next(Next::DoNotRetry));
        }
        let tenant = arrival.caller.tenant.as_deref();
        let conversation = match (&query.user, &table.table.split) {
            // One tenant's conversations are not taken for another's that begin alike.
            (None, Some(_)) => query.body.conversation().map(|head| match tenant {
                Some(tenant) => [tenant, &head].join("\0"),
                None => head,
            }),
            (Some(_), _) | (None, None) => None,
        };
        let subject = Subject {
            user: query.user.as_deref(),
            conversation: conversation.as_deref(),
            tenant,
            key: arrival.caller.key.as_deref(),
        };
        let (arm, cohort) = table.table.place(&subject);
        let (arm, set) = table.set(arm);
        let set = Arc::clone(set);
        Ok(Placed { table, arm, cohort, set })
    }

    /// The release that runs.
    pub(super) fn change_id(&self) -> Option<&ChangeId> {
        self.table.table.split.as_ref().map(|split| &split.change_id)
    }

    fn is_as(&self, admission: &Admission) -> bool {
        let Admission { arm, set, change_id, .. } = admission;
        self.arm == *arm && self.set.set.id == set.id && self.change_id() == change_id.as_ref()
    }

    fn admission(&self, gateway: &Gateway, arrival: &Arrival, query: &Query) -> Admission {
        Admission {
            trace_id: arrival.ids.trace.clone(),
            request_id: kept_request_id(&arrival.ids),
            at: arrival.at,
            tenant: arrival.caller.tenant.as_deref().map(str::to_owned),
            user: query.user.as_deref().map(|user| kept_user(&gateway.service, user)),
            arm: self.arm,
            set: self.set.named(),
            change_id: self.change_id().cloned(),
        }
    }
}

/// Takes a request on. Where its tenant is audited, this returns when its admission is on disk: an
/// error means that nothing was sent to the model server.
pub(super) async fn place(
    gateway: &Gateway,
    arrival: &Arrival,
    query: &Query,
) -> Result<(Placed, Ticket), Problem> {
    let store = &gateway.parts.store;
    let mut placed = Placed::now(gateway, arrival, query)?;
    if !gateway.records.audits(arrival.caller.tenant.as_deref()) {
        return Ok((placed, store.begin()));
    }
    for _ in 0..PLACED_MAX {
        let admission = placed.admission(gateway, arrival, query);
        let within = query.budget.map_or(ADMITTED_WITHIN, |budget| budget.min(ADMITTED_WITHIN));
        let admitted = timeout(within, store.admit(admission.clone())).await;
        let Ok(Ok(ticket)) = admitted else { return Err(not_admitted(gateway)) };
        // The table may have changed meanwhile, and a candidate that was taken out must not answer.
        match Placed::now(gateway, arrival, query) {
            Ok(now) if now.is_as(&admission) => return Ok((now, ticket)),
            now => {
                store.withdraw(ticket);
                placed = now?;
            }
        }
    }
    Err(not_admitted(gateway))
}

fn not_admitted(gateway: &Gateway) -> Problem {
    gateway.count_not_admitted();
    let message = "the admission of this request could not be written to disk in time, and \
                   requests of this tenant are answered only once it is";
    Problem::server(StatusCode::SERVICE_UNAVAILABLE, Code::AuditUnavailable, message.to_owned())
        .next(Next::RetryAfter(1))
}
