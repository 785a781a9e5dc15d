//! How many connections this process has descriptors for.
//!
//! Most shells and service managers allow 1,024 at first, though the process may take more. Without
//! a cap below that, idle connections would take what the database and the model servers need.

/// Descriptors for everything but connections, of clients and to model servers: the database, the
/// log, the admin plane with its 256 connections, files that are read.
const OTHERS: u64 = 384;

/// So many connections, or as many as there are descriptors for: each may need one to its model
/// server beside its own. The limit is raised as far as this process may do that itself.
pub(crate) fn connections(wanted: usize) -> usize {
    raised().map_or(wanted, |limit| for_connections(limit, wanted))
}

fn for_connections(limit: u64, wanted: usize) -> usize {
    let others = OTHERS.min(limit / 2);
    let most = usize::try_from((limit - others) / 2).unwrap_or(usize::MAX);
    wanted.min(most.max(1))
}

/// The limit, once it is as high as it may be; `None` where there is none.
#[cfg(unix)]
fn raised() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current?;
    let raised = Rlimit { current: maximum, maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // Some systems name a maximum that they do not give.
        Err(_) => Some(before),
    }
}

#[cfg(not(unix))]
fn raised() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(for_connections(20_000, 8_192), 8_192);
        assert_eq!(for_connections(1_024, 8_192), 320);
        assert_eq!(for_connections(256, 8_192), 64);
        assert_eq!(for_connections(0, 8_192), 1);
        assert_eq!(for_connections(u64::MAX, 8_192), 8_192);
    }
}
