//! Commands.

mod init;

pub(crate) use init::init;
