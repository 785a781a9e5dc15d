//! The real binary, started in folders of its own.

#[cfg(test)]
mod simulate;
