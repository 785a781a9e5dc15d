//! Tests of core as a whole.

mod stored_forms;
