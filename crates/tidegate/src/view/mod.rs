//! What people see of a release: shared by the commands, the demo and the evidence reports.

mod release;

pub(crate) use release::{Told, headline, incident, json_line, one_line, redraw, release, weight};
